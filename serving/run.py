"""Starts the HTTP service in the foreground."""

import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from models.family import check_launch
from registry.versions import with_champion
from serving.inner import TOKEN, check_address, secret
from serving.parent import PARENT
from serving.routes import discover

ROOT = Path(__file__).parents[1]
SERVICE = "serving.service:Vitrina"
CONFIG = "VITRINA_SERVING"
"""Variable by which a server's processes know their configuration."""


class ServingError(VitrinaError):
    """The service cannot start."""


def command(settings: Settings, config: ServingConfig) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the process that serves: BentoML, with a front before it where there are several workers.

    Raises:
        ServingError: the host is not an address of this machine, or the port is taken.
        ConfigError: a service behind a gateway would be reached by others, or a model cannot compute as configured.
        VitrinaError: there is no such device.
    """
    host = "127.0.0.1" if config.host == "localhost" else config.host
    _check_address(host, config.port)
    if secret(os.environ) is not None and not config.upstreams:
        check_address(host)
        if config.playground.enabled:
            raise ServingError(f"playground.enabled: a service behind a gateway ({TOKEN} is set) has no page; its gateway may")
    if (config.device, config.precision, config.compile) != ("auto", "fp32", "none"):
        for model in set(config.models) - set(config.upstreams):
            check_launch(model, config.device, config.precision, config.compile)
    state = settings.home / "serving" / str(config.port)  # BentoML clears its metrics folder there: one a server
    environment = {name: value for name, value in os.environ.items() if name != PARENT} | {
        "VITRINA_HOME": str(settings.home),
        "VITRINA_DATABASE_URL": settings.database_url,
        CONFIG: config.model_copy(update={"host": host}).model_dump_json(),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "BENTOML_HOME": str(state),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    if config.workers > 1:
        return [sys.executable, "-m", "serving.workers"], environment
    arguments = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--working-dir", str(ROOT)]
    return [*arguments, "--host", host, "--port", str(config.port)], environment


def serve(settings: Settings, config: ServingConfig, beside: Sequence[str] = ()) -> None:
    """Become the server; does not return. `beside` is a command that is started first, and that ends by itself with this process.

    Raises:
        ServingError: see `command`.
    """
    arguments, environment = command(settings, with_all_models(settings, config))
    if beside:
        subprocess.Popen(beside, env=environment, stdin=subprocess.DEVNULL)
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - our own interpreter, no shell


def with_all_models(settings: Settings, config: ServingConfig) -> ServingConfig:
    """The configuration, with every model where it names none itself: one that has no champion yet is served from its first on.

    Where none has one, the service waits for those of its default. A gateway that names none loads none.
    """
    if "models" in config.model_fields_set:
        return config
    if config.upstreams:
        return config.model_copy(update={"models": ()})
    every = tuple(discover())
    promoted = with_champion(settings, every)
    awaited = promoted or config.models
    return config.model_copy(update={"models": every, "unpromoted": tuple(name for name in every if name not in awaited)})


def _check_address(host: str, port: int) -> None:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError as error:
        raise ServingError(f"host {host!r} is not an IP address; 127.0.0.1 serves this machine, 0.0.0.0 the network") from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port or --host"
            ) from error
