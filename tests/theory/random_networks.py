"""Random networks: predicted beside simulated, and the error that the theory announces.

`python -m tests.theory.random_networks COUNT SECONDS` prints a line a network and the share within their errors.
"""

import math
import sys

import torch

import ranvier as rv

DT = 0.05


def random_network(seed):
    g = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        return low + (high - low) * float(torch.rand((), generator=g))

    kind = seed % 3
    neuron = [rv.LIF(), rv.EIF(tau_m=10.0), rv.QIF(tau_m=15.0)][kind]
    noise = uniform(2.0, 6.0)
    drive = [uniform(8.0, 16.0), uniform(-4.0, 1.0), uniform(-1.0, 3.0)][kind]
    net = rv.Network(seed=seed)
    e = net.add(neuron, 32, drive=drive, noise=noise)
    i = net.add(neuron, 8, drive=drive, noise=noise)
    strength = math.exp(uniform(math.log(2.0), math.log(40.0)))
    p = uniform(0.1, 0.4)
    filtered = seed % 4 != 3
    tau = uniform(1.0, 12.0)
    synapse = rv.Exponential(tau=tau) if filtered else rv.Delta()
    unit = 1.0 if filtered else 1 / 15
    net.connect(e, [e, i], weight=strength * unit, probability=p, delay=1.5, synapse=synapse)
    net.connect(i, [e, i], weight=-4 * strength * unit, probability=p, delay=1.0, synapse=synapse)
    if seed % 2:
        rate, weight = uniform(500.0, 3000.0), uniform(2.0, 10.0)
        net.background(e, rate=rate, weight=weight, synapse=rv.Exponential(tau=tau))
    return net


def beside(seed, seconds):
    """(rate predicted, simulated, its sampling error, announced error; covariance slope, its sampling error, announced
    relative error), means over neurons; None where the theory refuses."""
    net = random_network(seed)
    try:
        prediction = rv.predict(net, dt=DT, stability="nyquist")
        C = prediction.covariance(50.0)
    except ValueError as error:
        return str(error)
    recording = rv.simulate(net, 1000.0 * seconds, dt=DT, seed=seed).after(500.0)
    r, sampling = recording.rates(return_error=True)
    S, error = recording.covariance(50.0, return_error=True)
    off = ~torch.eye(len(r), dtype=torch.bool) & (error > 0)
    square = (C[off] ** 2).sum()
    slope = float((S[off] * C[off]).sum() / square)
    uncertainty = float((C[off] ** 2 * error[off] ** 2).sum().sqrt() / square)
    report = prediction.report
    return (
        float(prediction.rates().mean()), float(r.mean()), float(sampling.pow(2).sum().sqrt() / len(r)),
        float(report.rate_error.mean()), slope, uncertainty, report.covariance_error,
    )  # fmt: skip


if __name__ == "__main__":
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    rates = slopes = refused = 0
    for seed in range(count):
        row = beside(seed, seconds)
        if isinstance(row, str):
            refused += 1
            print(seed, "refused:", row[:90], flush=True)
            continue
        p, s, e, announced, slope, uncertainty, relative = row
        within = abs(p - s) <= announced + 2 * e, abs(slope - 1) <= relative + 2 * uncertainty
        rates, slopes = rates + within[0], slopes + within[1]
        text = f"rate {p:8.3f} {s:8.3f} +- {e:.3f} announced {announced:.3f}; slope {slope:6.3f} +- {uncertainty:.3f}"
        print(seed, text, f"announced {relative:.3f}", *within, flush=True)
    print(f"within: rates {rates}, covariances {slopes}, of {count - refused}; refused {refused}")
