"""The BentoML service: `vitrina serve`, or a Bento of it.

BentoML runs the workers and packs the service; the application answers every path, so that /readyz, the errors and the
OpenAPI page are ours. No `bentoml.api` is declared: nothing here reads BentoML's own content types, one of which is pickle.
"""

import os
from pathlib import Path

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from configs.schema import ServingConfig
from configs.settings import Settings
from serving.access import passed
from serving.app import create_app
from serving.inner import front_of, secret
from serving.logs import configure
from serving.parent import end_with_parent, know_parent
from serving.run import CONFIG
from serving.source import PACKED, PackedSource, RegistrySource, with_packed

know_parent()
packed = Path(__file__).parents[1] / PACKED
config = with_packed(ServingConfig.model_validate_json(os.environ.get(CONFIG, "{}")), packed)
settings = Settings.from_environment()
follows = "MLFLOW_TRACKING_URI" in os.environ or not packed.is_dir()
source = RegistrySource(settings, config) if follows else PackedSource(packed, config)
workers_front = os.environ.get(passed.TOKEN)
os.environ["FORWARDED_ALLOW_IPS"] = ",".join([passed.LISTENS_ON] if workers_front else config.access.trusted_proxies)
"""uvicorn, which has not begun yet, believes these alone; by default it believes whatever comes from loopback."""
front = workers_front or front_of(os.environ, gateway=bool(config.upstreams))
app = create_app(settings, config, source, front, secret(os.environ))


class Everything:
    """ASGI middleware that hands every request to `app` before BentoML's own routes see it."""

    def __init__(self, app: ASGIApp) -> None:
        self.inner = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on the lifespan."""
        await (app if scope["type"] == "http" else self.inner)(scope, receive, send)


@bentoml.service(
    name="vitrina",
    workers=config.workers,
    resources={"gpu": 1} if config.device == "cuda" else {},  # which all workers share
    traffic={"timeout": config.net_seconds},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    envs=[
        {"name": "OTEL_SDK_DISABLED", "value": "true"},
        {"name": "OMP_NUM_THREADS", "value": "1"},
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
    ],
)
@bentoml.asgi_app(app)
class Vitrina:
    """Product intelligence for shop listings."""

    def __init__(self) -> None:
        end_with_parent()
        configure(config.log)


Vitrina.add_asgi_middleware(Everything)  # type: ignore[attr-defined]  # the decorator makes it a bentoml.Service
