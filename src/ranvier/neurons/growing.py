"""Neurons that grow what synapses are made of."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class GrowingLIF(Neuron):
    """Leaky integrate-and-fire neuron with synaptic elements (Butz & van Ooyen 2013, PLoS Comput. Biol. 9:e1003259,
    eqs. 3 to 6), for `engines.StructuralPlasticity`.

    Each spike raises the calcium Ca by beta, which decays with tau_Ca: at a rate r it is beta tau_Ca r. Elements of
    axons and of dendrites grow between Ca = eta and eps, and shrink outside, with the largest speed nu midway:
    dz/dt = nu (2 exp(−((Ca − ξ)/ζ)²) − 1), ξ = (eta + eps)/2, ζ = (eps − eta)/(2 √(ln 2)). Other curves are equations
    of one's own, such as the linear `daxon/dt = nu*(1 - Ca/eps)`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cell = net.add(rv.neurons.GrowingLIF(tau_Ca=1000.0, nu=0.01), 1, drive=20.0)
    >>> course = rv.simulate(net, 1000.0, record=["Ca", "axon"]).states
    >>> bool(course["Ca"].values[-1] > 0), bool(course["axon"].values[-1] != 0)
    (True, True)
    """

    equations = Equations(
        """dV/dt = (E_L - V + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV
        dCa/dt = -Ca/tau_Ca : 1
        daxon/dt = nu*(2*exp(-((Ca - (eta_axon + eps)/2)/(eps - eta_axon))**2*4*log(2)) - 1) : 1
        ddendrite/dt = nu*(2*exp(-((Ca - (eta_dendrite + eps)/2)/(eps - eta_dendrite))**2*4*log(2)) - 1) : 1""",
        threshold="V >= V_th",
        reset="V = V_reset; Ca = Ca + beta",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th", "eta_axon < eps", "eta_dendrite < eps")
    tau_m: float = parameter(20.0, "ms", "membrane time constant", above=0)
    E_L: float = parameter(-65.0, "mV", "reversal potential of the leak")
    V_th: float = parameter(-50.0, "mV", "threshold")
    V_reset: float = parameter(-65.0, "mV", "reset")
    t_ref: float = parameter(2.0, "ms", "refractory period", at_least=0)
    g_L: float = parameter(10.0, "nS", "leak conductance, which only conductance-based synapses use", above=0)
    tau_Ca: float = parameter(10000.0, "ms", "decay of calcium", above=0)
    beta: float = parameter(0.001, "1", "calcium a spike", at_least=0)
    nu: float = parameter(1e-4, "1/ms", "largest speed of growth", at_least=0)
    eta_axon: float = parameter(0.0, "1", "calcium above which axons grow")
    eta_dendrite: float = parameter(0.0, "1", "calcium above which dendrites grow")
    eps: float = parameter(0.05, "1", "calcium to which the neuron regulates itself")
