"""The questions that a recording of spikes and a prediction of them answer alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Activity(Protocol):
    """Spiking activity of N neurons, recorded or predicted; answers are float64 tensors.

    `neurons` selects a population, its name, or global indices (default: all); `pairs` (P, 2) are global indices
    (i, j). At positive lags j leads i.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2)
    >>> isinstance(rv.simulate(net, 1.0, engine="torch"), rv.analysis.Activity)
    True
    """

    @property
    def n_neurons(self) -> int:
        """N."""
        ...

    def rates(self, *, neurons: Any = None) -> Tensor:
        """Mean rates in Hz, (N,)."""
        ...

    def cv(self, *, neurons: Any = None) -> Tensor:
        """Coefficients of variation of the inter-spike intervals, (N,)."""
        ...

    def covariance(self, window: float, *, neurons: Any = None) -> Tensor:
        """Covariance of spike counts in windows of `window` ms, (N, N)."""
        ...

    def correlation(self, window: float, *, neurons: Any = None) -> Tensor:
        """Pearson correlation of spike counts in windows of `window` ms, (N, N)."""
        ...

    def cross_correlation(
        self, lags: Any, *, neurons: Any = None, pairs: Any = None, bin: float | None = None
    ) -> Tensor:
        """C_ij(τ) in Hz² at `lags` in ms, (L, N, N), or (L, P)."""
        ...

    def spectrum(self, f: Any, *, neurons: Any = None, pairs: Any = None) -> Tensor:
        """Cross-spectra in Hz at `f` in Hz, complex, (F, N, N), or (F, P)."""
        ...


__all__ = ["Activity"]
