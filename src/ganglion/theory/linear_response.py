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

from ganglion.theory.network import Coupling
from ganglion.theory.network_solve import inverse, spectral_matrix

BLOCK = 2**21  # complex numbers of one frequency block's matrices


@dataclass(frozen=True)
class Asked:
    """What of C is wanted: between nodes `rows` (n,), all of their pairs (n, n), or those of `pairs` (P, 2)
    (places in rows); None stands for all. `weights` (Q, F) complex: not C but Re sum_f weights_qf C_f."""

    rows: Tensor | None = None
    pairs: Tensor | None = None
    weights: Tensor | None = None


def interaction(coupling: Coupling, gain: Tensor, frequencies: Tensor) -> Tensor:
    """K (F, size, size) at `frequencies` (F,) Hz from the nodes' susceptibilities `gain` (F, size)."""
    lanes = _Lanes(coupling, frequencies)
    w, t = coupling.weight, coupling.targets
    edges = gain[:, t] * w * lanes.factors(slice(None))[:, lanes.lane]
    return torch.stack([coupling.dense(values) for values in edges])


def cross_spectra(
    coupling: Coupling, gain: Tensor, spectrum: Tensor, frequencies: Tensor, asked: Asked | None = None
) -> Tensor:
    """C at `frequencies` (F,) Hz: complex (F, n, n) or (F, P), in the unit of `spectrum`; or, with weights,
    real (Q, n, n) or (Q, P).

    gain: (F, size) complex, each node's susceptibility, 1/ms per mV. spectrum: (F, size), of the uncoupled
    nodes. Differentiable in both, and in the coupling's weights, delays and filters.
    """
    transfer = coupling.transfers(frequencies)
    given = gain, spectrum, coupling.weight, coupling.delay, transfer
    return _CrossSpectra.apply(*given, coupling, frequencies, asked or Asked())


def encirclements(coupling: Coupling, gain: Tensor, frequencies: Tensor) -> int:
    """How often det(I - K(omega)) runs round 0 as omega goes from -inf to inf: 0 where a network of stable
    parts is stable (Nyquist 1932). `frequencies` (F,) Hz from 0 upwards, fine enough that the phase moves by
    less than half a turn from one to the next, to where K has vanished."""
    lanes, phase = _Lanes(coupling, frequencies), []
    with torch.no_grad():
        for block in _blocks(coupling.size, len(frequencies)):
            matrix = _minus_k(coupling, gain[block], lanes.factors(block), lanes.lane)
            phase.append(torch.linalg.slogdet(matrix).sign.angle())
    angle = torch.cat([*phase, torch.zeros(1, dtype=torch.float64)])
    turns = torch.remainder(torch.diff(angle) + math.pi, 2 * math.pi) - math.pi
    return round(2 * float(turns.sum() + angle[0]) / (2 * math.pi)) if abs(float(angle[0])) < 1 else 1


class _Lanes:
    """Edges share few transfer functions: one for every (synapse, delay)."""

    def __init__(self, coupling: Coupling, frequencies: Tensor, transfer: Tensor | None = None) -> None:
        self.omega = frequencies * (2 * math.pi / 1000)
        kinds = torch.stack([coupling.synapse.double(), coupling.delay.detach().double()], 1)
        self.kinds, self.lane = torch.unique(kinds, dim=0, return_inverse=True)
        self.transfer = coupling.transfers(frequencies) if transfer is None else transfer
        self.filter = self.kinds[:, 0].long()

    def factors(self, block: slice) -> Tensor:
        """(F, lanes) complex."""
        return self.transfer[self.filter][:, block].T * self.turns(block)

    def turns(self, block: slice) -> Tensor:
        """(F, lanes) complex: e^{-i omega d}."""
        return torch.exp(-1j * self.omega[block, None] * self.kinds[:, 1])


