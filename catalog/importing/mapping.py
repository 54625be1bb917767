"""What a person says about a file that is brought in: how it is read, and which of its columns is which of ours.

Everything but `columns` has a default that fits most files. `vitrina data import --csv F --guess` proposes a mapping.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.schema import KEY, REQUIRED, TABLES
from configs.schema import PositiveInt, Share, StrictModel

TableName = Literal["products", "reviews", "purchases", "purchases_test", "item_attributes", "events"]
Unreadable = Literal["quarantine", "drop", "refuse"]
Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'", "’", "\u00a0", "\u2009", "\u202f"]

MISSING = ("-", "--", "?", "N/A", "n/a", "#N/A", "NA", "n.a.", "NULL", "null", "None", "nan", "NaN", "\\N")
"""Values that say nothing in most exports; an empty cell always does."""


def _listed(value: Any) -> Any:
    """One value where several are allowed."""
    return [value] if isinstance(value, str | Mapping) else value


def _named(value: Any) -> Any:
    """Columns of a file without a header are named by their position, 1 being the first."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Column = Annotated[str, BeforeValidator(_named)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(lambda value: _listed(_named(value)))]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class ReadingMapping(StrictModel):
    """How the file is read; what is not said is found out, and told."""

    format: Literal["csv", "json", "xlsx", "xml", "folder"] | None = Field(
        None,
        description="of the file; by its name and first bytes where it is not said. folder: a folder of photos, a row a photo",
    )
    separator: str | None = Field(None, min_length=1, max_length=4, description="between two values of a line; found by itself")
    quote: Annotated[str, Field(max_length=1)] | None = Field(
        None, description='around values that hold a separator; "" where quotes are text; found by itself'
    )
    encoding: str | None = Field(None, description="of the file, such as utf-8, cp1252, shift_jis; found by itself, and told")
    header: bool = Field(True, description="whether the first line names the columns; without, they are called 1, 2, 3 …")
    skip: int = Field(0, ge=0, description="lines before the header that are no part of the table")
    sheet: str | None = Field(None, description="sheet of a spreadsheet; the first by default")
    records: str | None = Field(
        None, description="element of an XML file, or dotted path of a JSON file, that holds a row each; found by itself"
    )


class SplitMapping(StrictModel):
    """How a path in one column becomes several of our columns."""

    by: Texts = Field(
        (">", "|", "/"), min_length=1, description="marks between two levels; the first that occurs in a value counts"
    )
    into: tuple[str | None, ...] = Field(
        CATEGORY_LEVELS,
        min_length=1,
        description="our columns, coarse to fine; null skips a level. Of a longer path the last level goes last",
    )
    alternatives: str | None = Field(None, description="mark between several paths in one cell, of which the deepest counts")
    fill: bool = Field(False, description="whether a path that ends early repeats its last level in the finer columns")


class PairMapping(StrictModel):
    """Two columns that hold the name and the value of an attribute; `{n}` stands for 1, 2, 3 and so on."""

    name: str = Field(description="column with the name, such as 'Attribute {n} name'")
    value: str = Field(description="column with the value, such as 'Attribute {n} value(s)'")


class TagsMapping(StrictModel):
    """A column of tags."""

    column: Column = Field(description="column with the tags")
    separator: str = Field(",", min_length=1, description="between two tags")
    attribute: str = Field("tags", min_length=1, description="attribute that holds all of them, joined by a comma")


class VariantsMapping(StrictModel):
    """How several rows are one product: its sizes and colours. Blank cells are filled from the first row, or from the parent."""

    by: Column | None = Field(None, description="column whose equal values make rows one product, such as Handle")
    parent: Column | None = Field(None, description="column that names the parent row's product_id; blank in parents")
    id: Column | None = Field(
        None, description="column with a variant's own id; by default the row's product_id under a parent, else that and a number"
    )
    options: dict[str, Column] = Field(default_factory=dict, description="name of an option: column with its value")
    option_pairs: Annotated[tuple[PairMapping, ...], BeforeValidator(_listed)] = Field(
        (), description="columns with the name and the value of an option, such as 'Option{n} Name'"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.by is None) == (self.parent is None):
            raise ValueError("variants need exactly one of by (rows of one product share a value) and parent (rows name another)")
        return self


class ImageMapping(StrictModel):
    """Where a product's photos lie, and how they are kept."""

    file: str | None = Field(
        None,
        description="path inside the image folder; {name} is one of our columns or the file's. Without it and columns a photo is "
        "called as its product_id, whatever its extension",
    )
    columns: Columns = Field(
        (), description="columns that hold paths, file names or addresses of photos; the first is the main photo"
    )
    separator: str = Field(",", min_length=1, description="between two photos in one cell")
    max_side: PositiveInt = Field(512, description="pixels; larger photos are shrunk to this")
    quality: int = Field(88, ge=1, le=95, description="JPEG quality")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.file is not None and self.columns:
            raise ValueError("images need one of file and columns, not both")
        return self


