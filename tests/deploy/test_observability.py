"""Prometheus' and Grafana's files: correct in themselves, and of the metrics that the service has."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from homes import settings_of
from ports import free_port

from configs.settings import Settings
from database.keys import create
from database.monitor_runs import record_run
from docs.make_reference import touch
from monitoring import metrics
from monitoring.verdict import DriftVerdict
from serving.app import create_app
from tests.serving.conftest import CONFIG, Source

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
RULES = [rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine; Debian's package prometheus brings it")
    return found


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    done = subprocess.run([tool("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder: Path) -> Path:
    """The files, with a key beside them."""
    shutil.copytree(FOLDER, folder)
    (folder / "vitrina.key").write_text("vk_000000000000_x")
    return folder


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Labels of each metric of the service by its name, once each was counted."""
    touch()
    url = f"sqlite:///{tmp_path_factory.mktemp('metrics') / 'vitrina.db'}"
    verdict = DriftVerdict(drifted=False, enough_rows=True, n_reference=1, n_current=1, alpha=0.01, min_effect=0.1)
    record_run(url, "product", 1, "window", verdict=verdict.as_row())
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", metrics.exposition(url).decode(), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


def used(expression: str) -> set[str]:
    """Names of metrics, and of records, in an expression."""
    return set(re.findall(r"\b(vitrina[\w:]+)", re.sub(r'"[^"]*"', "", expression)))


def test_promtool_takes_the_configuration_and_the_rules(tmp_path: Path) -> None:
    folder = copied(tmp_path / "observability")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", folder=folder)
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")


def test_the_rules_pass_their_tests() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    tests = (FOLDER / "rules_test.yml").read_text()
    assert [name for name in ALERTS if f'"{name}"' not in tests] == []
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name


def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    expressions = [expression.replace("$job", "vitrina") for expression in EXPRESSIONS]
    rules = [{"record": f"panel:{place}", "expr": expression} for place, expression in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", "panels.yml", folder=tmp_path)


@pytest.mark.parametrize("of", ["rules", "tests", "dashboard"])
def test_every_metric_that_is_asked_for_exists(exposed: dict[str, set[str]], of: str) -> None:
    texts = {
        "rules": [rule["expr"] for rule in RULES],
        "tests": re.findall(r"series: '(\w+)", (FOLDER / "rules_test.yml").read_text()),
        "dashboard": EXPRESSIONS,
    }
    names = {name for text in texts[of] for name in used(text)}
    assert len(names) > 10
    assert sorted(names - RECORDED - exposed.keys()) == []


def test_every_label_that_is_asked_for_exists(exposed: dict[str, set[str]]) -> None:
    given = {"job", "instance", "le"}
    for expression in (*EXPRESSIONS, *(rule["expr"] for rule in RULES)):
        for name, selector in re.findall(r"\b(vitrina_\w+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= exposed[name] | given, expression


def test_every_metric_is_shown(exposed: dict[str, set[str]]) -> None:
    asked_for = (*EXPRESSIONS, *(rule["expr"] for rule in RULES if "record" in rule))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for text in asked_for for name in used(text)}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed if not name.endswith("_created")}
    assert sorted(ours - shown) == []


def test_panels_have_their_own_place() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_no_panel_asks_a_source_of_its_own() -> None:
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${source}"}
    provisioned = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert provisioned["datasources"][0]["type"] == "prometheus"
    assert yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/vitrina.yml").read_text())["providers"]


@contextmanager
def served(settings: Settings, source: Source) -> Iterator[int]:
    """The application behind a real server; its port."""
    config = CONFIG.model_copy(update={"access": CONFIG.access.model_copy(update={"reread_seconds": 0.05})})
    app = create_app(settings, config, source)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[str]:
    """A real Prometheus with our files, which looks every second; where it answers."""
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
    del config["alerting"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    rules = re.sub(r"for: \d+m", "for: 1s", (folder / "rules.yml").read_text())
    (folder / "rules.yml").write_text(rules)
    port = free_port()
    arguments = [f"--web.listen-address=127.0.0.1:{port}", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([tool("prometheus"), *arguments], cwd=folder, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


def asked(url: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
            return json.loads(answer.read())["data"]
    except OSError:
        return None


def firing(url: str) -> dict[str, str]:
    """Summaries of the alerts that fire, by their names."""
    found = (asked(url, "alerts") or {"alerts": []})["alerts"]
    return {alert["labels"]["alertname"]: alert["annotations"]["summary"] for alert in found if alert["state"] == "firing"}


@pytest.mark.slow
def test_a_real_prometheus_scrapes_the_service_with_a_key_and_its_alerts_fire(tmp_path: Path) -> None:
    tool("prometheus")
    folder, source = copied(tmp_path / "observability"), Source()
    settings = settings_of(tmp_path)
    _, token = create(settings.database_url, "prometheus", ("read",), who="test")
    with served(settings, source) as port, prometheus(folder, port) as url:
        until(lambda: firing(url).get("VitrinaDown") == f"127.0.0.1:{port} does not answer")  # the key is not its own yet
        (folder / "vitrina.key").write_text(token + "\n")
        until(lambda: asked(url, "query?query=vitrina_model_info")["result"])
        until(lambda: "VitrinaDown" not in firing(url))
        assert "VitrinaModelStale" not in firing(url)
        source.error = ValueError("the registry is away")
        until(lambda: "VitrinaModelStale" in firing(url))
        assert firing(url)["VitrinaModelStale"] == f"127.0.0.1:{port} answers with another version of product than champion"
        source.error = None
        until(lambda: "VitrinaModelStale" not in firing(url))
