"""Commands that the documentation, the README and the Makefile show: the command line knows their words and options."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ranvier.cli.commands import app

ROOT = Path(__file__).parents[2]
_COMMAND = re.compile(r"(?:^\$ |^!|`|\(VENV\)/bin/|bin/)ranvier((?: [^\s`|#;&>]+)+)", re.M)
FILES = [
    ROOT / "README.md", ROOT / "Makefile", ROOT / ".ci" / "dist", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")), *sorted((ROOT / "docs" / "guides").glob("*.md")),
]  # fmt: skip


def shown(text: str) -> list[list[str]]:
    """The arguments of each command; a line's continuation is another command."""
    return [match[1].replace('"', "").split() for match in _COMMAND.finditer(text)]


def complaint(arguments: list[str]) -> str:
    """What the command line says of words and options that it does not know; nothing is run."""
    command: Any = typer.main.get_command(app)
    context = None
    try:
        while hasattr(command, "resolve_command") and arguments and not arguments[0].startswith("-"):
            context = command.make_context(command.name, list(arguments), context)
            _, command, arguments = command.resolve_command(context, arguments)
        if context is not None and not hasattr(command, "resolve_command"):
            command.make_context(command.name, [word for word in arguments if word != "--help"], context)
    except Exception as error:  # of a library that typer holds inside
        message = getattr(error, "format_message", str)()
        if not message:
            raise
        return message if message.startswith("No such") else ""  # values may be left out, or stand for others
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_that_are_shown_exist(path: Path):
    wrong = {" ".join(arguments): complaint(arguments) for arguments in shown(path.read_text("utf-8"))}
    assert not any(wrong.values()), wrong


def test_a_wrong_command_is_noticed():
    text = "$ ranvier atlas run --all --out x   # words\n`ranvier atlas run --all --seed 0`, `ranvier atlass`\n"
    option, right, command = map(complaint, shown(text))
    assert "--out" in option and not right and "atlass" in command
