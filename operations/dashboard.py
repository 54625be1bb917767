"""The first visit of ZenML's dashboard: without an answer on record it opens with a form that asks for name and e-mail.

Its pages show the form while the user's `email_opted_in` is null, and again while `finished_onboarding_survey` is not among
the user's metadata (ZenML 0.98, `zen_server/dashboard`). Both are answered here: no e-mail, nothing more to ask.
"""

import json
import urllib.error
import urllib.request
from typing import Any

from configs.errors import VitrinaError

SECONDS = 30.0
"""Longest wait for an answer of a server that has just come up."""


def decline_form(url: str) -> None:
    """Answer the form of the server at `url` with "no e-mail", and leave off news from the internet; once answered, it stays.

    Raises:
        VitrinaError: the server does not take the answer.
    """
    user = _ask(f"{url}/api/v1/current-user")
    if user["body"]["email_opted_in"] is not None:  # a person, or an earlier start, has answered
        return
    told = {**user["metadata"]["user_metadata"], "finished_onboarding_survey": True}
    _ask(f"{url}/api/v1/settings", {"display_announcements": False, "display_updates": False})
    _ask(f"{url}/api/v1/current-user", {"email_opted_in": False, "user_metadata": told})


def _ask(address: str, body: dict[str, Any] | None = None) -> Any:
    """What the server answers: to a question, or to a change with `body`."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers, method="GET" if body is None else "PUT")  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return json.load(answer)
    except (urllib.error.URLError, OSError) as error:
        raise VitrinaError(f"ZenML's dashboard does not take the answer to its first form at {address}: {error}") from error
