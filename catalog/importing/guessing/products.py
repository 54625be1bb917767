"""A mapping for products in a file that no recipe knows: by the words of its header, and by its values."""

import re
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import PurePosixPath
from typing import Any

from catalog.importing.guessing.names import SURE, meant, plain, words
from catalog.importing.guessing.profile import PATH_MARKS, Column
from catalog.importing.guessing.proposal import Proposal, described
from catalog.importing.labels import SPLIT_WORDS
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.schema import SPLITS

_TREE = ("category", *CATEGORY_LEVELS)
_MEANINGS = ("title", "description", *_TREE, *CATEGORICAL_FIELDS, "price", "discounted_price", "listed_at", "images", "tags")
_CLEAR = 0.8  # of the surest meaning of a name: what a column is taken for must be about as sure
_LONGEST_TITLE = 300  # characters of a title
_LONGEST_CLASS = 60  # characters of a class's name
_MOST_CLASSES = 500  # of a column that is taken for classes by its values alone
_FULL = 0.5  # share of rows that must have an id by name, a title by values or classes by values
_SPARSE = 0.05  # share of rows below which a column is no attribute
_NO_PRICE = {"per", "cost", "costs", "shipping", "delivery", "wholesale", "purchase", "old", "previous", "was", "ek"}
# Words of a name that make it something else than what a product is sold for.
_MINOR = {"cent", "cents", "pence", "minor"}  # words of a name of hundredths
_DEEP = 0.2  # share of paths that reach a level for it to be one of ours


def guessed_products(columns: Sequence[Column]) -> Proposal:
    """The mapping that names and values suggest."""
    proposal = Proposal()
    if {"path", "file", "stem"} <= {column.name for column in columns}:
        return _photos_alone(columns, proposal)
    free = [column for column in columns if column.values]
    _identify(free, proposal)
    _photos(free, proposal)
    _take("split", free, proposal, lambda column: {value.lower() for value in column.values} <= set(SPLIT_WORDS))
    _rename_splits(proposal, columns)
    _take("price", free, proposal, _is_price)
    _take("discounted_price", free, proposal, _is_price)
    _minor_units(free, proposal)
    _no_numbers(free, proposal)
    _take("listed_at", free, proposal, lambda column: bool(column.date_forms))
    _take("title", free, proposal, lambda column: _is_text(column) and column.length < _LONGEST_TITLE)
    _take("description", free, proposal, _is_text)
    _pairs_of_attributes(free, proposal)
    _variants(free, proposal)
    _categories(free, proposal)
    for name in CATEGORICAL_FIELDS:
        _take(name, free, proposal, lambda column: not column.numeric and column.length < _LONGEST_CLASS)
    _take("year", free, proposal, lambda column: all(re.fullmatch("(19|20)[0-9]{2}", value) for value in column.values))
    _texts_by_values(free, proposal)
    _attributes(free, proposal)
    return proposal


def _left(columns: Sequence[Column], proposal: Proposal) -> list[Column]:
    return [column for column in columns if column.name not in proposal.used]


def best(meaning: str, columns: Sequence[Column], fits: Callable[[Column], bool]) -> Column | None:
    """The column whose name says most surely what is looked for, among those whose values can be it."""
    scored = [
        (meant(column.name, meaning) + column.filled, n, column)
        for n, column in enumerate(columns)
        if meant(column.name, meaning)
    ]
    fitting = [(score, -n, column) for score, n, column in scored if fits(column)]
    return max(fitting, key=lambda found: found[:2])[2] if fitting else None


def _take(ours: str, columns: Sequence[Column], proposal: Proposal, fits: Callable[[Column], bool]) -> None:
    left = [column for column in _left(columns, proposal) if meant(column.name, ours) >= _CLEAR * _most(column)]
    if (column := best(ours, left, fits)) is not None:
        proposal.map(ours, column, "by its name")


def _most(column: Column) -> float:
    """How surely the name means anything of a product."""
    return max(meant(column.name, meaning) for meaning in _MEANINGS)


def _is_text(column: Column) -> bool:
    return not (column.numeric or column.photos or column.addresses or column.files)


def _is_price(column: Column) -> bool:
    return _is_amount(column) and not (_NO_PRICE | _MINOR) & set(plain(column.name).split())


def _is_amount(column: Column) -> bool:
    named = max(meant(column.name, "price"), meant(column.name, "discounted_price")) >= SURE
    return (column.numeric or (named and column.numbers > _FULL)) and column.date_form is None


