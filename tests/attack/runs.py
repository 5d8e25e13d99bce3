"""A small run, for folders that are then damaged."""

import ranvier as rv


def network():
    net = rv.Network(seed=1)
    a = net.add(rv.LIF(), 6, "a", drive=30.0, noise=2.0)
    net.connect(a, a, weight=1.0, in_degree=2, delay=1.0)
    return net
