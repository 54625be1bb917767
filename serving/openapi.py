"""The OpenAPI document and its page, which needs nothing from outside this server."""

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import bentoml
from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from registry.versions import CHALLENGER, CHAMPION
from serving.access.scopes import scopes_of
from serving.errors import ErrorBody
from serving.requests import ALIAS, FORM, FORM_JSON, IDEMPOTENCY_KEY, JSON, KEY, MAX_SAID
from serving.schemas import ID_AS_TEXT, PHOTO_TYPES, RequestModel

ASSETS = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"
"""Swagger UI as BentoML ships it."""

OF_KEYS = (401, 403, 429, 503)
"""What any route but health answers where a key is missing, opens something else, asks too often, or cannot be looked up."""
SCHEMES: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key that `vitrina keys create` printed"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same"},
    "basic": {"type": "http", "scheme": "basic", "description": "the same as password, with any name: for browsers"},
}
COMPONENTS = "#/components/schemas/"
_POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def request_body(schema: type[RequestModel], form: bool = False, at_most: Mapping[str, int] | None = None) -> dict[str, Any]:
    """`openapi_extra` of a route whose body `serving.requests.read` reads; `at_most` are lengths of lists that are configured."""
    described = json.loads(_schema(schema))
    for name, limit in (at_most or {}).items():
        described["properties"][name]["maxItems"] = limit
    content: dict[str, Any] = {JSON: {"schema": described}}
    if form:
        properties = {name: _in_a_form(known) for name, known in described["properties"].items()}
        file = {"type": "string", "format": "binary", "description": "a whole JPEG, PNG or WebP"}
        encoding = {"image": {"contentType": PHOTO_TYPES}}
        encoding |= {name: {"contentType": JSON} for name in FORM_JSON if name in properties}
        filled_in = described | {"title": f"{described['title']}Form", "properties": properties | {"image": file}}
        content[FORM] = {"schema": filled_in, "encoding": encoding}
    return {"requestBody": {"required": True, "content": content}}


@lru_cache(maxsize=64)  # of the classes that every application has; those that one makes for itself fall out
def _schema(schema: type[RequestModel]) -> str:
    """JSON Schema of a body, as text: whoever takes it changes a copy."""
    return json.dumps(schema.model_json_schema(ref_template=COMPONENTS + "{model}"))


def one_of(*bodies: Mapping[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route whose JSON body is one of several, each as `request_body` describes it, with their forms."""
    contents = [body["requestBody"]["content"] for body in bodies]
    schemas = [content[JSON]["schema"] for content in contents]
    forms = {kind: described for content in contents for kind, described in content.items() if kind != JSON}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": {"oneOf": schemas}}, **forms}}}


def _in_a_form(known: dict[str, Any]) -> dict[str, Any]:
    """A property as a form field, which cannot be null: it is left out."""
    kinds = [kind for kind in known.get("anyOf", ()) if kind != {"type": "null"}]
    said = {name: value for name, value in known.items() if name not in ("anyOf", "default", "examples")}
    return {**kinds[0], **said} if len(kinds) == 1 else known


def repeatable() -> dict[str, Any]:
    """`openapi_extra` of a route that takes the same request twice as one."""
    key = {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "required": False,
        "description": "name of this request, such as a UUID: sent again with the same name, it counts once",
        "schema": {"type": "string", "pattern": KEY},
    }
    return {"parameters": [key]}


def in_path(name: str, description: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Documentation of a parameter of the path: any text, as what is not the name of something is answered by 404."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema or {"type": "string"}}


def in_query(name: str, description: str, default: int | None, most: int, least: int = 1) -> dict[str, Any]:
    """Documentation of a number in the query that `serving.requests.count` reads."""
    schema = {"type": "integer", "minimum": least, "maximum": most} | ({} if default is None else {"default": default})
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def said_in_query(name: str, description: str, most: int = MAX_SAID) -> dict[str, Any]:
    """Documentation of a text in the query that `serving.requests.said` reads."""
    schema = {"type": "string", "maxLength": most, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def in_query_an_id(name: str, description: str) -> dict[str, Any]:
    """Documentation of an id in the query that `serving.requests.an_id` reads."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": ID_AS_TEXT}


def told(description: str) -> dict[str, Any]:
    """Documentation of a header of an answer."""
    return {"description": description, "schema": {"type": "string"}}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documentation of the error answers of a route; those of keys and rates are every route's."""
    return {status: {"model": ErrorBody} for status in sorted({*statuses, *OF_KEYS})}


def _named(document: dict[str, Any]) -> None:
    """Put the schemas of request bodies, and what they define, among the components, under their titles.

    Generated clients then have names for them. Two schemas of one name are a fault of ours.
    """
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})

    def component(name: str, schema: dict[str, Any]) -> None:
        known = schemas.setdefault(name, schema)
        assert known == schema, f"two schemas are named {name}"

    def named(schema: dict[str, Any]) -> dict[str, Any]:
        if "oneOf" in schema:
            return schema | {"oneOf": [named(one) for one in schema["oneOf"]]}
        for name, definition in schema.pop("$defs", {}).items():
            component(name, definition)
        component(schema["title"], schema)
        return {"$ref": COMPONENTS + schema["title"]}

    for methods in document["paths"].values():
        for operation in methods.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                body["schema"] = named(body["schema"])


def _keyed(document: dict[str, Any]) -> None:
    """Say how a key is sent, and which scope each operation needs; a server that asks for none takes requests without."""
    document["components"]["securitySchemes"] = SCHEMES
    for path, methods in document["paths"].items():
        needed = scopes_of(path)
        for operation in methods.values():
            operation["security"] = [{}, *({scheme: [scope]} for scope in needed for scheme in SCHEMES)] if needed else []


def _compared(document: dict[str, Any], paths: Collection[str]) -> None:
    """Say that a challenger may answer the POST operations of `paths`."""
    alias = {
        "name": ALIAS,
        "in": "header",
        "required": False,
        "description": "who answers: the champion, or the version that a reviewer may promote next, where the service follows "
        "challengers; what that answers is neither kept nor seen by monitoring, takes no feedback, and is never left as a job",
        "schema": {"type": "string", "enum": [CHAMPION, CHALLENGER], "default": CHAMPION},
    }
    refused = {"description": "There is no challenger, or the service follows none."}
    for path in paths:
        operation = document["paths"][path]["post"]
        operation["parameters"] = [*operation.get("parameters", ()), alias]
        operation["responses"]["409"] = operation["responses"]["400"] | refused


def install(app: FastAPI, compared: Collection[str] = ()) -> None:
    """Serve the page at `/`, the document at `/openapi.json`; a challenger may answer the POST operations of `compared`."""
    plain = app.openapi

    def extended() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _named(document)
            _keyed(document)
            _compared(document, compared)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = extended  # type: ignore[method-assign]  # FastAPI's own way of extending the document
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> HTMLResponse:
        html = get_swagger_ui_html(
            openapi_url="./openapi.json",
            title="Vitrina API",
            swagger_js_url="./assets/swagger-ui-bundle.js",
            swagger_css_url="./assets/swagger-ui.css",
            swagger_favicon_url="./assets/favicon-light-32x32.png",
        )
        html.headers["Content-Security-Policy"] = _POLICY
        return html

    app.include_router(router)
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