def _no_numbers(columns: Sequence[Column], proposal: Proposal) -> None:
    """Say which values of a price are no numbers, where several are."""
    for ours in ("price", "discounted_price"):
        column = next((column for column in columns if column.name == proposal.says["columns"].get(ours)), None)
        if column is not None and not column.numeric:
            share, example = f"{1 - column.numbers:.0%}", column.no_number()
            proposal.remark(
                "columns",
                f"{share} of {column.name} are no numbers, such as {example!r}; unreadable: {{{ours}: drop}} keeps these rows.",
            )


def _minor_units(columns: Sequence[Column], proposal: Proposal) -> None:
    """Say so where the only price is one in cents: a mapping cannot divide."""
    found = best("price", columns, lambda column: _is_amount(column) and bool(_MINOR & set(plain(column.name).split())))
    if found is not None and "price" not in proposal.says["columns"]:
        proposal.remark(
            "columns",
            f"{found.name} is left out: by its name it is in hundredths ({found.examples(1)}); divide it in the file first.",
        )


def _identify(columns: Sequence[Column], proposal: Proposal) -> None:
    """A column that names each row; one that names several becomes that of products with variants; or counting."""
    named = [column for column in columns if meant(column.name, "product_id") and not column.photos]
    unique = [column for column in named if column.unique]
    if unique:
        column = max(unique, key=lambda column: meant(column.name, "product_id"))
        proposal.map("product_id", column, "by its name, and all different")
        return
    stems = [{PurePosixPath(value).stem for value in column.values} for column in columns if column.photos]
    if (called := next((c for c in columns if c.unique and not c.photos and set(c.values) in stems), None)) is not None:
        proposal.map("product_id", called, "names the photo, and all different")
        return
    nearly = [
        c for c in named if c.filled > _FULL and c.distinct == round(c.filled * c.rows) and meant(c.name, "product_id") >= SURE
    ]
    if nearly and not any(column.filled == 1 and meant(column.name, "product_id") >= SURE for column in named):
        column = max(nearly, key=lambda column: meant(column.name, "product_id"))
        proposal.map("product_id", column, "by its name, and all different; rows without one do not come in")
        return
    grouping = [
        column for column in named if column.filled == 1 and meant(column.name, "product_id") > 90 and column.distinct > 1
    ]
    if grouping:
        column = max(grouping, key=lambda column: meant(column.name, "product_id"))
        proposal.map("product_id", column, "by its name")
        proposal.say("variants", {"by": column.name}, why="its values occur several times: those rows become one product")
        return
    whole = [
        c
        for c in columns
        if c.unique
        and c.length < _LONGEST_CLASS
        and " " not in "".join(c.values)
        and not (c.photos or c.date_form or _means_else(c, ("product_id", "item_id", "images")))
    ]
    if whole:
        proposal.map("product_id", whole[0], "all different")
    else:
        proposal.say("ids", "counted", why="no column names each row")


def _means_else(column: Column, meanings: Sequence[str] = ()) -> bool:
    """Whether the name surely means something, and nothing of that."""
    sure = {meaning for meaning in words() if meant(column.name, meaning) >= SURE}
    return bool(sure) and not sure & set(meanings)


def _photos(columns: Sequence[Column], proposal: Proposal) -> None:
    left = _left(columns, proposal)
    found = [column for column in left if column.photos or (column.addresses and meant(column.name, "images") >= 1)]
    if not found:
        key = next((column for column in columns if column.name == proposal.says["columns"].get("product_id")), None)
        if key is not None and meant(key.name, "images") >= SURE:
            file = key.name if key.photos else f"{{{key.name}}}.jpg"
            proposal.say("images", {"columns": [file]} if key.photos else {"file": file}, why="product_id names the photo")
        return
    first = max(found, key=lambda column: (meant(column.name, "images") >= SURE, column.filled, meant(column.name, "images")))
    names = [first.name, *(column.name for column in found if column is not first)]
    images: dict[str, Any] = {"columns": names}
    bars = [mark for mark in ("|", ";") if sum(mark in value for value in first.values) * 10 > len(first.values)]
    if bars and not any("," in value for value in first.values):
        images["separator"] = bars[0]
    proposal.say("images", images, *names, why=described(first))


def _rename_splits(proposal: Proposal, columns: Sequence[Column]) -> None:
    name = proposal.says["columns"].get("split")
    column = next((column for column in columns if column.name == name), None)
    if column is not None and (others := sorted({value for value in column.values if value not in SPLITS})):
        proposal.say("values", {"split": {value: SPLIT_WORDS[value.lower()] for value in others}})


