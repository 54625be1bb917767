"""YAML and `--set a.b=c` overrides in, a validated schema out."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.schema import StrictModel

FOLDER = Path(__file__).parent
EXTENDS = "extends"
"""Key of a file that says only what differs from one of ours, such as base/product."""
ENVIRONMENTS = tuple(sorted(p.name for p in FOLDER.iterdir() if p.is_dir() and any(p.glob("*.yaml"))))

Schema = TypeVar("Schema", bound=StrictModel)


def environment_file(environment: str, name: str) -> Path:
    """Path of `configs/<environment>/<name>.yaml`.

    Raises:
        ConfigError: no such environment, or it has no file of that name.
    """
    if environment not in ENVIRONMENTS:
        raise ConfigError(f"environment {environment!r} does not exist; allowed: {', '.join(ENVIRONMENTS)}")
    path = FOLDER / environment / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"environment {environment!r} has no {name}.yaml; it has: {allowed}")
    return path


def load(schema: type[Schema], path: Path | None = None, overrides: Sequence[str] = ()) -> Schema:
    """Validate `path` (defaults alone when None) with `a.b=c` overrides on top.

    Raises:
        ConfigError: unreadable file, bad YAML, unknown key or wrong value; one line a problem.
    """
    return validate(schema, merged(path, overrides), where=str(path or "configuration"))


def merged(path: Path | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What `path`, the file that it extends, and the overrides say, not validated and without defaults.

    Raises:
        ConfigError: unreadable file, bad YAML, no such file to extend, or an override that is not of the form a.b=c.
    """
    values = _extended(path) if path else {}
    for override in overrides:
        _apply(values, override)
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; an empty file is an empty mapping.

    Raises:
        ConfigError: missing, unreadable or not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read configuration {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values, not a {type(values).__name__}")
    return values


def _extended(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if EXTENDS not in values:
        return values
    named = values.pop(EXTENDS)
    found = re.fullmatch(r"(\w+)/(\w+)", str(named))
    if found is None:
        raise ConfigError(f"{path}: {EXTENDS} = {named!r} names no file; allowed: ENVIRONMENT/NAME, such as base/product")
    return _over(_extended(environment_file(*found.groups())), values)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of both; of a value, what `above` says."""
    both = {key: _over(below[key], above[key]) for key in above if _is_section(below.get(key)) and _is_section(above[key])}
    return {**below, **above, **both}


def _is_section(value: Any) -> bool:
    return isinstance(value, dict)


def validate(schema: type[Schema], values: Mapping[str, Any], where: str) -> Schema:
    """`values` as `schema`; every problem is one line with the key's path, the value and what is allowed."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(explain(schema, e, where) for e in error.errors())) from error


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at dotted `path`, making the sections that are missing.

    Raises:
        ConfigError: a part of the path holds a value, not a section.
    """
    *sections, name = path.split(".")
    node = values
    for key in sections:
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise ConfigError(f"cannot set {path}: {key!r} holds a value, not a section")
        node = child
    node[name] = value


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"override {override!r} is not of the form a.b=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML") from error
    put(values, ".".join(keys), value)


def explain(schema: type[StrictModel], problem: Any, where: str) -> str:
    """One of pydantic's `errors()` as a line: what, where, and what is allowed."""
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "(whole file)"
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(_section(schema, location[:-1]))) or "no keys"
        return f"{where}: unknown key {key!r}; allowed here: {allowed}"
    return f"{where}: {key} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _section(schema: type[StrictModel], path: Sequence[str]) -> Sequence[str]:
    """Field names of the section at `path`, or none where the path leaves the schema."""
    current: Any = schema
    parts = iter(path)
    for part in parts:
        if part.isdigit():
            continue
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return ()
        current = next((t for t in _types(field.annotation) if hasattr(t, "model_fields")), None)
        if get_origin(field.annotation) is dict:
            next(parts, None)  # a key of the mapping
    return list(getattr(current, "model_fields", ()))


def _types(annotation: Any) -> list[Any]:
    """The annotation and everything inside its brackets."""
    found = [annotation]
    for inner in getattr(annotation, "__args__", ()):
        found.extend(_types(inner))
    return found
