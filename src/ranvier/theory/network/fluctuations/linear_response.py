"""Linear response of networks: C = (I - K)^-1 diag(S) (I - K)^-†, K_ij = A_i W_ij h_ij e^{-i omega d_ij}.

Lindner, Doiron, Longtin (2005); Trousdale, Hu, Shea-Brown, Josić (2012, eq. 13). Frequencies are taken block
by block, and again in the adjoint, so that memory does not grow with their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ranvier._progress import reached
from ranvier.theory.network.fluctuations._inverses import inverse, spectral_matrix
from ranvier.theory.network.self_consistency.rates import Coupling

BLOCK = 2**21  # complex numbers of one frequency block's matrices


@dataclass(frozen=True)
class Selection:
    """What of C is wanted: between nodes `rows` (n,), all of their pairs (n, n), or those of `pairs` (P, 2)
    (places in rows); None means all. `weights` (Q, F) complex: not C but Re sum_f weights_qf C_f."""

    rows: Tensor | None = None
    pairs: Tensor | None = None
    weights: Tensor | None = None


def current_gains(coupling: Coupling, gain: Tensor, frequencies: Tensor) -> Tensor:
    """Gains (1, filters, F, size) of synapses that give currents: `gain` (F, size), each node's susceptibility,
    times the filters' transfer functions."""
    return (coupling.transfers(frequencies)[:, :, None] * gain)[None]


def interaction(coupling: Coupling, gains: Tensor, frequencies: Tensor) -> Tensor:
    """K (F, size, size) at `frequencies` (F,) Hz from `gains` (see `cross_spectra`)."""
    return torch.stack([coupling.dense(values) for values in edge_interaction(coupling, gains, frequencies)])


def edge_interaction(coupling: Coupling, gains: Tensor, frequencies: Tensor) -> Tensor:
    """The edges' share of K, (F, E)."""
    omega = frequencies * (2 * math.pi / 1000)
    return _powers(coupling, gains, coupling.weight) * torch.exp(-1j * omega[:, None] * coupling.delay)


def _powers(coupling: Coupling, gains: Tensor, weight: Tensor) -> Tensor:
    """(F, E): the polynomials in the edges' weights, delays left out."""
    flat = gains.transpose(1, 2).flatten(2)[..., coupling.synapse * coupling.size + coupling.targets]
    powers = torch.stack([weight ** (p + 1) for p in range(len(gains))])
    return (flat * powers[:, None]).sum(0) if len(gains) > 1 else flat[0] * weight


def cross_spectra(
    coupling: Coupling, gains: Tensor, spectrum: Tensor, frequencies: Tensor, selection: Selection | None = None
) -> Tensor:
    """C at `frequencies` (F,) Hz: complex (F, n, n) or (F, P), in the unit of `spectrum`; or, with weights,
    real (Q, n, n) or (Q, P).

    gains: complex (powers, filters, F, size), 1/ms: an edge of weight w, filter k and delay d into node i has
    K = e^{-i omega d} sum_p gains[p, k, :, i] w^{p + 1}; or (F, size), susceptibilities to current in 1/ms per mV.
    spectrum: (F, size), of the uncoupled nodes. Differentiable in both, in weights and in delays.
    """
    if gains.ndim == 2:
        gains = current_gains(coupling, gains, frequencies)
    inputs = gains, spectrum, coupling.weight, coupling.delay
    return _CrossSpectra.apply(*inputs, coupling, frequencies, selection or Selection())


def encirclements(coupling: Coupling, gains: Tensor, frequencies: Tensor) -> int:
    """How often det(I - K(omega)) runs round 0 as omega goes from -inf to inf: 0 where a network of stable
    parts is stable (Nyquist 1932). `frequencies` (F,) Hz from 0 upwards, fine enough that the phase moves by
    less than half a turn from one to the next, to where K has vanished."""
    lanes, phase = _Lanes(coupling, frequencies), []
    with torch.no_grad():
        for block in _blocks(coupling.size, len(frequencies)):
            matrix = _minus_k(coupling, gains[:, :, block], lanes.turns(block), lanes.lane)
            phase.append(torch.linalg.slogdet(matrix).sign.angle())
    angle = torch.cat(phase)
    return turns(torch.cat([-angle.flip(0)[:-1], angle]))


def turns(angle: Tensor) -> int:
    """How often det(I - K) runs round 0, from its `angle` at frequencies from below 0 to above it, 0 at both ends."""
    ends = torch.zeros(1, dtype=torch.float64)
    steps = torch.diff(torch.cat([ends, angle, ends]))
    return round(float((torch.remainder(steps + math.pi, 2 * math.pi) - math.pi).sum()) / (2 * math.pi))


