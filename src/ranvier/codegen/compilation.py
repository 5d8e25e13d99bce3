"""The compiler as the package uses it: numba's, with machine code that is kept between processes.

A function's file is found by a digest of all that its machine code depends on: the function and what it refers to
(`fingerprint`), its argument types and options, the versions, the processor. So a file is never out of date.
"""

from __future__ import annotations

import gc
import hashlib
import linecache
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core import sigutils
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

import ranvier
from ranvier.codegen.cache import folder as cache_folder
from ranvier.codegen.cache.fingerprint import fingerprint, stable, translation_sources
from ranvier.codegen.cache.machine_code import NotKeepable, pack, pack_object, unpack, unpack_object
from ranvier.codegen.kernel_text import require_kernel
from ranvier.codegen.translation.functions import Unsupported, translated

#: what the compiler may do to gradients beyond IEEE's letter; nothing to simulations, which have the same bits on all
#: processors
FASTMATH = frozenset({"contract", "nsz", "arcp"})
#: whether functions of the subset go without numba's front end; the machine code computes the same
TRANSLATE = True
_VERSIONS = (ranvier.__version__, numba.__version__, llvmlite.__version__, np.__version__, sys.version_info[:2])
_log = logging.getLogger("ranvier")
_alive: list[Any] = []  # machine code lives as long as its Python object


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """`numba.njit`, with machine code that is kept between processes; the options are numba's."""
    if function is None:
        return lambda function: compiled(function, **options)
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = _Cache(function, options, callers=True)
    dispatcher.compile = _uninterrupted(dispatcher.compile)
    return dispatcher


@cache
def address(function: Callable, signature: Any, fastmath: frozenset[str] = frozenset()) -> int:
    """The address of `function` compiled for `signature`, as C calls it.

    Of the subset of `codegen.translation` it is compiled in a tenth of numba's time; otherwise by numba.
    """
    if TRANSLATE and signature.return_type == types.none:
        try:
            return _translated_address(function, signature, fastmath)
        except Unsupported as error:
            _log.debug("%s is compiled by numba: %s", function.__qualname__, error)
    options = {"nopython": True, "error_model": "numpy", "fastmath": set(fastmath)}
    entry = CFunc(function, sigutils.normalize_signature(signature), {}, options)
    entry._cache = _Cache(function, options, callers=False)
    _uninterrupted(entry.compile)()
    _alive.append(entry)
    return entry.address


def _translated_address(function: Callable, signature: Any, fastmath: frozenset[str]) -> int:
    codegen = cpu_target.target_context.codegen()
    parts = ("translated", translation_sources(), fingerprint(function), str(signature), sorted(fastmath), _VERSIONS)
    key = hashlib.sha256(repr((parts, codegen.magic_tuple())).encode()).hexdigest()[:40]
    with global_compiler_lock, interrupts_later():
        rtsys.initialize(cpu_target.target_context)
        library, name = None, f"ranvier_{key}"
        if parts[2] is not None and (data := cache_folder.read(key)) is not None:
            library = unpack_object(data, codegen)
        if library is None:
            module = translated(function, signature, name, fastmath)
            library = codegen.create_library(name)
            library.enable_object_caching()
            module.triple, module.data_layout = codegen._llvm_module.triple, codegen._data_layout
            library.add_ir_module(module)
            library.finalize()
            if parts[2] is not None:
                cache_folder.write(key, pack_object(library, name))
        _alive.append(library)
        return library.get_pointer_to_function(name)


@cache
def kernel_address(text: str) -> int:
    """The address of the function `kernel` in a text, which defines its SIGNATURE, and FASTMATH where it has some."""
    module = module_of(text, "kernel")
    return address(module.kernel, module.SIGNATURE, frozenset(getattr(module, "FASTMATH", ())))


def module_of(text: str, kind: str) -> ModuleType:
    """A module from a text that this package has printed; it lies in no file."""
    name = f"ranvier_{kind}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    if name not in sys.modules:
        require_kernel(text)
        module = ModuleType(name)
        module.__file__ = path = f"<{name}>"
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)  # for whoever asks for a line
        exec(compile(text, path, "exec"), module.__dict__)
        sys.modules[name] = module
    return sys.modules[name]


class _Cache:
    """What numba asks for machine code, and gives it to."""

    cache_path = None

    def __init__(self, function: Callable, options: dict[str, Any], *, callers: bool) -> None:
        self.function, self.options, self.callers = function, options, callers
        self.digest: str | None = None
        self.fingerprinted = False

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The function compiled for these argument types; None where it must be compiled."""
        result = self._load(signature, context)
        if result is None:
            context.refresh()
        return result

    def _load(self, signature: Any, context: Any) -> Any:
        if self.callers:
            context.refresh()  # all that numba knows of types: compiled code that calls this asks for it
        else:
            rtsys.initialize(context)  # the symbols of numba's runtime
        if not self.fingerprinted:
            self.fingerprinted, self.digest = True, fingerprint(self.function)
            if self.digest is not None:
                # symbols of loaded code must not clash with those of other contents
                self.function.__qualname__ += f"_{self.digest[:16]}"
        if self.digest is None:
            _log.debug("%s is not kept between processes: it refers to unknown values", self.function.__qualname__)
            return None
        arguments = _arguments(signature)
        data = cache_folder.read(self._key(arguments, context.codegen()))
        if data is None:
            return None
        try:
            return unpack(data, arguments, context)
        except Exception as error:  # whatever numba and LLVM raise: code is compiled again
            _log.debug("%s is compiled again: %r", self.function.__qualname__, error)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what has been compiled."""
        if self.digest is None:
            return
        try:
            data = pack(result, callers=self.callers)
        except NotKeepable as error:
            _log.debug("%s is not kept between processes: %s", self.function.__qualname__, error)
            return
        cache_folder.write(self._key(_arguments(signature), result.codegen), data)

    def _key(self, arguments: tuple[Any, ...], codegen: Any) -> str:
        parts = (self.digest, [str(t) for t in arguments], stable(self.options), self.callers, _VERSIONS)
        return hashlib.sha256(repr((parts, codegen.magic_tuple())).encode()).hexdigest()[:40]


def _arguments(signature: Any) -> tuple[Any, ...]:
    return tuple(getattr(signature, "args", signature))


def _uninterrupted(compile: Callable) -> Callable:
    @wraps(compile)
    def wait(*arguments: Any, **named: Any) -> Any:
        with interrupts_later(), _collection_later():
            return compile(*arguments, **named)

    return wait


@contextmanager
def _collection_later() -> Iterator[None]:
    """No search for cyclic garbage: numba makes enough objects for it to take a seventh of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Ctrl-C is heard at the end of the block: LLVM calls back into Python, where an exception would be lost."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    heard: list[Any] = []
    signal.signal(signal.SIGINT, lambda *event: heard.append(event))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if heard:
            usual(*heard[0])
