"""The command line. Nothing heavy is imported before a command needs it: `ranvier --help` stays quick."""

from __future__ import annotations


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 2, Ctrl-C in 130.

    With the environment variable RANVIER_TRACEBACK set, the whole traceback is shown instead.
    """
    try:
        from ranvier._text import spell_out_on_terminals
        from ranvier.cli.commands import app
        from ranvier.cli.errors import guarded
    except KeyboardInterrupt:
        import sys

        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None
    spell_out_on_terminals()
    raise SystemExit(guarded(app))


__all__ = ["main"]
