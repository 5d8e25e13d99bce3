"""What every public function of `ranvier.analysis` must keep; each has a `Case`, or the suite fails."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ranvier import analysis


@dataclass(frozen=True)
class Case:
    """A function on data of which the answer is known.

    call: takes `data` (arrays by name) and gives the answer. value: the answer in closed form, within `tolerance`.
    degenerate: data without variance, and what is due: a value (NaN where undefined) or the ValueError's words.
    permuted: whether `neurons` may be renumbered, and what that does to the answer: (answer, order) -> answer of the
    renumbered; None where there are no neurons.
    """

    call: Callable[..., Any]
    data: dict[str, Any]
    value: Any
    tolerance: float = 1e-9
    degenerate: tuple[tuple[dict[str, Any], Any], ...] = ()
    permuted: Callable[[Any, np.ndarray], Any] | None = None
    arrays: tuple[str, ...] = field(default=())  # which of the data are arrays; all that are, if none are named


def public() -> dict[str, Callable[..., Any]]:
    """Every public function of the package, by "module.name"; those of the root under their own names."""
    result = {name: getattr(analysis, name) for name in analysis.__all__ if inspect.isfunction(getattr(analysis, name))}
    for module in pkgutil.iter_modules(analysis.__path__):
        if not module.name.startswith("_") and module.name != "spikes":
            home = importlib.import_module(f"ranvier.analysis.{module.name}")
            result |= {f"{module.name}.{name}": getattr(home, name) for name in home.__all__
                      if inspect.isfunction(getattr(home, name))}  # fmt: skip
    return result


def check(case: Case) -> None:
    """All laws of one function. Warnings are errors in this test suite."""
    the_known_value(case)
    every_kind_of_array(case)
    input_is_untouched(case)
    without_variance(case)
    renumbered_neurons(case)


def the_known_value(case: Case) -> None:
    """The answer in closed form."""
    near(case.call(**case.data), case.value, case.tolerance)


def every_kind_of_array(case: Case) -> None:
    """NumPy arrays, lists, tensors and pandas' columns give the very same answer."""
    expected = case.call(**case.data)
    for turn in (torch.as_tensor, np.asfortranarray, series):
        data = {name: turn(value) if isinstance(value, np.ndarray) else value for name, value in case.data.items()}
        near(case.call(**data), expected, 0.0)


def series(array: np.ndarray) -> Any:
    """A column, or table, of pandas, with an index that is no range."""
    import pandas

    index = np.arange(len(array))[::-1] + 5
    return (pandas.Series if array.ndim == 1 else pandas.DataFrame)(array, index=index) if array.ndim <= 2 else array


def input_is_untouched(case: Case) -> None:
    """The data are as they were."""
    before = {name: np.array(value) for name, value in case.data.items() if isinstance(value, np.ndarray)}
    case.call(**case.data)
    for name, value in before.items():
        np.testing.assert_array_equal(case.data[name], value)


def without_variance(case: Case) -> None:
    """Silent, constant or single data give what is due, or an error that says what was expected."""
    for change, due in case.degenerate:
        data = {**case.data, **change}
        if isinstance(due, str):
            try:
                case.call(**data)
            except ValueError as error:
                assert due in str(error) and "expected" in str(error), error
            else:
                raise AssertionError(f"{change} is accepted; expected a ValueError of {due!r}")
        else:
            near(case.call(**data), due, case.tolerance)


def renumbered_neurons(case: Case) -> None:
    """Neurons in another order give the answer in that order."""
    if case.permuted is None:
        return
    size = case.data["size"]
    order = np.random.default_rng(3).permutation(size)
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)  # neuron order[k] becomes k
    answer = case.call(**{**case.data, "neurons": place[case.data["neurons"]]})
    near(answer, case.permuted(case.call(**case.data), order), 1e-9)


def near(answer: Any, expected: Any, tolerance: float) -> None:
    """Equal within a tolerance, NaN with NaN, in every part."""
    expected = np.asarray(expected) if hasattr(answer, "shape") else expected
    for one, other in zip(parts(answer), parts(expected), strict=True):
        if one.dtype.kind == "U":
            assert (one == other).all()
            continue
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def parts(answer: Any) -> Iterator[np.ndarray]:
    if isinstance(answer, tuple | list) and not all(np.isscalar(a) for a in answer):
        for each in answer:
            yield from parts(each)
    elif hasattr(answer, "__dataclass_fields__"):
        for name in answer.__dataclass_fields__:
            yield from parts(getattr(answer, name))
    else:
        yield np.asarray(answer.detach() if hasattr(answer, "detach") else answer)