def _blocks(size: int, frequencies: int) -> list[slice]:
    step = max(1, BLOCK // max(1, size * size * 4))
    return [slice(lo, min(lo + step, frequencies)) for lo in range(0, frequencies, step)]


def _minus_k(coupling: Coupling, gain: Tensor, factors: Tensor, lane: Tensor) -> Tensor:
    """I - K (F, size, size); real where gain and factors are."""
    n, F = coupling.size, len(gain)
    values = gain[:, coupling.targets] * coupling.weight.detach() * factors[:, lane]
    flat = torch.zeros(F, n * n, dtype=values.dtype)
    flat.index_add_(1, coupling.targets * n + coupling.sources, values, alpha=-1)
    matrix = flat.reshape(F, n, n)
    matrix.diagonal(dim1=1, dim2=2).add_(1)
    return matrix


class _CrossSpectra(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gain: Tensor,
        spectrum: Tensor,
        weight: Tensor,
        delay: Tensor,
        transfer: Tensor,
        coupling: Coupling,
        frequencies: Tensor,
        asked: Asked,
    ) -> Tensor:
        ctx.save_for_backward(gain, spectrum, transfer)
        ctx.given = coupling, frequencies, asked
        lanes = _Lanes(coupling, frequencies, transfer.detach())
        n = coupling.size if asked.rows is None else len(asked.rows)
        shape = (n, n) if asked.pairs is None else (len(asked.pairs),)
        if asked.weights is None:
            result = torch.empty(len(frequencies), *shape, dtype=torch.complex128)
        else:
            result = torch.zeros(len(asked.weights), *shape, dtype=torch.float64)
        for block in _slices(coupling.size, frequencies):
            C = _spectra(coupling, gain[block], spectrum[block], lanes, block, asked.rows)
            if asked.weights is None:
                result[block] = _picked(C, asked.pairs)
                continue
            w, C = asked.weights[:, block], _picked(C, asked.pairs).flatten(1)
            part = w.real @ C.real
            if C.is_complex() and bool(w.imag.any()):
                part -= w.imag @ C.imag
            result += part.reshape(result.shape)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        """With R the asked rows of B = (I - K)^-1, H = G + G† of C's cotangent G, and D = R S B†:
        K's cotangent is R† H D, and S's half the diagonal of R† H R."""
        gain, spectrum, transfer = ctx.saved_tensors
        coupling, frequencies, asked = ctx.given
        lanes = _Lanes(coupling, frequencies, transfer)
        t, s, w = coupling.targets, coupling.sources, coupling.weight.detach()
        gain_bar, spectrum_bar = torch.zeros_like(gain), torch.zeros_like(spectrum)
        w_bar, d_bar, transfer_bar = torch.zeros_like(w), torch.zeros_like(w), torch.zeros_like(transfer)
        for block in _slices(coupling.size, frequencies):
            B = inverse(_matrix(coupling, gain[block], lanes, block))
            R = B if asked.rows is None else B[:, asked.rows]
            G = _cotangent(bar, block, asked, R)
            H = G + G.mH
            pulled = _times(R.mH, H)
            D = (R * spectrum[block, None, :]) @ B.mH
            K_bar = (pulled @ D)[:, t, s]
            spectrum_bar[block] = 0.5 * (pulled * R.mT).sum(-1).real
            factors = lanes.factors(block)[:, lanes.lane]
            own = gain[block][:, t]
            back = K_bar * (w * factors).conj()
            gain_bar[block] = torch.zeros_like(gain[block]).index_add(1, t, back.to(gain.dtype))
            per_weight = (K_bar.conj() * own * factors).real
            w_bar += per_weight.sum(0)
            turned = (K_bar.conj() * own * factors * w * -1j * lanes.omega[block, None]).real
            d_bar += turned.sum(0)
            if ctx.needs_input_grad[4]:
                each = K_bar * (own * w * lanes.turns(block)[:, lanes.lane]).conj()
                transfer_bar[:, block] = torch.zeros_like(transfer[:, block]).index_add(
                    0, coupling.synapse, each.T.to(transfer.dtype)
                )
        return gain_bar, spectrum_bar, w_bar, d_bar, transfer_bar, None, None, None


def _slices(size: int, frequencies: Tensor) -> list[slice]:
    """Blocks of frequencies, each frequency 0 alone, for there all is real."""
    result: list[slice] = []
    for block in _blocks(size, len(frequencies)):
        zeros = (torch.nonzero(frequencies[block] == 0)[:, 0] + block.start).tolist()
        cuts = sorted({block.start, block.stop, *zeros, *(min(z + 1, block.stop) for z in zeros)})
        result += [slice(a, b) for a, b in pairwise(cuts)]
    return result


def _matrix(coupling: Coupling, gain: Tensor, lanes: _Lanes, block: slice) -> Tensor:
    factors = lanes.factors(block)
    if block.stop - block.start == 1 and not bool(lanes.omega[block]):
        gain, factors = gain.real, factors.real
    return _minus_k(coupling, gain.detach(), factors, lanes.lane)


def _spectra(
    coupling: Coupling, gain: Tensor, spectrum: Tensor, lanes: _Lanes, block: slice, rows: Tensor | None
) -> Tensor:
    """C (F, n, n) between the rows."""
    if rows is not None and (few := _few_rows(coupling, gain, spectrum, lanes, block, rows)) is not None:
        return few
    matrix = _matrix(coupling, gain, lanes, block)
    if rows is None or 2 * len(rows) > coupling.size:
        C = spectral_matrix(matrix, spectrum.detach())
        return C if rows is None else C[:, rows][:, :, rows]
    one = torch.zeros(coupling.size, len(rows), dtype=matrix.dtype)
    one[rows, torch.arange(len(rows))] = 1
    R = torch.linalg.solve(matrix.mH, one).mH
    return (R * spectrum.detach()[:, None]) @ R.mH


def _few_rows(
    coupling: Coupling, gain: Tensor, spectrum: Tensor, lanes: _Lanes, block: slice, rows: Tensor
) -> Tensor | None:
    """C (F, n, n) between few rows of a large sparse network, by iterating x = e + K† x instead of factorising:
    each turn costs the edges times n. None where that is no gain, or has not converged to 1e-12."""
    from scipy.sparse import csr_array

    if coupling.size < 500 or 20 * len(rows) > coupling.size or 20 * len(coupling.weight) > coupling.size**2:
        return None
    size, weight = coupling.size, coupling.weight.detach().numpy()
    sources, targets, lane = coupling.sources.numpy(), coupling.targets.numpy(), lanes.lane.numpy()
    kinds = [
        csr_array((weight[lane == k], (sources[lane == k], targets[lane == k])), shape=(size, size))
        for k in range(len(lanes.kinds))
    ]
    unit = np.zeros((size, len(rows)))
    unit[rows.numpy(), np.arange(len(rows))] = 1
    result = torch.empty(block.stop - block.start, len(rows), len(rows), dtype=torch.complex128)
    factors = lanes.factors(block).numpy().conj()
    for f, (slope, power) in enumerate(zip(gain.detach().numpy().conj(), spectrum.detach().numpy())):
        x = unit.astype(complex)
        for _ in range(200):
            moved = slope[:, None] * x
            following = unit + sum(factor * (W @ moved) for factor, W in zip(factors[f], kinds))
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


def _cotangent(bar: Tensor, block: slice, asked: Asked, R: Tensor) -> Tensor:
    """(F, n, n) cotangent of C at a block of frequencies."""
    if asked.weights is None:
        part = bar[block]
    else:
        w = asked.weights[:, block].conj()
        part = (w.T @ bar.reshape(len(bar), -1).to(w.dtype)).reshape(-1, *bar.shape[1:])
    part = part if R.is_complex() else part.real
    if asked.pairs is None:
        return part
    n = R.shape[1]
    flat = torch.zeros(len(part), n * n, dtype=part.dtype)
    flat.index_add_(1, asked.pairs[:, 0] * n + asked.pairs[:, 1], part)
    return flat.reshape(-1, n, n)