def _categories(columns: Sequence[Column], proposal: Proposal) -> None:
    left = _left(columns, proposal)
    paths = [column for column in left if column.mark is not None and (_tree(column) or (column.repeated and column.mark != ","))]
    if paths:
        _split(max(paths, key=lambda column: (_tree(column), column.filled)), proposal)
        return
    named = [c for c in left if _tree(c) >= _CLEAR * _most(c) and c.length < _LONGEST_CLASS and not c.unique and not c.yes_or_no]
    classes = [column for column in named if _tree(column) and not column.numeric and column.distinct > 1]
    classes = classes or [column for column in named if meant(column.name, "article_type") >= SURE and column.repeated]
    why = "by its name"
    if not classes:
        why = "by its values alone: short, and few are different"
        classes = [column for column in left if _is_classes(column)] or [c for c in left if _is_numbered_classes(c)]
        classes = [max(classes, key=lambda column: column.distinct)] if classes else []
    levels = sorted(classes, key=lambda column: (-column.distinct, -_tree(column)))[: len(CATEGORY_LEVELS)]
    for ours, column in zip(reversed(CATEGORY_LEVELS), levels, strict=False):
        place = "the finest" if ours == CATEGORY_LEVELS[-1] else "the next coarser"
        proposal.map(ours, column, f"{why}, {place}" if len(levels) > 1 else why)


def _tree(column: Column) -> float:
    return max(meant(column.name, meaning) for meaning in _TREE)


def _is_classes(column: Column) -> bool:
    named = _means_else(column, _TREE) or any(
        meant(column.name, meaning) for meaning in (*CATEGORICAL_FIELDS, "title", "description", "user_id", "quantity", "parent")
    )
    short = column.length < _LONGEST_CLASS / 2 and not column.numeric and column.date_form is None
    return (
        not (named or column.yes_or_no or column.files or column.addresses or _says_how_it_is_kept(column))
        and short
        and column.repeated
        and column.distinct < column.filled * column.rows
        and 1 < column.distinct <= _MOST_CLASSES
        and column.filled > _FULL
    )


def _is_numbered_classes(column: Column) -> bool:
    """Whether a column without a name has classes by their numbers."""
    whole = all(re.fullmatch("[0-9]{1,3}", value.strip()) for value in column.values)
    return column.name.isdecimal() and whole and column.repeated and 1 < column.distinct <= _MOST_CLASSES


def _split(column: Column, proposal: Proposal) -> None:
    assert column.mark is not None
    between = [mark for mark in (",", ";") if mark != column.mark]
    alternatives = next((mark for mark in between if any(_several(value, column.mark, mark) for value in column.values)), None)
    without = [value for value in column.values if column.mark not in value]
    marks = [column.mark, *(mark for mark in PATH_MARKS if mark != column.mark and any(mark in value for value in without))]
    depths = column.depths(column.mark, alternatives)
    total = sum(depths.values())
    depth = max((n for n in (1, 2, 3) if sum(count for d, count in depths.items() if d >= n) >= _DEEP * total), default=1)
    split: dict[str, Any] = {"by": marks, "into": list(CATEGORY_LEVELS[-depth:])}
    if alternatives is not None:
        split["alternatives"] = alternatives
    if any(d < depth for d in depths):
        split["fill"] = True
        proposal.remark("split", "Some paths end early; fill repeats their last level in the finer columns.")
    proposal.say("split", {column.name: split}, column.name)
    proposal.why[f"split.{column.name}"] = described(column)


def _several(value: str, mark: str, between: str) -> bool:
    """Whether the cell holds several paths: each part between two marks is one."""
    parts = unescape(value).split(between)
    fewest = 1 if between == ";" else 2  # a comma may be part of a name
    return len(parts) > 1 and sum(mark in part for part in parts) >= fewest


def _texts_by_values(columns: Sequence[Column], proposal: Proposal) -> None:
    """Title and description by their length, where no name says which they are."""
    texts = [
        c for c in _left(columns, proposal) if not (c.numeric or c.photos or c.addresses or c.mark or c.date_form or c.repeated)
    ]
    texts = [column for column in texts if column.filled > _FULL]
    if texts and "title" not in proposal.says["columns"]:
        title = min(texts, key=lambda column: (column.length > 150, -column.length if column.length <= 150 else column.length))
        proposal.map("title", title, "by its values alone: short texts, most of them different")
        texts.remove(title)
    long = [column for column in texts if column.length > 80]
    if long and "description" not in proposal.says["columns"]:
        proposal.map("description", max(long, key=lambda column: column.length), "by its values alone: long texts")


