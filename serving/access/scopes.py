"""What a key needs for a request: the one place that maps method and path to a scope."""

from collections.abc import Mapping

from database.keys import Scope

OPEN = frozenset({"/livez", "/healthz", "/readyz"})
"""Orchestrators ask these without a key, as often as they like."""

BELOW: Mapping[str, Scope] = {
    "/v1/multimodal": "predict",
    "/v1/price": "predict",
    "/v1/sentiment": "predict",
    "/v1/quality": "predict",
    "/v1/embeddings": "predict",
    "/v1/search": "predict",
    "/v1/generate": "predict",
    "/v1/recommendations": "predict",
    "/v1/recommendations/events": "teach",
    "/v1/recommendations/users": "read",
    "/v1/fewshot/classify": "predict",
    "/v1/fewshot/adapt": "teach",
    "/v1/fewshot/tasks": "teach",
    "/v1/feedback": "teach",
    "/v1/jobs": "predict",
    "/v1/catalog": "catalog",
    "/v1/models": "read",
    "/metrics": "read",
    "/openapi.json": "read",
    "/assets": "read",
    "/playground": "read",
}
"""Scope of a path and of all below it; the longest that fits counts. A key sees jobs of its own alone."""

PAGE: Scope = "read"
DEEPEST = max(path.count("/") for path in BELOW)


def scope_of(path: str) -> Scope | None:
    """The scope that `path` (decoded, without query) needs; None where none is asked for. What is not listed needs `admin`."""
    if path in OPEN:
        return None
    if path == "/":
        return PAGE
    parts = path.split("/", DEEPEST + 1)[: DEEPEST + 1]
    while parts:
        if (scope := BELOW.get("/".join(parts))) is not None:
            return scope
        parts.pop()
    return "admin"
