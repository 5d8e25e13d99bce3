"""The chip's neuron for the simulator."""

from __future__ import annotations

from ranvier.equations import Equations, parameter
from ranvier.neurons import Neuron


class _Integrator(Neuron):
    """V adds up what arrives, and a constant each step; after a spike one step's input is lost, as on the chip.

    >>> net = rv.Network()
    >>> cell = net.add(rv.hardware.Integrator(V_th=4.5), 1, drive=1.0)  # 1 mV a step, and a step is lost
    >>> recording = rv.simulate(net, 14 * 0.96, dt=0.96, dtype=torch.float64, engine="torch")
    >>> (recording.times / 0.96).round().tolist()
    [5.0, 11.0]
    """

    equations = Equations(
        "dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset", refractory="t_ref"
    )
    initial = {"V": "V_reset"}
    tau_m: float = parameter(0.96, "ms", "a step", above=0)
    V_th: float = parameter(1.0, "mV", "threshold")
    V_reset: float = parameter(0.0, "mV", "reset")
    t_ref: float = parameter(0.96, "ms", "the step in which the chip emits the spike", at_least=0)


Integrator = _Integrator
