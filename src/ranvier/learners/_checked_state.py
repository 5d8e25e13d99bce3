"""Learners' states: compared with what the learner is before they are taken up, and refused where they do not fit."""

from __future__ import annotations

import copy
import math
import re
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, ClassVar

import torch
from torch import Tensor

from ranvier.files.reading import library_fault

_NUMBER = (int, float)
_SCHEDULED = {"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}  # what schedules add to a group


class CheckedState(ABC):
    """A learner's state, taken up whole or not at all.

    varying : patterns of dotted places where a state may have entries that the learner has not, or lack some: what is
        made as it learns. loose : of places that may be None or of another shape.
    """

    varying: ClassVar[tuple[str, ...]] = ()
    loose: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, but for random states."""

    @abstractmethod
    def _take_up(self, state: dict[str, Any]) -> None:
        """Take up a state of the right structure; ValueError for values that the learner cannot go on from."""

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Name in the state -> optimizer."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`.

        Raises ValueError, and leaves the learner as it was, where a part is missing, unknown, of another type or
        shape, or NaN.
        """
        before = copy.deepcopy(self.state_dict())
        try:
            require_like(state, before, "state", self.varying, self.loose)
            self._take_up(state)
            require_same(self.state_dict(), state, "state")
            for name, optimizer in self._optimizers().items():
                _require_optimizer(optimizer, f"state.{name}")
        except Exception as error:
            with suppress(Exception):
                self._take_up(before)
            own = isinstance(error, ValueError) and "expected" in str(error)
            fault = str(error) if own else (
                f"state is of another model or optimizer ({library_fault(error)}); expected one that this learner saved"
            )  # fmt: skip
            raise ValueError(f"{fault}: nothing was changed in the {type(self).__name__}") from error


def require_like(
    state: Any, like: Any, place: str = "state", varying: tuple[str, ...] = (), loose: tuple[str, ...] = ()
) -> None:
    """ValueError, naming the place, where `state` has another structure, types or shapes than `like`, or NaN."""
    free = any(re.fullmatch(pattern, place.removeprefix("state.")) for pattern in loose)
    if free and (state is None or like is None):
        return
    if isinstance(like, dict) and isinstance(state, dict):
        open_ = any(re.fullmatch(pattern, place.removeprefix("state.")) for pattern in varying)
        group = re.fullmatch(r".*\bparam_groups\.\d+", place)
        for key in like.keys() - state.keys() if not open_ else ():
            raise ValueError(f"{place} has no {key!r:.80}; expected {', '.join(map(str, like))}"[:400])
        for key in state.keys() - like.keys() - (_SCHEDULED if group else set()) if not open_ else ():
            raise ValueError(f"{place} has the entry {key!r:.80}; expected only {', '.join(map(str, like))}"[:400])
        for key, value in state.items():
            if key in like:
                require_like(value, like[key], f"{place}.{key}", varying, loose)
            elif group:
                require_like(value, 1.0, f"{place}.{key}")
            else:
                _require_numbers(value, f"{place}.{key}")
        return
    if isinstance(like, list | tuple) and isinstance(state, list | tuple):
        open_ = any(re.fullmatch(pattern, place.removeprefix("state.")) for pattern in varying)
        if len(state) != len(like) and not open_:
            raise ValueError(f"{place} has {len(state)} entries; expected {len(like)}")
        for k, (one, other) in enumerate(zip(state, like, strict=False)):
            require_like(one, other, f"{place}.{k}", varying, loose)
        return
    if like is None and "param_groups" in place and isinstance(state, bool | int | float | None):
        return
    fits = (
        type(state) is type(like)
        or (isinstance(state, _NUMBER) and isinstance(like, _NUMBER) and bool not in (type(state), type(like)))
        or (isinstance(state, Tensor) and isinstance(like, Tensor))
    )
    if not fits:
        raise ValueError(f"{place} is {_kind(state)}; expected {_kind(like)}")
    if isinstance(state, Tensor) and (state.dtype != like.dtype or (state.shape != like.shape and not free)):
        raise ValueError(f"{place} is {_kind(state)}; expected {_kind(like)}")
    if place.endswith(".lr") and not isinstance(state, Tensor) and not 0 <= state < math.inf:
        raise ValueError(f"{place} is {state}; expected a learning rate of 0 or above")
    _require_numbers(state, place)


def require_same(state: Any, expected: Any, place: str) -> None:
    """ValueError where what was taken up is not what was given: unknown parts, other types."""
    if isinstance(expected, dict) and isinstance(state, dict) and state.keys() == expected.keys():
        for key, value in expected.items():
            require_same(state[key], value, f"{place}.{key}")
    elif isinstance(expected, list | tuple) and isinstance(state, list | tuple) and len(state) == len(expected):
        for k, value in enumerate(expected):
            require_same(state[k], value, f"{place}.{k}")
    else:
        both = isinstance(state, Tensor) and isinstance(expected, Tensor)
        equal = both and state.dtype == expected.dtype and torch.equal(state.cpu(), expected.cpu())
        if not equal and (both or isinstance(state, Tensor | dict) or state != expected):
            raise ValueError(f"{place} is {_kind(expected)}; expected what this learner holds there, {_kind(state)}")


def _require_numbers(value: Any, place: str) -> None:
    """ValueError for NaN, and for infinite numbers; infinities in tensors have their uses."""
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _require_numbers(item, f"{place}.{key}")
    bad = bool(torch.isnan(value).any()) if isinstance(value, Tensor) and value.is_floating_point() else False
    if bad or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{place} holds {'NaN' if bad else value}; expected numbers: load an earlier state")


def _require_optimizer(optimizer: torch.optim.Optimizer, place: str) -> None:
    """ValueError where a parameter's state is not of the form that this optimizer gives it."""
    for k, group in enumerate(optimizer.param_groups):
        for key, value in optimizer.defaults.items():
            if key not in group:
                raise ValueError(f"{place}.param_groups.{k} has no {key!r}; expected {', '.join(optimizer.defaults)}")
            require_like(group[key], value, f"{place}.param_groups.{k}.{key}")
        for key in group.keys() - optimizer.defaults.keys() - _SCHEDULED - {"params", "param_names"}:
            raise ValueError(f"{place}.param_groups.{k} has the entry {key!r:.80}; expected the optimizer's settings")
    probe = copy.deepcopy(optimizer)
    try:
        for group in probe.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p)
        probe.state.clear()
        with torch.no_grad():
            probe.step()
        usual = probe.state_dict()["state"]
    except Exception:  # an optimizer that needs more than zeros: its state is not checked
        return
    for key, value in optimizer.state_dict()["state"].items():
        if key not in usual:
            raise ValueError(f"{place}.state has the entry {key!r:.80}; expected those of {len(usual)} parameters")
        require_like(value, usual[key], f"{place}.state.{key}", loose=(r".*\.momentum_buffer",))


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r:.60}"


__all__ = ["CheckedState", "require_like", "require_same"]
