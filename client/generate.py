"""Writes what `vitrina_client` has of the service's OpenAPI document, and its synchronous half.

make client                                       # or: .venv/bin/python client/generate.py
.venv/bin/python client/generate.py --check       # exit code 1 where a file is not what the service says
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datamodel_code_generator import DataModelType, DatetimeClassType, InputFileType, LiteralType, PythonVersion
from datamodel_code_generator import generate as generate_models

from serving.document import describe

HERE = Path(__file__).parent
PACKAGE = HERE / "vitrina_client"
JSON = "application/json"
PHOTO = "vitrina_client.sending.Photo"
"""What holds a photo that is sent."""
REFERENCE = re.compile(r"#/components/schemas/([^\"]+)")
LEFT_OUT = {"title", "examples", "default", "pattern", "format", "minLength", "maxLength", "minimum", "maximum"} | {
    "exclusiveMinimum", "exclusiveMaximum", "maxProperties", "propertyNames", "not", "contentEncoding", "contentMediaType",
}  # fmt: skip
"""Of a schema: the service checks bounds, and says what is wrong in its own words."""
SYNCHRONOUS = {
    "AsyncBaseTransport": "BaseTransport",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncJob": "Job",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "aio": "sync",
    "asyncio": "time",
    "asynccontextmanager": "contextmanager",
}
"""Names of `aio`, and what they are called in `sync`."""


def main() -> int:
    """Write the files, or with `--check` compare them."""
    made = {path: text.encode() for path, text in files().items()}
    old = [path for path, content in made.items() if not path.is_file() or path.read_bytes() != content]
    if "--check" not in sys.argv[1:]:
        for path in old:
            path.write_bytes(made[path])
        return 0
    if old:
        names = ", ".join(str(path.relative_to(HERE.parent)) for path in old)
        sys.stderr.write(f"not what the service and `aio` say: {names}; `make client` writes them again\n")
    return 1 if old else 0


def files() -> dict[Path, str]:
    """Every file that is made, and what it holds."""
    described = describe()
    made = {
        HERE / "openapi.json": json.dumps(described, indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        PACKAGE / "models.py": answers(described),
        PACKAGE / "params.py": requests(described),
    }
    for path in sorted((PACKAGE / "aio").glob("*.py")):
        made[PACKAGE / "sync" / path.name] = synchronous(path.read_text(encoding="utf-8"), path.name)
    return {path: formatted(text, path) if path.suffix == ".py" else text for path, text in made.items()}


def answers(described: Mapping[str, Any]) -> str:
    """Pydantic models of all that the service answers; words that a newer service may add to a choice are let through."""
    held = [operation["responses"] for operation in operations(described)]
    return code(described, held, DataModelType.PydanticV2BaseModel).replace("Base64Str", "Base64Bytes")


def requests(described: Mapping[str, Any]) -> str:
    """Typed dictionaries of all that it takes as JSON."""
    held = [operation.get("requestBody", {}).get("content", {}).get(JSON, {}) for operation in operations(described)]
    return code(described, held, DataModelType.TypingTypedDict).replace(" as base64; never a URL", "")


def operations(described: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Of every path and method."""
    return [operation for methods in described["paths"].values() for operation in methods.values()]


def code(described: Mapping[str, Any], held: object, kind: DataModelType) -> str:
    """Classes of the schemas that `held` refers to."""
    known, sent = described["components"]["schemas"], kind is DataModelType.TypingTypedDict
    chosen = {name: lean(known[name], sent) for name in sorted(referred(held, known))}
    made = generate_models(
        json.dumps({"openapi": described["openapi"], "info": described["info"], "paths": {}, "components": {"schemas": chosen}}),
        input_file_type=InputFileType.OpenAPI,
        output_model_type=kind,
        target_python_version=PythonVersion.PY_311,
        collapse_root_models=True,
        disable_future_imports=True,
        disable_timestamp=True,
        enum_field_as_literal=LiteralType.All,
        formatters=[],
        output_datetime_class=DatetimeClassType.Datetime,
        use_field_description=True,
        use_generic_container_types=sent,
        use_inline_field_description=True,
        use_schema_description=True,
        use_single_line_docstring=True,
        use_standard_collections=True,
        use_union_operator=True,
        custom_file_header='"""Made from the service\'s OpenAPI document by `make client`; do not edit it by hand."""',
    )
    assert isinstance(made, str)
    return re.sub(r'"""\n{2,}', '"""\n\n', made)


def referred(held: object, known: Mapping[str, Any]) -> set[str]:
    """Names of the schemas that `held` refers to, and those to others."""
    found: set[str] = set()
    waiting = REFERENCE.findall(json.dumps(held))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += REFERENCE.findall(json.dumps(known[name]))
    return found


def lean(schema: Any, sent: bool) -> Any:
    """A schema with its types and descriptions alone."""
    if isinstance(schema, list):
        return [lean(inner, sent) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    told = {"description": schema["description"]} if "description" in schema else {}
    if schema.get("format") == "byte" and sent:
        return {"type": "string", "customTypePath": PHOTO, **told}
    if schema.get("format") in ("byte", "date-time"):
        return {"type": "string", "format": schema["format"], **told}
    if not sent and "enum" in schema:
        return {"anyOf": [{"type": "string", "enum": schema["enum"]}, {"type": "string"}], **told}
    bare = {key: inner for key, inner in schema.items() if key not in LEFT_OUT and inner is not False}
    if "properties" in bare or "$ref" in bare:
        bare.pop("anyOf", None)  # says which fields are needed together
    if "prefixItems" not in bare:
        bare.pop("minItems", None)
        bare.pop("maxItems", None)
    if "properties" in bare:
        fields = {name: lean(field, sent) for name, field in bare.pop("properties").items()}
        return {**lean(bare, sent), "properties": fields}
    return {key: lean(inner, sent) for key, inner in bare.items()}


def synchronous(source: str, name: str) -> str:
    """A module of `aio` without its waiting, made word by word as that of httpcore is."""
    words = re.sub(r"\w+", lambda word: SYNCHRONOUS.get(word[0], word[0]), re.sub(r"\b(async|await) ", "", source))
    head = f'"""Made from `aio/{name}` by `make client`; do not edit it by hand."""'
    return re.sub(r'^""".*?"""', head, words, count=1, flags=re.DOTALL)


def formatted(text: str, path: Path) -> str:
    """As `make format` leaves it at `path`."""
    for command in (["format", "--quiet"], ["check", "--fix", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(ruff, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    sys.exit(main())
