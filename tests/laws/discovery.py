"""Every part of a kind is found: the public subclasses in the package, each of which must have a `Case`.

A kind's law suite calls `require_cases(Kind, CASES)` in one test, and runs its laws over `CASES`. So a new part is a
new file, an export, and a case; one without a case fails by name.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Collection, Iterator, Mapping

import ranvier


@functools.cache
def import_all() -> tuple[str, ...]:
    """Import every module of the package, so that its classes exist; the modules' names."""
    names = [m.name for m in pkgutil.walk_packages(ranvier.__path__, "ranvier.") if not m.name.endswith("__main__")]
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:  # of an optional library, as Triton
            if (error.name or "").partition(".")[0] in ("", "ranvier"):
                raise
    return tuple(names)


def subclasses(kind: type) -> list[type]:
    """The public subclasses of `kind` in the package, private ones' too, by name."""
    import_all()

    def below(base: type) -> Iterator[type]:
        for each in base.__subclasses__():
            yield each
            yield from below(each)

    # classes read from a file have a module, but are no part of it
    public = {
        c for c in below(kind)
        if c.__module__.startswith("ranvier.") and not c.__name__.startswith("_")
        and getattr(sys.modules.get(c.__module__), c.__name__, None) is c
    }  # fmt: skip
    return sorted(public, key=lambda c: (c.__name__, c.__module__))


def require_cases(kind: type, having: Collection[type], without: Mapping[str, str] | None = None) -> None:
    """Fail, by name, for a subclass that no case is given for. `without`: name -> why it has none."""
    without = without or {}
    known = subclasses(kind)
    missing = [f"{c.__module__}.{c.__qualname__}" for c in known if c not in having and c.__name__ not in without]
    assert not missing, f"{kind.__name__} without a Case: {', '.join(missing)}. Add one beside the laws."
    stale = set(without) - {c.__name__ for c in known}
    assert not stale, f"exempt, but not in the package: {', '.join(sorted(stale))}"
    both = {c.__name__ for c in having} & set(without)
    assert not both, f"exempt, but with a case: {', '.join(sorted(both))}"
