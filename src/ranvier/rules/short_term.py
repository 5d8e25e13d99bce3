"""Short-term plasticity: what a spike delivers depends on those of the same source before it."""

from __future__ import annotations

from ranvier.equations import parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Trace


class TsodyksMarkram(Rule):
    """Depression and facilitation (Tsodyks, Pawelzik & Markram 1998, Neural Comput. 10:821; spike by spike as Maass &
    Markram 2002, Neural Netw. 15:155, and NEST's tsodyks2_synapse).

    A source has resources x, which return to 1 with tau_rec, and releases a share u of them, which decays with
    tau_facil: at a spike u rises by U (1 - u), then w u x is delivered and u x taken from x (the trace y is 1 - x).
    tau_facil 0: depression alone, u = U. The weight w, of a synapse that releases everything, does not change.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes([10.0, 20.0], [0, 0]), 1)
    >>> cell = net.add(rv.LIF(), 1)
    >>> rule = rv.rules.TsodyksMarkram(U=0.5, tau_rec=800.0, tau_facil=0.0)
    >>> synapse = net.connect(source, cell, weight=2.0, edges=([0], [0]), plasticity=rule)
    >>> V = rv.simulate(net, 30.0, record="V", dtype=torch.float64).states["V"].values[:, 0] + 65.0
    >>> round(float(V[110]), 3)
    0.995
    """

    U: float = parameter(0.5, "1", "share of the resources that the first spike releases", above=0, at_most=1)
    tau_rec: float = parameter(800.0, "ms", "recovery of the resources", above=0)
    tau_facil: float = parameter(0.0, "ms", "decay of facilitation; 0: none", at_least=0)

    @property
    def traces(self) -> tuple[Trace, ...]:
        resources = Trace("y", "pre", "tau_rec", jump=f"({self._released})*(1 - y)")
        return (Trace("u", "pre", "tau_facil", jump="U*(1 - u)"), resources) if self.tau_facil else (resources,)

    @property
    def transmitted(self) -> str:
        return f"w*({self._released})*(1 - y)"

    @property
    def _released(self) -> str:
        """The share at a spike; without facilitation the same for several spikes in a step, too."""
        return "u + U*(1 - u)" if self.tau_facil else "U"


class StochasticRelease(TsodyksMarkram):
    """Depression and facilitation whose spikes release quanta by chance: binomial release (del Castillo & Katz 1954, J.
    Physiol. 124:560; Fuhrmann et al. 2002, J. Neurophysiol. 87:140).

    At each spike each of `sites` release sites of a synapse gives w/sites with the probability u x that
    `TsodyksMarkram` has for it: a mean of w u x, a variance of w² u x (1 - u x)/sites, independent between synapses.
    The resources x are those of the mean, one number a source. Without depression and facilitation (a probability U
    at every spike) tau_rec is far below the intervals.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes([10.0], [0]), 1)
    >>> cells = net.add(rv.LIF(E_L=0.0, V_reset=0.0, V_th=99.0), 1000, initial={"V": 0.0})
    >>> rule = rv.rules.StochasticRelease(U=0.5, sites=2)
    >>> synapses = net.connect(source, cells, weight=2.0, probability=1.0, plasticity=rule)
    >>> V = rv.simulate(net, 11.1, record="V").states["V"].values[-1]
    >>> sizes = (V / V.max() * 2).round()  # quanta: none, one or two
    >>> sizes.unique().tolist()
    [0.0, 1.0, 2.0]
    """

    sites: float = parameter(1.0, "1", "release sites of a synapse, a whole number", at_least=1, at_most=32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sites != int(self.sites):
            raise ValueError(f"sites of {type(self).__name__} is {self.sites:g}; expected a whole number from 1 to 32")

    @property
    def transmitted(self) -> str:
        share = f"({self._released})*(1 - y)"
        quanta = (f"int(rand() < {share})" for _ in range(int(self.sites)))
        return f"w/sites*({' + '.join(quanta)})"


__all__ = ["StochasticRelease", "TsodyksMarkram"]
