"""Plasticity by the target's voltage."""

from __future__ import annotations

import math

from ranvier.equations import parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Coincidence, Trace


class Clopath(Rule):
    """Voltage-based plasticity (Clopath, Büsing, Vasilaki & Gerstner 2010, Nat. Neurosci. 13:344, eqs. 3 and 4).

    With u the target's voltage, u_minus and u_plus the same low-passed, X the spikes that arrive and x their trace,

        dw/dt = −A_LTD X [u_minus − theta_minus]₊ + A_LTP x [u − theta_plus]₊ [u_plus − theta_minus]₊

    between w_min and w_max. A spike adds 1/tau_x to x. The filtered voltages are read `delay` later, so that a spike of
    the target does not see itself. Where u_ref is above 0, depression is homeostatic: A_LTD (u_mean/u_ref)², u_mean
    the depolarisation above E_L low-passed by tau_mean. The target's spikes need a shape that crosses theta_plus, as
    those of `ClopathAdEx` do; a neuron reset at a threshold below it learns no potentiation. Defaults are those of the
    visual cortex; the delay is that of NEST's clopath_synapse in its reproduction of the paper's fig. 2.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes([20.0, 40.0, 60.0], [0, 0, 0]), 1)
    >>> teacher = net.add(rv.SpikeTimes([30.0, 50.0, 70.0], [0, 0, 0]), 1)
    >>> cell = net.add(rv.neurons.ClopathAdEx(), 1)
    >>> synapse = net.connect(source, cell, weight=0.5, edges=([0], [0]), plasticity=rv.rules.Clopath())
    >>> force = net.connect(teacher, cell, weight=80.0, edges=([0], [0]), synapse=rv.Delta())
    >>> bool(rv.simulate(net, 100.0).weights[synapse] > 0.5)
    True
    """

    reads = ("V",)
    A_LTD: float = parameter(1.4e-4, "weight/mV", "depression")
    A_LTP: float = parameter(8e-5, "weight/mV^2", "potentiation")
    theta_minus: float = parameter(-70.6, "mV", "threshold of the filtered voltages")
    theta_plus: float = parameter(-45.3, "mV", "threshold of the voltage for potentiation")
    tau_minus: float = parameter(10.0, "ms", "of u_minus", at_least=0)
    tau_plus: float = parameter(7.0, "ms", "of u_plus", at_least=0)
    tau_x: float = parameter(15.0, "ms", "of the source's trace", above=0)
    delay: float = parameter(4.0, "ms", "after which filtered voltages are read", at_least=0)
    u_ref: float = parameter(0.0, "mV", "depolarisation at which depression is A_LTD; 0: it always is", at_least=0)
    tau_mean: float = parameter(1000.0, "ms", "of the mean depolarisation", at_least=0)
    E_L: float = parameter(-70.6, "mV", "rest, from which depolarisation counts")
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(math.inf, "weight", "upper bound", finite=False)

    coincidence = Coincidence("x", "A_LTP*max(V - theta_plus, 0)*max(u_plus - theta_minus, 0)")

    @property
    def traces(self) -> tuple[Trace, ...]:
        voltages = (
            Trace("x", "pre", "tau_x", jump="1/tau_x"),
            Trace("u_minus", "post", "tau_minus", follows="V", delay="delay"),
            Trace("u_plus", "post", "tau_plus", follows="V", delay="delay"),
        )
        return (*voltages, Trace("u_mean", "post", "tau_mean", follows="V - E_L")) if self.u_ref else voltages

    @property
    def on_pre(self) -> str:
        depression = "-A_LTD*max(u_minus - theta_minus, 0)"
        return f"{depression}*(u_mean/u_ref)**2" if self.u_ref else depression


__all__ = ["Clopath"]
