"""ZenML's dashboard, as `vitrina up` starts it, has no form to show: what its pages decide by is asked of a real server."""

import json
import urllib.request

import pytest
from ports import free_port

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from operations.dashboard import decline_form
from operations.environment import prepare
from operations.processes import stack, start, stop


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def dashboard(settings, port, monkeypatch):
    """The process of the local stack, with a store of its own."""
    for name in ("ZENML_CONFIG_PATH", "ZENML_LOCAL_STORES_PATH"):
        monkeypatch.setenv(name, str(settings.home / "zenml" / name))
    prepare(settings)
    [process] = [p for p in stack(settings, ServingConfig(), "base", 300, 5000, port) if p.name == "zenml"]
    yield process
    stop(settings, [process])


def asked(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1/{path}", data, headers, method="GET" if data is None else "PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_dashboard_does_not_open_with_a_form_and_a_persons_answer_stays(settings, dashboard):
    [state] = start(settings, [dashboard], wait_seconds=120)
    user = asked(state.url, "current-user")
    assert user["body"]["email_opted_in"] is False  # null opens the form for name and e-mail
    assert user["metadata"]["email"] is None
    assert user["metadata"]["user_metadata"]["finished_onboarding_survey"] is True  # without it, the survey opens
    news = asked(state.url, "settings")["body"]
    assert (news["display_announcements"], news["display_updates"], news["enable_analytics"]) == (False, False, False)

    asked(state.url, "settings", {"display_updates": True})
    asked(state.url, "current-user", {"email_opted_in": True, "email": "ada@shop.example", "full_name": "Ada"})
    start(settings, [dashboard], wait_seconds=120)  # `vitrina up` again
    user = asked(state.url, "current-user")
    assert (user["body"]["email_opted_in"], user["body"]["full_name"]) == (True, "Ada")
    assert asked(state.url, "settings")["body"]["display_updates"] is True


def test_a_server_that_does_not_take_the_answer_is_named_in_one_line(port):
    with pytest.raises(VitrinaError, match=rf"127\.0\.0\.1:{port}/api/v1/current-user: .*refused") as error:
        decline_form(f"http://127.0.0.1:{port}")
    assert "\n" not in str(error.value)
