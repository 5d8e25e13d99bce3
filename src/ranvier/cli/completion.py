"""What Tab offers for options and arguments of few values; for others the shell offers files."""

from __future__ import annotations

from collections.abc import Callable

Completion = Callable[[str], list[str]]


def among(*values: str) -> Completion:
    """Those of the values that begin as typed."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def atlas_names(incomplete: str) -> list[str]:
    """The atlas's systems that begin as typed."""
    from ranvier.atlas import listing

    return among(*(entry.name for entry in listing()))(incomplete)


__all__ = ["Completion", "among", "atlas_names"]
