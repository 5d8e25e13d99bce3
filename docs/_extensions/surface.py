"""The public surface: every name that a public package lists, each at one home."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import ranvier

#: packages that are for the command line and for those who change the package
INNER = ("ranvier.cli", "ranvier.codegen", "ranvier.atlas.site")


def packages() -> list[str]:
    """Public packages that list their names, and the modules among these names."""
    listed: set[str] = {"ranvier"}
    for info in pkgutil.walk_packages(ranvier.__path__, "ranvier."):
        private = any(part.startswith("_") for part in info.name.split("."))
        inner = any(info.name == name or info.name.startswith(f"{name}.") for name in INNER)
        if info.ispkg and not private and not inner:
            module = importlib.import_module(info.name)
            listed |= {info.name} if names(module) else set()
            listed |= {m.__name__ for n in getattr(module, "__all__", ()) if inspect.ismodule(m := getattr(module, n))}
    return sorted(listed)


def names(module: ModuleType) -> list[str]:
    """What a package lists, but for modules."""
    listed = [n for n in getattr(module, "__all__", ()) if not n.startswith("_")]
    return sorted((n for n in listed if not inspect.ismodule(getattr(module, n))), key=str.lower)


def public() -> Iterator[tuple[str, str, Any]]:
    """(package, name, object) of all that is public; what several packages list is at home in the last of them,
    `ranvier.neurons` rather than `ranvier`."""
    homes: dict[int, tuple[str, str, Any]] = {}
    for package in sorted(packages(), key=lambda name: (name.count("."), name)):
        module = importlib.import_module(package)
        for name in names(module):
            value = getattr(module, name)
            first = homes.get(id(value))
            if first is None or first[0] == "ranvier":
                homes[id(value)] = (package, name, value)
    yield from sorted(homes.values(), key=lambda home: (home[0], home[1].lower()))


__all__ = ["names", "packages", "public"]
