"""Leaky integrate-and-fire with a synaptic variable of its own."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class SynapticLIF(Neuron):
    """Leaky integrate-and-fire neuron that holds and resets its synaptic input (Shiu et al. 2024, Nature 634:210).

    Spikes reach g by `rv.synapses.Jump(onto="g")`, in mV. While the neuron is refractory V and g are held, and input
    that arrives is lost. The defaults are those of the model of the adult fly's brain. There a neuron that Poisson
    spikes drive has no refractoriness, but loses what arrives in the step after its spike: `t_ref` = dt.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.neurons.SynapticLIF(), 2)
    >>> bite = net.add(rv.SpikeTimes([1.0], [0]), 1)
    >>> _ = net.connect(bite, cells, weight=60.0, synapse=rv.synapses.Jump(onto="g"), probability=1.0)
    >>> rv.simulate(net, 20.0).times.round(decimals=1)  # 20 (exp(-t/20) - exp(-t/5)) = 7 mV at t = 3.7 ms
    tensor([1.0000, 5.7000, 5.7000], dtype=torch.float64)
    """

    equations = Equations(
        """dV/dt = (E_L - V + g + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV
        dg/dt = -g/tau_g : mV""",
        threshold="V > V_th",
        reset="V = V_reset; g = 0",
        refractory="t_ref",
        holds="V, g",
    )
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th",)
    tau_m: float = parameter(20.0, "ms", "membrane time constant", above=0)
    tau_g: float = parameter(5.0, "ms", "decay time of the synaptic variable", above=0)
    E_L: float = parameter(-52.0, "mV", "reversal potential of the leak")
    V_th: float = parameter(-45.0, "mV", "threshold")
    V_reset: float = parameter(-52.0, "mV", "reset")
    t_ref: float = parameter(2.2, "ms", "refractory period", at_least=0)
