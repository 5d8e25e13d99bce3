"""Uncoupled exponential integrate-and-fire neurons in white noise (Fourcaud-Trocme et al. 2003).

tau_m 20 ms, E_L -65, V_T -50, Delta_T 2, spike at -30, reset -60 mV, refractory 2 ms; drive 12 mV; noise
6 mV, the standard deviation of the free membrane; dt 0.05 ms.
"""

from types import ModuleType
from typing import Any

TAU_M, T_REF = 20.0, 2.0
E_L, V_T, DELTA_T, V_TH, V_RESET = -65.0, -50.0, 2.0, -30.0, -60.0
DRIVE, NOISE = 12.0, 6.0
DT = 0.05


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv

    net = rv.Network(seed=seed)
    add(net, n, "cells")
    return net


def add(net: Any, n: int, name: str) -> Any:
    """A population of these neurons."""
    import ranvier as rv

    cell = rv.EIF(tau_m=TAU_M, E_L=E_L, V_T=V_T, Delta_T=DELTA_T, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    return net.add(cell, n, name=name, drive=DRIVE, noise=NOISE, initial={"V": E_L})


def brian2_cells(b2: ModuleType, n: int) -> Any:
    ms, mV = b2.ms, b2.mV
    names = {
        "tau_m": TAU_M * ms, "E_L": E_L * mV, "V_T": V_T * mV, "D_T": DELTA_T * mV, "V_th": V_TH * mV,
        "V_r": V_RESET * mV, "mu": DRIVE * mV, "sigma": NOISE * mV,
    }  # fmt: skip
    cells = b2.NeuronGroup(
        n,
        """dv/dt = (E_L - v + psi + mu)/tau_m + sigma*sqrt(2/tau_m)*xi : volt (unless refractory)
           psi = D_T*exp((v - V_T)/D_T) : volt""",
        threshold="v > V_th",
        reset="v = V_r",
        refractory=(T_REF + DT) * ms,  # Brian2 integrates one step more than 2 ms leave
        method="euler",
        namespace=names,
    )
    cells.v = E_L * mV
    return cells


def brian2(b2: ModuleType, n: int) -> list[Any]:
    return [brian2_cells(b2, n)]


def nest(nest: ModuleType, n: int) -> Any:
    import math

    cells = nest.Create(
        "aeif_psc_delta",
        n,
        {
            "C_m": TAU_M, "g_L": 1.0, "E_L": E_L, "V_th": V_T, "Delta_T": DELTA_T, "V_peak": V_TH, "V_m": E_L,
            "V_reset": V_RESET, "t_ref": T_REF, "a": 0.0, "b": 0.0, "w": 0.0, "I_e": DRIVE,
        },
    )  # fmt: skip
    # The current is constant over a step: this amplitude gives the free membrane a deviation of NOISE.
    decay = math.exp(-DT / TAU_M)
    amplitude = NOISE * math.sqrt((1 + decay) / (1 - decay))
    noise = nest.Create("noise_generator", params={"mean": 0.0, "std": amplitude, "dt": DT})
    nest.Connect(noise, cells, "all_to_all", {"delay": DT})
    return cells
