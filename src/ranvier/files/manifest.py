"""What a result was made with: versions, platform, threads, and what the caller adds (seed, size, ...)."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("torch", "numpy", "scipy", "numba", "sympy")


def manifest(**what: Any) -> dict[str, Any]:
    """A JSON-able record of the software and machine, with `what` in front."""
    return {
        **what,
        "ranvier": _version("ranvier"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
