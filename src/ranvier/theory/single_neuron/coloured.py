"""Exponentially filtered input noise, to first order in sqrt(tau_s / tau)."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.theory.single_neuron.membrane import Force, Membrane, Value, membrane

SHIFT = 1.4603545088095868  # |zeta(1/2)|


def boundary_shift(sigma: Value, tau: Value, tau_s: Value) -> Tensor:
    """sigma |zeta(1/2)| sqrt(tau_s/tau), mV: by which V_th and V_reset move up. With Siegert's sigma_B this
    is (alpha/2) sigma_B sqrt(tau_s/tau), alpha = sqrt(2) |zeta(1/2)| (Fourcaud & Brunel 2002).

    Examples
    --------
    >>> import ranvier as rv
    >>> round(float(rv.theory.boundary_shift(5.0, 20.0, 2.0)), 3)  # 5 · 1.4604 · sqrt(1/10)
    2.309
    """
    ratio = torch.as_tensor(tau_s, dtype=torch.float64) / torch.as_tensor(tau, dtype=torch.float64)
    return SHIFT * torch.as_tensor(sigma, dtype=torch.float64) * torch.sqrt(ratio)


def coloured_membrane(
    force: Force,
    *,
    tau_s: Value,
    tau: Value,
    sigma: Value,
    V_th: Value,
    V_reset: Value,
    t_ref: Value = 0.0,
    V_lb: Value | None = None,
    N: int | None = None,
) -> Membrane:
    """The white-noise neuron equivalent to one whose noise is filtered by exp(-t/tau_s)/tau_s (ms), same
    sigma.

    At a hard threshold filtered noise lets fewer paths through; to first order in sqrt(tau_s/tau) that is the
    white-noise problem with V_th and V_reset moved up by `boundary_shift` (Fourcaud & Brunel 2002 for the
    LIF; Schuecker, Diesmann & Helias 2015, PRE 92:052119, for any drift). Against simulation (LIF, 31 Hz) the
    rate is off by -0.1, -0.9 and -3.3 % at tau_s/tau = 0.01, 0.03 and 0.1; white noise by 13, 23 and 46 %.
    The susceptibility holds only well below the frequency 1/(2 pi tau_s). The noise must outlive the
    refractory time, or the reset's shift is overestimated.

    That needs a boundary layer at V_th, of width sigma sqrt(tau_s/tau), across which the noise, not the
    drift, carries the neuron. A spike-generating current (QIF, EIF) sweeps it away, and the correction is
    then of order tau_s/tau only (Brunel & Latham 2003; Fourcaud-Trocme et al. 2003): use white noise. Such a
    neuron, and tau_s > 0.1 tau, is refused with ValueError. Other arguments as in `membrane`.

    >>> values = {"tau": 20.0, "sigma": 5.0, "V_th": 15.0, "V_reset": 0.0}
    >>> filtered = rv.theory.coloured_membrane(lambda V: 12.0 - V, tau_s=0.2, **values)
    >>> moved = filtered.grid.V_th - 15.0
    >>> bool(torch.isclose(moved, rv.theory.boundary_shift(5.0, 20.0, 0.2)))
    True
    """
    shift = boundary_shift(sigma, tau, tau_s)
    k = torch.as_tensor(tau_s, dtype=torch.float64) / torch.as_tensor(tau, dtype=torch.float64)
    if not bool(((k >= 0) & (k <= 0.1)).all()):
        raise ValueError(
            f"tau_s/tau is up to {float(k.max()):.3g}; expected 0 to 0.1, as the theory is of first order"
        )
    neurons = membrane(
        force, tau=tau, sigma=sigma, V_th=shift + V_th, V_reset=shift + V_reset, t_ref=t_ref, V_lb=V_lb, N=N
    )
    drift = neurons.force.detach()[-1] * torch.sqrt(k.detach()) / neurons.sigma.detach()
    if bool((drift > 1).any()):
        i = int(torch.argmax(drift.expand(neurons.size)))
        there = float(neurons.force[-1, i].detach())
        raise ValueError(
            f"neuron {i} has no hard threshold (force {there:.4g} mV at V_th); expected one, as filtered noise "
            "changes other neurons at order tau_s/tau only: use membrane(), white noise"
        )
    return neurons
