"""Cross-spectra of spike trains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import reals
from ranvier.analysis.spikes.rates import rates
from ranvier.analysis.spikes.stream import Spikes, pair_indices, require_memory, require_spikes

ENTRIES = 2**23  # complex numbers of the Fourier table in memory at a time
STACK = 16  # segments multiplied at a time


def spectrum(
    spikes: Spikes, f: ArrayLike, *, pairs: ArrayLike | None = None, segment: float | None = None
) -> NDArray[np.complex128]:
    """Cross-spectra S_ij(f) = ∫ C_ij(τ) e^{−2πifτ} dτ in Hz at frequencies `f` in Hz.

    Welch's method (IEEE Trans. Audio Electroacoust. 15:70, 1967): half-overlapping segments of
    `segment` ms under a Hann window, with the mean rate of the whole record subtracted; a Poisson
    process has S_ii = r. The Fourier sum is taken at the very frequencies requested. By default a
    segment is twice the inverse of the smallest spacing of `f` (and of its smallest positive entry),
    but at most an eighth of the record.
    Returns (F, N, N) complex, or (F, P) for `pairs` (P, 2) of indices (i, j).
    Raises ValueError for frequencies that are not finite or above 1/(2 dt), and for answers larger than the
    machine's memory.

    >>> rng = np.random.default_rng(0)
    >>> steps = np.flatnonzero(rng.random(50_000) < 0.02) + 1  # a Poisson process of 20 Hz
    >>> spikes = rv.analysis.Spikes.from_steps(steps, 0 * steps, n_neurons=1, dt=1.0, stop=50_000)
    >>> bool(abs(rv.analysis.spectrum(spikes, np.arange(10.0, 100.0, 5.0)).mean() - 20.0) < 2.0)
    True
    """
    require_spikes(spikes)
    f = np.atleast_1d(reals(f, "f"))
    if f.ndim != 1 or not f.size or not np.isfinite(f).all():
        raise ValueError("f is empty or not finite; expected a vector of frequencies in Hz")
    if np.abs(f).max() > 500.0 / spikes.dt:
        raise ValueError(
            f"f reaches {np.abs(f).max():g} Hz; expected at most 1/(2 dt) = {500 / spikes.dt:g} Hz"
        )
    half = _half(spikes, f, segment)
    count = spikes.n_neurons**2 if pairs is None else len(np.asarray(pairs))
    require_memory(6 * len(f) * count, f"spectra of {count} pairs", "choose fewer neurons or pairs=")
    chosen = None
    if pairs is not None:
        used, chosen = pair_indices(pairs)
        spikes = spikes.select(used)
    rate = np.asarray(rates(spikes))
    batch = max(1, ENTRIES // (2 * half))
    parts = [_welch(spikes, part, half, rate, chosen) for part in np.split(f, range(batch, len(f), batch))]
    return np.concatenate(parts)


def _half(spikes: Spikes, f: NDArray[np.float64], segment: float | None) -> int:
    """Half a segment in steps."""
    if segment is not None:
        half = spikes.steps_of(segment, "segment") // 2
    else:
        gaps = np.diff(np.unique(np.append(np.abs(f), 0.0)))
        longest = 2000.0 / gaps.min() if gaps.size else np.inf
        half = int(min(longest / spikes.dt, spikes.n_steps / 8)) // 2
    if half < 1:
        raise ValueError("a segment is shorter than two steps; expected a longer record or segment")
    return half


def _welch(
    spikes: Spikes,
    f: NDArray[np.float64],
    half: int,
    rate: NDArray[np.float64],
    pairs: NDArray[np.int64] | None,
) -> NDArray[np.complex128]:
    from scipy.sparse import csr_array

    k = np.arange(2 * half)
    taper = np.sin(np.pi * k / (2 * half)) ** 2
    table = np.exp(-2j * np.pi * np.outer(k, f * (spikes.dt / 1000.0))) * taper[:, None]
    constant = np.outer(rate * (spikes.dt / 1000.0), table.sum(axis=0))  # (N, F)
    size = spikes.n_neurons
    shape = (len(f), size, size) if pairs is None else (len(f), len(pairs))
    total = np.zeros(shape, dtype=np.complex128)
    stack: list[NDArray[np.complex128]] = []

    def add() -> None:
        x = np.stack(stack, axis=2).transpose(1, 0, 2)  # (N, F) each -> (F, N, segments)
        if pairs is None:
            np.add(total, x @ x.conj().transpose(0, 2, 1), out=total)
        else:
            np.add(total, np.einsum("fps,fps->fp", x[:, pairs[:, 0]], x[:, pairs[:, 1]].conj()), out=total)
        stack.clear()

    n, before = 0, None
    for steps, neurons in spikes.cut(np.arange(0, spikes.n_steps + 1, half)):
        if before is not None:
            at = np.concatenate([before[0], steps % half + half])
            who = np.concatenate([before[1], neurons])
            events = csr_array((np.ones(len(at)), (who, at)), shape=(size, 2 * half))
            stack.append(events @ table - constant)
            n += 1
            if len(stack) == STACK:
                add()
        before = steps % half, neurons
    if stack:
        add()
    return total / (n * np.sum(taper**2) * spikes.dt / 1000.0)
