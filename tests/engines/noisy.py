"""A network with everything that draws random numbers or carries state, large enough for three threads."""

import torch

import ranvier as rv

DURATION, DT = 60.0, 0.1


def network(size=1100):
    net = rv.Network(seed=4)
    series = rv.TimeSeries(torch.linspace(0.0, 4.0, 40), interval=1.5)
    rest = {"V": rv.Uniform(-65.0, -50.0)}
    a = net.add(rv.LIF(), size, "a", drive=series, noise=5.0, initial=rest)
    b = net.add(rv.LIF(), size // 2, "b", drive=10.0, noise=torch.linspace(2.0, 6.0, size // 2), initial=rest)
    p = net.add(rv.Poisson(rate=50.0), 300, "p")
    kwargs = {"synapse": rv.Exponential(tau=4.0), "in_degree": 20}
    model = net.connect(a, [a, b], weight=8.0, delay=1.5, **kwargs)
    net.connect(b, [a, b], weight=-12.0, delay=0.7, **kwargs)
    delays = 0.1 * (3 + torch.arange(size * 10) % 60)
    net.connect(p, a, weight=torch.linspace(0.1, 0.4, size * 10), delay=delays, in_degree=10)
    net.background(a, rate=8000.0, weight=0.1)
    net.background(
        b, rate=torch.linspace(0.0, 9000.0, size // 2), weight=4.0, synapse=rv.Exponential(tau=4.0)
    )
    assert model[0].size == 20 * size
    return net


def record(net):
    a_to_b = net.projections[1]
    return [
        rv.Probe("V", neurons=[3, 700, 1200], interval=0.3),
        rv.Probe("s", of=a_to_b, interval=2.0, name="s"),
    ]


def run(path=None, threads=1, seed=7, duration=DURATION, net=None):
    net = net or network()
    return rv.simulate(net, duration, dt=DT, seed=seed, threads=threads, record=record(net), path=path)


def same(x, y):
    return (
        torch.equal(x.times, y.times)
        and torch.equal(x.neurons, y.neurons)
        and all(torch.equal(x.states[k].values, y.states[k].values) for k in ("V", "s"))
        and all(torch.equal(x.states[k].times, y.states[k].times) for k in ("V", "s"))
    )
