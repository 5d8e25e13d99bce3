"""`SpikeQuestions`: statistics of spikes, whatever recorded them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.analysis.spikes.counts import correlation, covariance, fano
from ranvier.analysis.spikes.lags import cross_correlation
from ranvier.analysis.spikes.rates import cv, population_rate, rates
from ranvier.analysis.spikes.spectra import spectrum
from ranvier.analysis.spikes.stream import Spikes

if TYPE_CHECKING:
    from torch import Tensor


class SpikeQuestions(ABC):
    """The statistics of a simulated and of a recorded brain: each takes `neurons=`, by default all, and answers in
    float64 tensors. With `return_error=True`, rates, covariance, correlation and cross-correlation come with their
    standard errors, from `blocks` (20) consecutive blocks.

    Examples
    --------
    >>> import ranvier as rv
    >>> issubclass(rv.Recording, rv.analysis.SpikeQuestions)
    True
    """

    @abstractmethod
    def _selected(self, neurons: Any) -> Spikes:
        """The spikes of these neurons, renumbered; None: of all."""

    def rates(self, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Mean rates in Hz, (N,)."""
        return _tensors(rates(self._selected(neurons), return_error=return_error, blocks=blocks))

    def cv(self, *, neurons: Any = None) -> Tensor:
        """Coefficients of variation of the inter-spike intervals, (N,); NaN for fewer than three spikes."""
        return tensor(cv(self._selected(neurons)))

    def covariance(self, window: float, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Covariance of spike counts in windows of `window` ms, (N, N)."""
        return _tensors(covariance(self._selected(neurons), window, return_error=return_error, blocks=blocks))

    def correlation(self, window: float, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Pearson correlation of spike counts in windows of `window` ms, (N, N); NaN for silent neurons."""
        return _tensors(correlation(self._selected(neurons), window, return_error=return_error, blocks=blocks))

    def cross_correlation(
        self,
        lags: ArrayLike,
        *,
        neurons: Any = None,
        pairs: ArrayLike | None = None,
        bin: float | None = None,
        return_error: bool = False,
        blocks: int = 20,
    ) -> Any:
        """C_ij(τ) = ⟨s_i(t + τ) s_j(t)⟩ − r_i r_j in Hz² at `lags` in ms; at positive lag j leads i.

        (L, N, N), or (L, P) for `pairs` (P, 2) of global indices (i, j). See
        `ranvier.analysis.cross_correlation` for the binning.
        """
        spikes, chosen = self._of_pairs(neurons, pairs)
        return _tensors(
            cross_correlation(spikes, _array(lags), pairs=chosen, bin=bin, return_error=return_error, blocks=blocks)
        )

    def spectrum(
        self, f: ArrayLike, *, neurons: Any = None, pairs: ArrayLike | None = None, segment: float | None = None
    ) -> Tensor:
        """Cross-spectra ∫ C_ij(τ) e^{−2πifτ} dτ in Hz at `f` in Hz, complex128 (F, N, N), or (F, P).

        See `ranvier.analysis.spectrum` for the estimate; `segment` is in ms.
        """
        spikes, chosen = self._of_pairs(neurons, pairs)
        return tensor(spectrum(spikes, _array(f), pairs=chosen, segment=segment), None)

    def fano(self, window: float, *, neurons: Any = None) -> Tensor:
        """Variance over mean of spike counts in windows of `window` ms, (N,); NaN for silent neurons."""
        return tensor(fano(self._selected(neurons), window))

    def population_rate(self, window: float, *, neurons: Any = None) -> Tensor:
        """Rate of the mean neuron in Hz in consecutive windows of `window` ms, (W,)."""
        return tensor(population_rate(self._selected(neurons), window))

    def _of_pairs(self, neurons: Any, pairs: Any) -> tuple[Spikes, Any]:
        if neurons is not None and pairs is not None:
            raise ValueError("both neurons= and pairs= given; expected one: pairs are of global indices")
        return self._selected(neurons), None if pairs is None else _array(pairs)


def tensor(array: NDArray[Any], dtype: Any = np.float64) -> Tensor:
    """Of the same shape; its own type where `dtype` is None."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array if dtype is None else array.astype(dtype, copy=False)))


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _tensors(answer: Any) -> Any:
    """One tensor, or (value, error) of them."""
    return tuple(tensor(each) for each in answer) if isinstance(answer, tuple) else tensor(answer)


__all__ = ["SpikeQuestions"]
