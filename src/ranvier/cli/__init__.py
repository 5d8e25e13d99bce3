"""The command line. Nothing heavy is imported before a command needs it: `ranvier --help` stays quick."""

from __future__ import annotations


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 2, Ctrl-C in 130.

    With the environment variable RANVIER_TRACEBACK set, the whole traceback is shown instead.
    """
    from ranvier.cli.interrupts import INTERRUPTED, leave, take_over

    take_over()
    try:
        from ranvier._text import spell_out_on_terminals
        from ranvier.cli.commands import app
        from ranvier.cli.errors import guarded

        spell_out_on_terminals()
        code = guarded(app)
    except KeyboardInterrupt:
        import sys

        print("stopped", file=sys.stderr)
        code = INTERRUPTED
    leave(code)


__all__ = ["main"]
