"""Kernels written as text: kept in the user's cache folder, compiled, loaded.

numba caches only what lies in a file, so kernels are written to a folder keyed by their text, what it imports of
this package, and the versions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """Where kernels are kept: $RANVIER_CACHE_DIR, or `ranvier/kernels` in the user's cache folder."""
    if given := os.environ.get("RANVIER_CACHE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ranvier" / "kernels"


_compiled: dict[str, object] = {}


def compile_kernel(text: str) -> int:
    """The address of the compiled kernel, from memory, the cache on disk, or the compiler."""
    import numba

    import ranvier
    from ranvier._files import write_atomic
    from ranvier.codegen.kernel_text import require_kernel

    versions = f"{ranvier.__version__} {numba.__version__} {sys.version_info[:2]}".encode()
    key = hashlib.sha256(text.encode() + _imported(text) + versions).hexdigest()[:24]
    if key not in _compiled:
        require_kernel(text)
        path = cache_folder() / f"kernel_{key}.py"
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomic(path, text)
        try:
            _compiled[key] = load(path)
        except Exception:
            # a damaged cache fails in many ways: compile anew, once
            damaged = list((path.parent / "__pycache__").glob(f"{path.stem}.*"))
            if not damaged:
                raise
            for file in damaged:
                file.unlink(missing_ok=True)
            _compiled[key] = load(path)
    return _compiled[key].address  # type: ignore[attr-defined]


def _imported(text: str) -> bytes:
    """The package's own modules that a kernel's text imports, which become part of its machine code."""
    found = sorted(re.findall(r"^from (ranvier[\w.]*) import (\w+)", text, re.MULTILINE))
    return b"".join(_source(f"{package}.{name}") or _source(package) for package, name in found)


@cache
def _source(module: str) -> bytes:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name within a module
        return b""
    return b"" if spec is None or spec.origin is None else Path(spec.origin).read_bytes()


def load(path: Path) -> object:
    name = f"ranvier_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OSError(f"the kernel {path} cannot be loaded; delete the folder {path.parent} and try again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba's cache imports it by name
    spec.loader.exec_module(module)
    return module.kernel
