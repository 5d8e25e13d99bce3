"""SymPy to the Python subset that the compiled kernels are written in."""

from __future__ import annotations

from ranvier.equations.printing import TorchPrinter


class KernelPrinter(TorchPrinter):
    """Prints for a compiled kernel, whose real type is called `_real`."""

    def _number(self, text: str) -> str:
        return f"_real({text})"