def _attributes(columns: Sequence[Column], proposal: Proposal) -> None:
    left = _left(columns, proposal)
    if (
        tags := best(
            "tags", left, lambda column: not column.numeric and any("," in value or "|" in value for value in column.values)
        )
    ) is not None:
        bars = sum("|" in value for value in tags.values) > sum("," in value for value in tags.values)
        proposal.say("tags", {"column": tags.name, **({"separator": "|"} if bars else {})}, tags.name, why=described(tags))
    texts = [column.name for column in _left(columns, proposal) if _is_object(column)]
    if texts:
        proposal.say("attribute_text", texts, *texts)
    names = [column.name for column in _left(columns, proposal) if _is_attribute(column)]
    if names:
        proposal.say("attributes", names, *names, why="short texts that occur several times")


def _pairs_of_attributes(columns: Sequence[Column], proposal: Proposal) -> None:
    if (pairs := _pairs(_left(columns, proposal))) is not None:
        proposal.say("attribute_pairs", pairs[0], *pairs[1])


def _variants(columns: Sequence[Column], proposal: Proposal) -> None:
    """Rows that name a parent, and the options of rows that are one product."""
    left = _left(columns, proposal)
    key = next((column for column in columns if column.name == proposal.says["columns"].get("product_id")), None)
    if key is not None and key.unique:
        parent = best("parent", left, lambda column: set(column.values) < set(key.values))
        if parent is None:
            return
        proposal.say("variants", {"parent": parent.name}, parent.name, why="its values are product_ids of other rows")
    if "variants" in proposal.says:
        options = [c for c in _left(columns, proposal) if meant(c.name, "option") and not c.photos and c.length < _LONGEST_CLASS]
        if options:
            proposal.say(
                "variants", proposal.says["variants"] | {"options": {c.name: c.name for c in options}}, *(c.name for c in options)
            )


def _pairs(columns: Sequence[Column]) -> tuple[dict[str, str], list[str]] | None:
    """Numbered columns with the name and the value of an attribute."""
    for column in columns:
        found = re.fullmatch(r"(.*?)([0-9]+)(.*?)(name|key|label)(.*)", column.name, re.IGNORECASE)
        if found is None:
            continue
        pattern = re.compile(rf"{re.escape(found[1])}{found[2]}(.*?)(values?|wert|valeur|valor)(.*)", re.IGNORECASE)
        value = next((other.name for other in columns if pattern.fullmatch(other.name)), None)
        if value is None:
            continue
        pair = {"name": _with_n(column.name, found[1], found[2]), "value": _with_n(value, found[1], found[2])}
        forms = [re.escape(part).replace(re.escape("{n}"), "[0-9]+") for part in pair.values()]
        return pair, [other.name for other in columns if any(re.fullmatch(form, other.name) for form in forms)]
    return None


def _with_n(name: str, before: str, number: str) -> str:
    return before + "{n}" + name[len(before) + len(number) :]


def _is_object(column: Column) -> bool:
    as_json = sum(value.strip().startswith("{") for value in column.values)
    as_pairs = sum(
        re.match(r"[^=:;,]{1,40}=[^=]|[^=:;,|]{1,40}:[^;|]+[;|]\s*[^=:;,|]{1,40}:", value) is not None for value in column.values
    )
    return max(as_json, as_pairs) > 0.9 * len(column.values) and not column.addresses


def _is_attribute(column: Column) -> bool:
    kept_out = column.numeric or column.photos or column.addresses or column.html or column.date_form is not None
    return (
        not kept_out
        and column.repeated
        and column.distinct > 1
        and column.filled >= _SPARSE
        and column.length <= _LONGEST_CLASS
        and not _says_how_it_is_kept(column)
    )


def _says_how_it_is_kept(column: Column) -> bool:
    """Whether the name is of something that a shop keeps about a product, and that is no part of it."""
    kept = {"id", "url", "link", "meta", "seo", "status", "tax"} & set(plain(column.name).split())
    return bool(kept) or meant(column.name, "currency") >= SURE


def _photos_alone(columns: Sequence[Column], proposal: Proposal) -> Proposal:
    """A folder of photos: the innermost folder is the class."""
    by_name = {column.name: column for column in columns}
    proposal.kind = "a folder of photos"
    proposal.map("product_id", by_name["stem"] if by_name["stem"].unique else by_name["path"], "all different")
    folders = [column for column in columns if column.name.startswith("folder_")]
    for column in folders:
        if {value.lower() for value in column.values} <= set(SPLIT_WORDS) and column.filled == 1:
            proposal.map("split", column, "names of splits")
            _rename_splits(proposal, columns)
            folders.remove(column)
            break
    classes = [column for column in folders if column.distinct > 1 or len(folders) == 1][-len(CATEGORY_LEVELS) :]
    for ours, column in zip(reversed(CATEGORY_LEVELS), reversed(classes), strict=False):
        proposal.map(ours, column, "the folders that photos lie in")
    proposal.say("images", {"columns": ["path"]}, "path", "file", "stem")
    return proposal
