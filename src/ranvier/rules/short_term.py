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


__all__ = ["TsodyksMarkram"]
