"""Two functions compiled and run, in a process that imports neither torch nor the engines: prints 14."""

import ctypes

from numba import types

from ranvier.codegen import compilation
from ranvier.codegen.pointers import pointer


def write_seven(at):
    pointer(at, 0)[0] = 7


@compilation.compiled(nogil=True)
def twice(x):
    return 2 * x


if __name__ == "__main__":
    out = ctypes.c_int64(0)
    address = compilation.address(write_seven, types.void(types.int64))
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(address)(ctypes.addressof(out))
    print(twice(out.value))
