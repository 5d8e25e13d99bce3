"""A recurrent network of the noise-driven EIF neurons of `eif`: 800 excitatory, 200 inhibitory.

Every neuron hears 80 + 20 others through delta synapses of 0.2 mV (excitatory) and -1 mV (inhibitory), delay
1.5 ms.
"""

from types import ModuleType
from typing import Any

from . import eif
from ._wiring import brian2_sources, nest_rule

J, G, DELAY = 0.2, 5.0, 1.5
K_E, K_I = 80, 20


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv

    net = rv.Network(seed=seed)
    exc, inh = eif.add(net, 4 * n // 5, "exc"), eif.add(net, n // 5, "inh")
    net.connect(exc, [exc, inh], weight=J, delay=DELAY, synapse=rv.Delta(), in_degree=K_E)
    net.connect(inh, [exc, inh], weight=-G * J, delay=DELAY, synapse=rv.Delta(), in_degree=K_I)
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    cells = eif.brian2_cells(b2, n)
    n_e = 4 * n // 5
    common = {"delay": DELAY * b2.ms, "namespace": {"J": J * b2.mV, "g": G}}
    from_e = b2.Synapses(cells[:n_e], cells, on_pre="v_post += J", **common)
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="v_post -= g*J", **common)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    return [cells, from_e, from_i]


def nest(nest: ModuleType, n: int) -> Any:
    cells = eif.nest(nest, n)
    n_e = 4 * n // 5
    for sources, degree, weight in ((cells[:n_e], K_E, J), (cells[n_e:], K_I, -G * J)):
        rule = nest_rule(degree)
        nest.Connect(sources, cells, rule, {"weight": weight, "delay": DELAY})
    return cells
