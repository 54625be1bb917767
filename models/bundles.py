"""What every model's bundle and training folder have in common; see `models.family` for a bundle's files."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from catalog.profile import Profile
from configs.errors import VitrinaError
from configs.schema import StrictModel

if TYPE_CHECKING:
    from models.family import Base

BUNDLE = "bundle"
"""Folder of a training folder that holds what was trained."""
WEIGHTS, CONFIG, SEEN = "model.safetensors", "config.json", "seen.npy"
CARD, REFERENCE, REFERENCE_SPEC = "card.md", "reference.parquet", "reference.json"
BASE = "base"
"""Folder of a bundle with the whole bundle that it rests on, where it rests on one."""
BASE_VERSION = "base.json"
"""Which version that is."""
PROFILE = "data.json"
"""File of a registered bundle that says what the data was like that it was trained on."""
INDEX = "index"
"""Folder of a registered bundle with the index of its products, where the model embeds them; what rests on it copies it not."""
RESTS_ON = "vitrina.rests_on"
"""Tag of a registered version that says the same, as `BaseVersion` is written."""

Config = TypeVar("Config", bound=StrictModel)


class BaseVersion(StrictModel):
    """A registered version that another model rests on."""

    model: str = Field(description="name of the model, such as product")
    version: int = Field(description="registered version")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the manifest that sealed its files")

    def __str__(self) -> str:
        """Such as product@3 0f4c…, with the whole digest."""
        return f"{self.model}@{self.version} {self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` wrote.

        Raises:
            VitrinaError: it did not.
        """
        name, _, digest = text.partition(" ")
        model, _, version = name.partition("@")
        try:
            return cls.model_validate({"model": model, "version": version, "digest": digest})
        except ValidationError as error:
            raise VitrinaError(f"{text!r} does not name what a version rests on; allowed: MODEL@VERSION SHA-256") from error


@contextmanager
def new_bundle(workdir: Path) -> Iterator[Path]:
    """An empty folder, which becomes `workdir/bundle` at the end of the block; where the block fails there is no bundle."""
    partial, out = workdir / f"{BUNDLE}.partial", workdir / BUNDLE
    for folder in (partial, out):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    yield partial
    partial.replace(out)


def copy_base(folder: Path, base: "Base") -> None:
    """Put the bundle of `base` without its index into the bundle `folder`, as hard links where there are any, and which it is."""

    def index(parent: str, names: Sequence[str]) -> list[str]:
        return [INDEX] if INDEX in names and Path(parent) == base.folder else []

    shutil.copytree(base.folder, folder / BASE, copy_function=_link, ignore=index)
    version = BaseVersion(model=base.model, version=base.version, digest=base.digest)
    write_json(folder / BASE_VERSION, version.model_dump())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links; a full disk is met again by the copy
        shutil.copy2(source, target)


def read_base(folder: Path) -> BaseVersion:
    """The version of which the bundle `folder` holds a copy.

    Raises:
        VitrinaError: missing or damaged.
    """
    return _read(folder / BASE_VERSION, BaseVersion, "it does not say which version the bundle rests on")


def sha256_of(path: Path) -> str:
    """Digest of one file.

    Raises:
        VitrinaError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VitrinaError(f"cannot read {path}: {error.strerror}") from error


def content_sha256(folder: Path) -> str:
    """Digest of names and contents of all files of a bundle but those of its index, which a copy inside another lacks.

    Raises:
        VitrinaError: there is no such folder, or a file cannot be read.
    """
    if not folder.is_dir():
        raise VitrinaError(f"bundle {folder} is not a folder")
    digest = hashlib.sha256()
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != INDEX)
    for path in sorted(files):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def save_reference(folder: Path, rows: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> None:
    """Write what monitoring compares with: `rows` of summaries with what was true, and what each column is."""
    pd.DataFrame(rows).to_parquet(folder / REFERENCE, index=False)
    write_json(folder / REFERENCE_SPEC, spec)


def save_card(folder: Path, text: str) -> None:
    """Write the model card, Markdown."""
    (folder / CARD).write_text(text, encoding="utf-8")


def save_profile(folder: Path, profile: Profile | None) -> None:
    """Note down what the data was like; nothing where that is not known."""
    if profile is not None:
        write_json(folder / PROFILE, profile.model_dump(mode="json"))


def read_profile(folder: Path) -> Profile | None:
    """What `save_profile` noted down; None where a bundle is of a time when nobody did.

    Raises:
        VitrinaError: it is damaged.
    """
    if not (folder / PROFILE).exists():
        return None
    return _read(folder / PROFILE, Profile, "it does not say what the data was like")


def read_config(folder: Path, schema: type[Config], model: str) -> Config:
    """`config.json` as `schema`.

    Raises:
        VitrinaError: missing, or not the configuration of a bundle of `model`.
    """
    return _read(folder / CONFIG, schema, f"it is not a {model} bundle of this version")


def _read(path: Path, schema: type[Config], otherwise: str) -> Config:
    try:
        return schema.model_validate_json(path.read_bytes())
    except OSError as error:
        raise VitrinaError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "(whole file)"
        raise VitrinaError(f"{path}: {where}: {first['msg']}; {otherwise}") from error


def save_seen(folder: Path, keys: NDArray[np.uint64]) -> None:
    """Write the keys of training and validation rows."""
    np.save(folder / SEEN, np.sort(keys), allow_pickle=False)


def load_seen(folder: Path) -> NDArray[np.uint64]:
    """Sorted keys of training and validation rows.

    Raises:
        VitrinaError: missing or damaged.
    """
    try:
        keys: NDArray[np.uint64] = np.load(folder / SEEN, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise VitrinaError(f"cannot read {folder / SEEN}: {error}") from error
    return keys


def count_seen(keys: NDArray[np.uint64], *bundles: Path) -> int:
    """How many of the rows with these keys one of the bundles was fitted on or chosen by.

    Raises:
        VitrinaError: a file of keys is missing or damaged.
    """
    return int(np.isin(keys, np.concatenate([load_seen(bundle) for bundle in bundles])).sum())


def digests(first: Iterable[Any], second: Iterable[Any]) -> NDArray[np.uint64]:
    """64-bit key [n] of each pair: BLAKE2b of both as text."""
    pairs = zip(first, second, strict=True)
    found = b"".join(blake2b(f"{a}\x00{b}".encode(), digest_size=8).digest() for a, b in pairs)
    return np.frombuffer(found, dtype="<u8").astype(np.uint64)


def product_keys(products: pd.DataFrame) -> NDArray[np.uint64]:
    """64-bit key [n] of each product: of product_id and title, so that a changed title is a new example."""
    return digests(products["product_id"], products["title"].fillna(""))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def claim(workdir: Path, config: StrictModel, data: str, split: bytes) -> None:
    """Mark `workdir` with what is trained in it, so that a checkpoint is resumed by the same run only.

    Args:
        workdir: Folder of the run.
        config: Its configuration.
        data: Fingerprint of the catalogue.
        split: The rows of each split, in any form that the same rows always have.

    Raises:
        VitrinaError: another configuration or catalogue was trained here.
    """
    rows = blake2b(split, digest_size=16).hexdigest()
    run: Mapping[str, Any] = {"config": config.model_dump(mode="json"), "data": data, "split": rows}
    path = workdir / "run.json"
    if not path.is_file():
        write_json(path, run)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [key for key in run if before.get(key) != run[key]]
    if changed:
        raise VitrinaError(f"{workdir} holds a run with another {', '.join(changed)}; give a new folder or delete this one")
