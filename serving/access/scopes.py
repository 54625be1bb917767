"""What a key needs for a request: the one place that maps method and path to a scope."""

from collections.abc import Mapping

from database.keys import Scope

OPEN = frozenset({"/livez", "/healthz", "/readyz"})
"""Orchestrators ask these without a key, as often as they like."""

BELOW: Mapping[str, Scope | tuple[Scope, ...]] = {
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
    "/v1/jobs": ("predict", "catalog"),
    "/v1/catalog": "catalog",
    "/v1/models": "read",
    "/metrics": "read",
    "/openapi.json": "read",
    "/assets": "read",
    "/playground": "read",
}
"""Scope of a path and of all below it, or scopes of which one is enough; the longest that fits counts.

Jobs are left by routes of either scope, and a key sees those of its own alone.
"""

PAGE: Scope = "read"
DEEPEST = max(path.count("/") for path in BELOW)


def scopes_of(path: str) -> tuple[Scope, ...]:
    """Scopes of which `path` (decoded, without query) needs one: none where no key is asked for, `admin` where it is unlisted."""
    if path in OPEN:
        return ()
    if path == "/":
        return (PAGE,)
    parts = path.split("/", DEEPEST + 1)[: DEEPEST + 1]
    while parts:
        if (scope := BELOW.get("/".join(parts))) is not None:
            return (scope,) if isinstance(scope, str) else scope
        parts.pop()
    return ("admin",)
