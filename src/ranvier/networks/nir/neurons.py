"""The neurons of NIR that no other source of models has: integrators without leak, and currents with a bias."""

from __future__ import annotations

from ranvier.equations import Equations, parameter
from ranvier.neurons import Neuron


class Integrator(Neuron):
    """NIR's `I`: the sum of its inputs, without leak and spikes, from 0 on (Pedersen et al. 2024)."""

    equations = Equations("dV/dt = (drive + I)/tau_m : mV")
    tau_m: float = parameter(1000.0, "ms", "unit of the inputs' time: a drive of 1 mV adds 1 mV in it", above=0)


class IntegrateAndFire(Neuron):
    """NIR's `IF`: the sum of its inputs, without leak, from 0 on; a spike resets it (Pedersen et al. 2024)."""

    equations = Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
    relations = ("V_reset < V_th",)
    tau_m: float = parameter(1000.0, "ms", "unit of the inputs' time: a drive of 1 mV adds 1 mV in it", above=0)
    V_th: float = parameter(1.0, "mV", "threshold")
    V_reset: float = parameter(0.0, "mV", "reset")


_BIASED = """dV/dt = (E_L - V + B + I)/tau_m : mV
    dB/dt = (drive - B)/tau_syn : mV"""


class BiasedCurrentLI(Neuron):
    """NIR's `CubaLI` with a bias: the drive passes through the synapses' filter, B, which starts at 0."""

    equations = Equations(_BIASED)
    initial = {"V": "E_L"}
    tau_m: float = parameter(10.0, "ms", "membrane time constant", above=0)
    tau_syn: float = parameter(5.0, "ms", "time constant of the synapses' current", above=0)
    E_L: float = parameter(0.0, "mV", "reversal potential of the leak")


class BiasedCurrentLIF(Neuron):
    """NIR's `CubaLIF` with a bias: the drive passes through the synapses' filter, B, which starts at 0."""

    equations = Equations(_BIASED, threshold="V >= V_th", reset="V = V_reset")
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th",)
    tau_m: float = parameter(10.0, "ms", "membrane time constant", above=0)
    tau_syn: float = parameter(5.0, "ms", "time constant of the synapses' current", above=0)
    E_L: float = parameter(0.0, "mV", "reversal potential of the leak")
    V_th: float = parameter(1.0, "mV", "threshold")
    V_reset: float = parameter(0.0, "mV", "reset")


__all__ = ["BiasedCurrentLI", "BiasedCurrentLIF", "IntegrateAndFire", "Integrator"]
