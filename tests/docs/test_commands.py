"""The commands that the pages show are ones that the command line takes."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from cli import app
from configs.load import environment_file, load
from configs.schema import RunConfig, ServingConfig
from models import family

ROOT = Path(__file__).parents[2]
PAGES = [path for folder in (".", "docs", "deploy", "client") for path in (ROOT / folder).rglob("*.md")]
PAGES = sorted({path for path in PAGES if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)})
ELLIPSIS = "…"


def shown(page: Path) -> Iterator[list[str]]:
    """Arguments of every `vitrina` in the page's shell blocks."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for words in simple_commands(re.sub(r"(^|\s)#\s.*$", "", block.replace("\\\n", " "), flags=re.MULTILINE)):
            start = next((place for place, word in enumerate(words) if "=" not in word), len(words))
            if words[start : start + 1] == ["vitrina"]:
                yield words[start + 1 :]
            elif "torchrun" in words[: start + 1] and "cli" in words:
                yield words[words.index("cli") + 1 :]


def simple_commands(text: str) -> Iterator[list[str]]:
    """Words of each command of a script; those that a pipe, `&&` or the like divides are several."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    for divides, words in itertools.groupby(lexer, key=lambda word: set(word) <= set(";|&\n")):
        if not divides:
            yield list(words)


COMMANDS = [(page, arguments) for page in PAGES for arguments in shown(page) if ELLIPSIS not in " ".join(arguments)]


def parsed(command: Any, name: str, arguments: list[str], parent: Any = None) -> dict[str, Any]:
    """What the command would be called with, and its name; raises where the command line refuses."""
    context = command.make_context(name, list(arguments), parent=parent)
    if isinstance(command, TyperGroup):
        found, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        return parsed(inner, str(found), rest, context)
    return {"command": name, **context.params}


def check(arguments: list[str]) -> None:
    """Raises where the command line, or the configuration, refuses."""
    told = parsed(typer.main.get_command(app), "vitrina", arguments)
    chosen = told.get("overrides") or []
    if told["command"] in ("serve", "up", "worker"):
        load(ServingConfig, environment_file(told["env"], "serving"), chosen)
    elif "env" in told and told.get("model") and not told.get("config"):
        model = told["model"].partition("@")[0]
        config: type[RunConfig] = family.get(model).config
        load(config, environment_file(told["env"], model), chosen)


def test_there_are_commands_in_the_pages() -> None:
    assert len(COMMANDS) > 50
    assert {"README.md", "docs/training.md", "deploy/README.md"} <= {str(page.relative_to(ROOT)) for page, _ in COMMANDS}


@pytest.mark.parametrize(
    ("page", "arguments"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, list) else value.name
)
def test_a_command_is_taken_with_the_settings_that_it_sets(page: Path, arguments: list[str]) -> None:
    check(arguments)


@pytest.mark.parametrize(
    "wrong", ["trian product", "train product --data x --env gpu", "serve --set playgroud.enabled=true", "up --prot 1"]
)
def test_one_that_would_be_refused_is_found(wrong: str) -> None:
    with pytest.raises(Exception, match=r"No such|no product\.yaml|unknown key"):
        check(wrong.split())
