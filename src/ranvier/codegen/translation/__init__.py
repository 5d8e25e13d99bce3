"""Kernels to LLVM without numba's front end, which takes most of a compilation: a subset of Python, typed as it is
read."""