class _Lanes:
    """Edges share few factors e^{-i omega d}: one for every delay."""

    def __init__(self, coupling: Coupling, frequencies: Tensor) -> None:
        self.omega = frequencies * (2 * math.pi / 1000)
        self.delays, self.lane = torch.unique(coupling.delay.detach().double(), return_inverse=True)

    def turns(self, block: slice) -> Tensor:
        """(F, delays) complex."""
        return torch.exp(-1j * self.omega[block, None] * self.delays)


def _blocks(size: int, frequencies: int) -> list[slice]:
    step = max(1, BLOCK // max(1, size * size * 4))
    return [slice(lo, min(lo + step, frequencies)) for lo in range(0, frequencies, step)]


def _minus_k(coupling: Coupling, gains: Tensor, turns: Tensor, lane: Tensor) -> Tensor:
    """I - K (F, size, size); real where gains and turns are."""
    n, F = coupling.size, gains.shape[2]
    values = _powers(coupling, gains, coupling.weight.detach()) * turns[:, lane]
    flat = torch.zeros(F, n * n, dtype=values.dtype)
    flat.index_add_(1, coupling.targets * n + coupling.sources, values, alpha=-1)
    matrix = flat.reshape(F, n, n)
    matrix.diagonal(dim1=1, dim2=2).add_(1)
    return matrix


class _CrossSpectra(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gains: Tensor,
        spectrum: Tensor,
        weight: Tensor,
        delay: Tensor,
        coupling: Coupling,
        frequencies: Tensor,
        selection: Selection,
    ) -> Tensor:
        ctx.save_for_backward(gains, spectrum)
        ctx.arguments = coupling, frequencies, selection
        lanes = _Lanes(coupling, frequencies)
        n = coupling.size if selection.rows is None else len(selection.rows)
        shape = (n, n) if selection.pairs is None else (len(selection.pairs),)
        if selection.weights is None:
            result = torch.empty(len(frequencies), *shape, dtype=torch.complex128)
        else:
            result = torch.zeros(len(selection.weights), *shape, dtype=torch.float64)
        for block in _slices(coupling.size, frequencies):
            reached("frequencies", block.start, len(frequencies))
            C = _spectra(coupling, gains[:, :, block], spectrum[block], lanes, block, selection.rows)
            if selection.weights is None:
                result[block] = _picked(C, selection.pairs)
                continue
            w, C = selection.weights[:, block], _picked(C, selection.pairs).flatten(1)
            part = w.real @ C.real
            if C.is_complex() and bool(w.imag.any()):
                part -= w.imag @ C.imag
            result += part.reshape(result.shape)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        """With R the requested rows of B = (I - K)^-1, H = G + G† of C's cotangent G, and D = R S B†:
        K's cotangent is R† H D, and S's half the diagonal of R† H R."""
        gains, spectrum = ctx.saved_tensors
        coupling, frequencies, selection = ctx.arguments
        lanes = _Lanes(coupling, frequencies)
        t, s, w = coupling.targets, coupling.sources, coupling.weight.detach()
        place, n = coupling.synapse * coupling.size + t, coupling.size
        gains_bar, spectrum_bar = torch.zeros_like(gains), torch.zeros_like(spectrum)
        w_bar, d_bar = torch.zeros_like(w), torch.zeros_like(w)
        for block in _slices(coupling.size, frequencies):
            B = inverse(_matrix(coupling, gains[:, :, block], lanes, block))
            R = B if selection.rows is None else B[:, selection.rows]
            G = _cotangent(bar, block, selection, R)
            H = G + G.mH
            pulled = _times(R.mH, H)
            D = (R * spectrum[block, None, :]) @ B.mH
            turns = lanes.turns(block)[:, lanes.lane]
            K_bar = (pulled @ D)[:, t, s] * turns.conj()
            spectrum_bar[block] = 0.5 * (pulled * R.mT).sum(-1).real
            for p in range(len(gains)):
                each = (K_bar * w ** (p + 1)).to(gains.dtype)
                flat = torch.zeros(len(each), gains.shape[1] * n, dtype=gains.dtype).index_add(1, place, each)
                gains_bar[p, :, block] = flat.reshape(len(each), -1, n).transpose(0, 1)
                own = gains[p, :, block].transpose(0, 1).flatten(1)[:, place]
                w_bar += (K_bar.conj() * own).real.sum(0) * (p + 1) * w**p
                turned = K_bar.conj() * own * w ** (p + 1) * -1j * lanes.omega[block, None]
                d_bar += turned.real.sum(0)
        return gains_bar, spectrum_bar, w_bar, d_bar, None, None, None


def _slices(size: int, frequencies: Tensor) -> list[slice]:
    """Blocks of frequencies, each frequency 0 alone, for there all is real."""
    result: list[slice] = []
    for block in _blocks(size, len(frequencies)):
        zeros = (torch.nonzero(frequencies[block] == 0)[:, 0] + block.start).tolist()
        cuts = sorted({block.start, block.stop, *zeros, *(min(z + 1, block.stop) for z in zeros)})
        result += [slice(a, b) for a, b in pairwise(cuts)]
    return result


def _matrix(coupling: Coupling, gains: Tensor, lanes: _Lanes, block: slice) -> Tensor:
    gains, turns = gains.detach(), lanes.turns(block)
    if block.stop - block.start == 1 and not bool(lanes.omega[block]):
        gains, turns = gains.real, turns.real
    return _minus_k(coupling, gains, turns, lanes.lane)


def _spectra(
    coupling: Coupling, gains: Tensor, spectrum: Tensor, lanes: _Lanes, block: slice, rows: Tensor | None
) -> Tensor:
    """C (F, n, n) between the rows."""
    if rows is not None and (few := _few_rows(coupling, gains, spectrum, lanes, block, rows)) is not None:
        return few
    matrix = _matrix(coupling, gains, lanes, block)
    if rows is None or 2 * len(rows) > coupling.size:
        C = spectral_matrix(matrix, spectrum.detach())
        return C if rows is None else C[:, rows][:, :, rows]
    one = torch.zeros(coupling.size, len(rows), dtype=matrix.dtype)
    one[rows, torch.arange(len(rows))] = 1
    R = torch.linalg.solve(matrix.mH, one).mH
    return (R * spectrum.detach()[:, None]) @ R.mH


def _few_rows(
    coupling: Coupling, gains: Tensor, spectrum: Tensor, lanes: _Lanes, block: slice, rows: Tensor
) -> Tensor | None:
    """C (F, n, n) between few rows of a large sparse network, by iterating x = e + K† x instead of factorising:
    each turn costs the edges times n. None where that is no gain, or has not converged to 1e-12."""
    from scipy.sparse import csr_array

    if coupling.size < 500 or 20 * len(rows) > coupling.size or 20 * len(coupling.weight) > coupling.size**2:
        return None
    size, weight = coupling.size, coupling.weight.detach().numpy()
    sources, targets, lane = coupling.sources.numpy(), coupling.targets.numpy(), lanes.lane.numpy()
    synapse, parts = coupling.synapse.numpy(), []
    lanes_each = int(lane.max(initial=0)) + 1
    place = synapse * lanes_each + lane
    for both in np.flatnonzero(np.bincount(place)):
        at, (k, d) = np.flatnonzero(place == both), divmod(int(both), lanes_each)
        for p in range(len(gains)):
            ends = sources[at], targets[at]
            parts.append((p, k, d, csr_array((weight[at] ** (p + 1), ends), shape=(size, size))))
    unit = np.zeros((size, len(rows)))
    unit[rows.numpy(), np.arange(len(rows))] = 1
    result = torch.empty(block.stop - block.start, len(rows), len(rows), dtype=torch.complex128)
    turns, slopes = lanes.turns(block).numpy().conj(), gains.detach().numpy().conj()
    for f, power in enumerate(spectrum.detach().numpy()):
        x = unit.astype(complex)
        for _ in range(200):
            following = unit + sum(turns[f, d] * (W @ (slopes[p, k, f, :, None] * x)) for p, k, d, W in parts)
            change = np.abs(following - x).max()
            x = following
            if change < 1e-12:
                break
        else:
            return None
        result[f] = torch.from_numpy((x.conj().T * power) @ x)
    return result


def _times(a: Tensor, b: Tensor) -> Tensor:
    """a @ b, at half the work where only a is complex."""
    if a.is_complex() and not bool(b.imag.any() if b.is_complex() else False):
        real = b.real if b.is_complex() else b
        return torch.complex(a.real @ real, a.imag @ real)
    return a @ b


def _picked(C: Tensor, pairs: Tensor | None) -> Tensor:
    return C if pairs is None else C[:, pairs[:, 0], pairs[:, 1]]


def _cotangent(bar: Tensor, block: slice, selection: Selection, R: Tensor) -> Tensor:
    """(F, n, n) cotangent of C at a block of frequencies."""
    if selection.weights is None:
        part = bar[block]
    else:
        w = selection.weights[:, block].conj()
        part = (w.T @ bar.reshape(len(bar), -1).to(w.dtype)).reshape(-1, *bar.shape[1:])
    part = part if R.is_complex() else part.real
    if selection.pairs is None:
        return part
    n = R.shape[1]
    flat = torch.zeros(len(part), n * n, dtype=part.dtype)
    flat.index_add_(1, selection.pairs[:, 0] * n + selection.pairs[:, 1], part)
    return flat.reshape(-1, n, n)
