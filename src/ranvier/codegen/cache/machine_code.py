"""Machine code that numba has made, as bytes and back: a JSON header, object code, and LLVM's bitcode for callers.

Nothing here is a pickle, numba's own form: the header holds names, types and small constants only.
"""

from __future__ import annotations

import importlib
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding
from numba.core import types
from numba.core.compiler import CompileResult
from numba.core.environment import Environment, lookup_environment
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.typing import signature

_NUMBERS = ("boolean", *(f"{k}{bits}" for k in ("int", "uint") for bits in (8, 16, 32, 64)), "float32", "float64",
            "complex64", "complex128")  # fmt: skip


class NotKeepable(Exception):
    """The code holds what has no place in a file."""


@dataclass(frozen=True)
class Parts:
    """One function's machine code in a file."""

    header: dict[str, Any]
    objects: bytes
    bitcode: bytes

    def bytes(self) -> bytes:
        """All of it."""
        head = json.dumps(self.header).encode()
        return struct.pack("<QQ", len(head), len(self.objects)) + head + self.objects + self.bitcode

    @classmethod
    def of(cls, data: bytes) -> Parts:
        """From the bytes of `bytes`."""
        n_head, n_objects = struct.unpack_from("<QQ", data)
        start = 16 + n_head
        return cls(json.loads(data[16:start]), data[start : start + n_objects], data[start + n_objects :])


def pack(result: CompileResult, *, callers: bool) -> bytes:
    """The bytes of a compiled function; `callers`: other compiled code may call it.

    Raises NotKeepable for code that holds addresses of this process, or constants that the header has no form for.
    """
    code = result._asdict()["library"]
    if code.has_dynamic_globals or result.lifted or result.reload_init or result.objectmode:
        raise NotKeepable("addresses of this process")
    f = result.fndesc
    name, _, (objects, bitcode) = code.serialize_using_object_code()
    entries = [f.llvm_func_name, f.llvm_cfunc_wrapper_name, f.llvm_cpython_wrapper_name]
    environments = [[e.env_name, e.globals["__name__"], [_constant(c) for c in e.consts]]
                    for e in result._find_referenced_environments()]  # fmt: skip
    header = {
        "library": name, "module": f.modname, "name": f.qualname, "unique": f.unique_name, "arguments": list(f.args),
        "result": _describe(f.restype), "environment": f.env_name, "abi_tags": list(f.abi_tags), "uid": f.uid,
        "inline": f.inline, "noalias": f.noalias, "mangled": f.mangled_name,
        "constants": [_constant(c) for c in result.environment.consts], "environments": environments,
    }  # fmt: skip
    return Parts(header, objects, bitcode if callers else _stub(entries)).bytes()


def unpack(data: bytes, arguments: tuple[Any, ...], context: Any) -> CompileResult:
    """The function of `pack`, ready to be called, for the same argument types."""
    parts = Parts.of(data)
    head = parts.header
    restype = _type(head["result"])
    descriptor = PythonFunctionDescriptor(
        True, head["module"], head["name"], head["unique"], "", None, restype, None, tuple(head["arguments"]), (),
        mangler=lambda name, argtypes, **rest: head["environment" if "NumbaEnv" in name else "mangled"],
        argtypes=arguments, inline=head["inline"], noalias=head["noalias"], env_name=head["environment"],
        abi_tags=tuple(head["abi_tags"]), uid=head["uid"],
    )  # fmt: skip
    environment = _environment(head["environment"], head["module"], head["constants"])
    others = [_environment(*e) for e in head["environments"]]
    library = context.codegen().unserialize_library((head["library"], "object", (parts.objects, parts.bitcode)))
    entry = None
    if library.get_pointer_to_function(descriptor.llvm_cpython_wrapper_name):
        entry = context.get_executable(library, descriptor, environment)
    for other in others:
        library.codegen.set_env(other.env_name, other)
    return CompileResult(
        typing_context=context.typing_context, target_context=context, entry_point=entry, typing_error=None,
        type_annotation="", signature=signature(restype, *arguments), objectmode=False, lifted=(), fndesc=descriptor,
        library=library, call_helper=None, environment=environment, metadata=None, reload_init=[],
        referenced_envs=tuple(others),
    )  # fmt: skip


def pack_object(library: Any, name: str) -> bytes:
    """The bytes of a library with the function `name` for C."""
    objects = library.serialize_using_object_code()[2][0]
    return Parts({"library": library.name, "entry": name}, objects, _stub([name])).bytes()


def unpack_object(data: bytes, codegen: Any) -> Any | None:
    """The library of `pack_object`; None where the bytes are no such thing."""
    try:
        parts = Parts.of(data)
        return codegen.unserialize_library((parts.header["library"], "object", (parts.objects, parts.bitcode)))
    except Exception:  # whatever LLVM raises: code is compiled again
        return None


def _stub(names: list[str]) -> bytes:
    """Bitcode that names the functions and holds none of them: loading needs no more."""
    lines = [f'define void @"{name}"() {{ ret void }}' for name in names]
    module = binding.parse_assembly("\n".join(lines))
    return module.as_bitcode()


def _environment(name: str, module: str, constants: list[Any]) -> Environment:
    known = lookup_environment(name)
    if known is not None:
        return known
    if module.split(".")[0] == "ranvier":
        namespace = importlib.import_module(module).__dict__
    else:
        namespace = {"__name__": module}
    rebuilt = Environment(namespace)
    rebuilt.env_name = name
    rebuilt.consts[:] = [np.dtype(c["dtype"]) if isinstance(c, dict) else c for c in constants]
    Environment._memo[name] = rebuilt
    return rebuilt


def _constant(value: Any) -> Any:
    if isinstance(value, np.dtype) and value.fields is None:
        return {"dtype": value.str}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise NotKeepable(f"the constant {value!r}")


def _describe(kind: Any) -> Any:
    """A type as JSON."""
    if kind == types.none:
        return None
    if str(kind) in _NUMBERS or kind == types.boolean:
        return "boolean" if kind == types.boolean else str(kind)
    if isinstance(kind, types.Array) and kind.mutable and kind.aligned:
        return {"array": _describe(kind.dtype), "axes": kind.ndim, "layout": kind.layout}
    if isinstance(kind, types.BaseNamedTuple):
        cls = kind.instance_class
        return {"record": [cls.__module__, cls.__qualname__], "items": [_describe(k) for k in kind.types]}
    if isinstance(kind, types.BaseTuple):
        return {"items": [_describe(k) for k in kind.types]}
    raise NotKeepable(f"the result type {kind}")


def _type(text: Any) -> Any:
    if text is None:
        return types.none
    if isinstance(text, str):
        if text not in _NUMBERS:
            raise ValueError(
                f"{text!r} is no type of a number; expected one of those that `pack` writes; expected one of "
                "those that `pack` writes"
            )
        return getattr(types, text)
    if "array" in text:
        return types.Array(_type(text["array"]), text["axes"], text["layout"])
    items = tuple(_type(k) for k in text["items"])
    if "record" in text:
        module, name = text["record"]
        if module.split(".")[0] != "ranvier":
            raise ValueError(f"{module} is no module of this package; expected one")
        cls = getattr(importlib.import_module(module), name)
        same = len(set(items)) == 1
        return types.NamedUniTuple(items[0], len(items), cls) if same else types.NamedTuple(items, cls)
    return types.Tuple.from_types(items)
