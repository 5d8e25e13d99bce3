"""Voltages of one-variable neurons beside their spikes: responses and cross-spectra, by solves on the scheme."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.compilation import compiled
from ranvier.theory.second_order.nested_solves import generator, of_neuron, push, settle
from ranvier.theory.second_order.response import prepared
from ranvier.theory.single_neuron.membrane import Membrane
from ranvier.theory.single_neuron.threshold_integration import over_neurons


class Voltages(NamedTuple):
    """Of M neurons at F frequencies, (F, M): `gain` of the mean voltage, complex, mV per mV of mu; `cross`, complex,
    mV: spectrum of voltage with spike train; `power`, mV^2 ms: of the voltage. While refractory a neuron is at its
    reset. Without the delta peaks at 0."""

    gain: Tensor
    cross: Tensor
    power: Tensor


@torch.no_grad()
def voltages(neurons: Membrane, frequencies: Tensor, threads: int = 1) -> Voltages:
    """With V measured from the reset, refractory neurons count nothing. By the regression theorem, with
    G(s) = (s - L0)^{-1}: the transform of <V(t) s(0)>, t > 0, is that of the mean voltage after a spike, of
    <s(t) V(0)> that of the rate from the density V P0, and so on.

    Raises ValueError for frequencies that are not finite.
    """
    state, omega = prepared(neurons, frequencies, threads)
    still = omega == 0
    omega = np.where(np.abs(omega) < 1e-5, 1e-5, omega)  # the peaks at 0 are imaginary elsewhere
    v = (neurons.grid.nodes - neurons.grid.V_reset).detach().T.contiguous().numpy()
    shape = neurons.size, len(omega)
    arrays = np.empty(shape, complex), np.empty(shape, complex), np.empty(shape)
    over_neurons(_voltages, neurons.size, threads, state, v, omega, *arrays)
    gain, cross, _ = arrays
    gain.imag[:, still] = cross.imag[:, still] = 0.0
    return Voltages(*(torch.from_numpy(x.T.copy()) for x in arrays))


@compiled(nogil=True)
def _voltages(lo, hi, state, v, omega, gain, cross, power):
    N = v.shape[1]
    room = generator(N)
    pushed, placed, none = np.empty(N, np.complex128), np.empty(N, np.complex128), np.zeros(N, np.complex128)
    m = np.empty(N, np.complex128)
    for i in range(lo, hi):
        L = of_neuron(i, state, room)
        push(L, state.probability[i], pushed)
        spikes = state.probability[i, N - 1] * L.up[N - 1] + 0j
        total = 0j  # the density V P0, as a flux that leaves it behind and what then comes back
        for k in range(N):
            total += v[i, k] * state.probability[i, k]
            placed[k] = -total
        for f in range(omega.shape[0]):
            s = 1j * omega[f]
            settle(s, L, pushed, 0j, m)
            response = 0j
            for k in range(N):
                response += v[i, k] * m[k]
            gain[i, f] = response
            settle(s, L, none, spikes, m)
            after = 0j
            for k in range(N):
                after += v[i, k] * m[k]
            rate = settle(s, L, placed, total, m)
            again = 0.0
            for k in range(N):
                again += v[i, k] * m[k].real
            cross[i, f] = after + np.conj(rate + total)
            power[i, f] = 2 * again
