"""Synaptic filters as sums of exponentials: what the second order needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier.theory.network.filters import Filter

APART = 0.02  # by which equal rates are moved apart, relative; the error is of its square


@dataclass(frozen=True)
class Modes:
    """`rates` gamma (n,) 1/ms; `filter` (n,), whose each is; `share` (n,) 1/ms: the kernel of area 1 is
    h(t) = sum_n share_n exp(-gamma_n t); `variance` (n,) 1/ms: of a Poisson process of rate 1/ms through it,
    the autocorrelation is sum_n variance_n exp(-gamma_n |t|)."""

    rates: np.ndarray
    filter: np.ndarray
    share: np.ndarray
    variance: np.ndarray

    @property
    def filters(self) -> int:
        """How many, counted up to the last that has modes."""
        return int(self.filter.max(initial=-1)) + 1

    @property
    def together(self) -> np.ndarray:
        return self.filter[:, None] == self.filter

    def of(self, k: int) -> np.ndarray:
        return np.flatnonzero(self.filter == k)

    def pulses(self, omega: Tensor, event: Tensor, third_order: Tensor) -> tuple[Tensor, Tensor]:
        """What one impulse of area 1 does to the rate at second and third order, (filters, F, M), from `event`
        (n, F, M) and `third_order` (n, n, F, M) of the nested solves; omega (F,) rad/ms."""
        s = 1j * omega[:, None]
        two = torch.zeros(self.filters, *event.shape[1:], dtype=torch.complex128)
        three = torch.zeros_like(two)
        for k in range(self.filters):
            own = self.of(k)
            for b in own:
                last = sum(self.share[a] / (s + self.rates[a] + self.rates[b]) for a in own)
                two[k] += self.share[b] * last * event[b]
                for c in own:
                    gamma = self.rates[b] + self.rates[c]
                    last = sum(self.share[a] / (s + self.rates[a] + gamma) for a in own)
                    three[k] += self.share[b] * self.share[c] * last * third_order[b, c]
        return two, three


def modes_of(filters: Sequence[Filter]) -> Modes:
    """Of all filters that are no instant jumps. Raises ValueError for a kernel that oscillates."""
    parts = [_modes(f, k) for k, f in enumerate(filters) if not f.instant]
    if not parts:
        none = np.zeros(0)
        return Modes(none, none.astype(int), none, none)
    return Modes(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def _modes(filter: Filter, k: int) -> tuple[np.ndarray, ...]:
    A, b, c = (x.detach().numpy() for x in (filter.A, filter.b, filter.c))
    values = np.linalg.eigvals(A)
    gaps = np.abs(values[:, None] - values) + np.eye(len(values)) * np.abs(values).max()
    if gaps.min() < APART * np.abs(values).max():
        A = A * (1 + APART * np.diag(np.linspace(-1, 1, len(b))))
    values, vectors = np.linalg.eig(A)
    if np.iscomplexobj(values) and np.abs(values.imag).max() > 1e-9 * np.abs(values).max():
        raise ValueError(
            "there is a synapse whose kernel oscillates; expected sums of decaying exponentials for the second "
            "order"
        )
    rates, vectors = -values.real, vectors.real
    share = (c @ vectors) * np.linalg.solve(vectors, b)
    share = share / (share / rates).sum()
    variance = share * (share / (rates[:, None] + rates)).sum(1)
    return rates, np.full(len(rates), k), share, variance
