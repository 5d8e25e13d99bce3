"""Layers one after the other, and ordinary modules applied at every step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ranvier.nn.cell import is_hooked
from ranvier.nn.checks import require_tensor
from ranvier.nn.plain_modules import at_every_step, call


def is_cell(module: nn.Module) -> bool:
    """Whether a module has the surface of a `Cell`."""
    return hasattr(module, "init_state") and hasattr(module, "step")


class TimeDistributed(nn.Module):
    """An ordinary module (Conv2d, BatchNorm2d, Flatten ...) as a `Cell` without state: the same at every step.

    `forward(x[T, B, ...], state=()) -> (y[T, B, ...], ())`, in one call of the module with T·B rows. What looks at
    the batch as a whole, such as BatchNorm in training, sees all steps together. An nn.Linear goes by the products
    with spikes of the library's own layers, unless it has hooks, or tensors other than float32 or float64 on a CPU.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.TimeDistributed(torch.nn.Flatten())(torch.zeros(5, 2, 3, 4))
    >>> y.shape
    torch.Size([5, 2, 12])
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        _refuse_cells(module)
        self.module = module

    def init_state(self, batch: int) -> tuple[()]:
        """Nothing."""
        return ()

    def step(self, state: tuple[()], x: Tensor) -> tuple[tuple[()], Tensor]:
        """One step: x (B, ...) -> ((), y (B, ...))."""
        _check_step(x)
        if is_hooked(self):
            return (), self(x[None])[0][0]
        return (), call(self.module, x)

    def forward(self, x: Tensor, state: tuple[()] | None = None) -> tuple[Tensor, tuple[()]]:
        """x (T, B, ...) -> y (T, B, ...) and no state."""
        _check_sequence(x)
        return at_every_step(self.module, x), ()


class Sequential(nn.Sequential):
    """Cells and ordinary modules in a row: itself a `Cell`, whose state is a tuple with one entry a module.

        rv.nn.Sequential(nn.Conv2d(1, 12, 5), rv.nn.LIF(), nn.AvgPool2d(2), nn.Flatten(), rv.nn.LIF(1728, 10))

    Ordinary modules are applied at every step as by `TimeDistributed`; their entry of the state is ().
    `nn.Linear(700, 256), rv.nn.LIF()` takes the products of `rv.nn.LIF(700, 256)`, see there.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 4), rv.nn.LI(4, 2))
    >>> y, states = model(torch.zeros(5, 1, 3))
    >>> y.shape, len(states)
    (torch.Size([5, 1, 2]), 2)
    """

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """As torch's; refuses a module that is no `Cell` and yet holds some."""
        if module is not None and not is_cell(module):
            _refuse_cells(module)
        super().add_module(name, module)

    def init_state(self, batch: int) -> tuple[Any, ...]:
        """One entry a module."""
        return tuple(m.init_state(batch) if is_cell(m) else () for m in self)  # type: ignore[operator]

    def step(self, state: tuple[Any, ...], x: Tensor) -> tuple[tuple[Any, ...], Tensor]:
        """One step: x (B, ...) -> (state, y (B, ...)). Raises what `forward` raises; where hooks are set on the row
        they see `forward` of a sequence of one."""
        _check_step(x)
        self._check(state)
        if is_hooked(self):
            y, state = self(x[None], state)
            return state, y[0]
        after = []
        for module, old in zip(self, state, strict=True):
            new = ()
            if is_cell(module):
                new, x = module.step(old, x)  # type: ignore[operator]
            else:
                x = call(module, x)
            after.append(new)
        return tuple(after), x

    def forward(self, x: Tensor, state: tuple[Any, ...] | None = None) -> tuple[Tensor, tuple[Any, ...]]:  # type: ignore[override]
        """x (T, B, ...) -> y (T, B, ...) and the state after the last step."""
        _check_sequence(x)
        if state is not None:
            self._check(state)
        after = []
        for k, module in enumerate(self):
            new: Any = ()
            if is_cell(module):
                x, new = module(x, None if state is None else state[k])
            else:
                x = at_every_step(module, x)
            after.append(new)
        return x, tuple(after)

    def _check(self, state: tuple[Any, ...]) -> None:
        if not isinstance(state, tuple | list) or len(state) != len(self):
            size = f" of {len(state)}" if isinstance(state, tuple | list) else ""
            raise ValueError(
                f"state is a {type(state).__name__}{size}; expected a tuple of {len(self)} entries: begin with "
                "init_state(batch), and call step(state, x)"
            )


def _check_step(x: Tensor) -> None:
    require_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, ...)")


def _check_sequence(x: Tensor) -> None:
    require_tensor(x)
    if x.ndim < 3 or x.shape[0] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, ...) with T > 0")


def _refuse_cells(module: nn.Module) -> None:
    if any(is_cell(part) for part in module.modules()):
        raise TypeError(
            f"there are {type(module).__name__} with layers of neurons inside, which keep a state from step to step; "
            "expected rv.nn.Sequential around them, or a module with init_state and step"
        )


__all__ = ["Sequential", "TimeDistributed", "is_cell"]