class ImportMapping(ReadingMapping):
    """How the columns of a file become those of a catalogue table."""

    table: TableName = Field("products", description="table to make")
    columns: dict[str, Column] = Field(default_factory=dict, description="our column: column of the file")
    constants: dict[str, str] = Field(default_factory=dict, description="our column: one value for all rows")
    ids: Literal["counted"] | Columns | None = Field(
        None, description="where no column identifies a row: counted, or columns whose values are joined by a dash"
    )
    where: Texts = Field(
        (), description="rows to keep: 'quantity > 0', 'type in (simple, variable)', 'parent is missing'; all must hold"
    )
    missing: tuple[str, ...] = Field(
        MISSING, description="values that mean nothing is known, in every column, beside empty cells"
    )
    values: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="our column: what its values become, {addtocart: cart}"
    )

    decimal: Decimal | None = Field(None, description="decimal mark of numbers; found by itself where all values agree on one")
    thousands: Thousands | None = Field(None, description="mark between groups of three digits; found by itself likewise")
    currency: str | None = Field(
        None, pattern="^[A-Z]{3}$", description="ISO code of all prices; a row in another is quarantined. Found by itself"
    )
    date_format: Texts = Field(
        ("ISO8601",), min_length=1, description="forms of dates, tried in this order: ISO8601, unix, unix_ms or as in strptime"
    )
    unreadable: dict[str, Unreadable] = Field(
        default_factory=dict,
        description="our column: what a value that cannot be read does. quarantine: the row is left out (numbers, ids); "
        "drop: the value is missing (dates, attributes); refuse: so is the file",
    )
    max_quarantined: Share = Field(0.05, description="a larger share of rows that do not fit refuses the file")

    split: dict[Column, SplitMapping] = Field(
        default_factory=dict, description="column of the file: how its path is divided into levels"
    )
    fold: bool = Field(
        True,
        description="whether labels that differ only in case, spaces, HTML entities or Unicode form become the commonest of them",
    )
    attributes: Columns = Field((), description="columns that become attributes by their own name; * stands for anything")
    attribute_pairs: Annotated[tuple[PairMapping, ...], BeforeValidator(_listed)] = Field(
        (), description="columns with the name and the value of an attribute"
    )
    attribute_text: Columns = Field((), description="columns with attributes as text, 'colour=red, size=M', or as a JSON object")
    tags: TagsMapping | None = Field(None, description="a column of tags")
    variants: VariantsMapping | None = Field(None, description="how several rows are one product")
    images: ImageMapping = ImageMapping()

    @model_validator(mode="after")
    def _columns_fit_the_table(self) -> Self:
        known = TABLES[self.table]
        levels = [level for split in self.split.values() for level in split.into if level is not None]
        given = [*self.columns, *self.constants, *levels]
        if unknown := [column for column in [*given, *self.values, *self.unreadable] if column not in known]:
            raise ValueError(f"{self.table} has no column {', '.join(unknown)}; allowed: {', '.join(known)}")
        if twice := sorted({column for column in given if given.count(column) > 1}):
            raise ValueError(f"{', '.join(twice)} is filled more than once by columns, constants and split")
        key = KEY.get(self.table)
        if self.ids is not None and (key is None or key in given):
            raise ValueError(f"ids are for tables with an id that columns does not map; {self.table} has {key or 'none'}")
        needed = [column for column in REQUIRED[self.table] if not (self.ids is not None and column == key)]
        if lacking := [column for column in needed if column not in given]:
            raise ValueError(f"columns must map {', '.join(lacking)}")
        return self

    @model_validator(mode="after")
    def _products_alone(self) -> Self:
        folded = [name for name in ("attributes", "attribute_pairs", "attribute_text", "tags") if getattr(self, name)]
        if self.table != "products" and (folded or self.variants is not None):
            raise ValueError(f"{', '.join(folded) or 'variants'} belongs to products, not to {self.table}")
        if folded and "attributes" in self.columns:
            raise ValueError(f"attributes come from {', '.join(folded)} or from a mapped column, not from both")
        if self.variants is not None and self.variants.parent is not None and self.ids is not None:
            raise ValueError("variants.parent names a product_id, so columns must map one")
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self


LABELS = (*CATEGORY_LEVELS, *CATEGORICAL_FIELDS)
"""Our columns whose values are classes, and are folded."""
