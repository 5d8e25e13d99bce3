"""Node perturbation of spiking neurons: against runs by hand, the theory's gradient, and what it must refuse."""

import math

import pytest
import torch

import ranvier as rv
from ranvier.learners import SpikingNodePerturbation

F64 = torch.float64
NEURON = {"tau_m": 20.0, "E_L": 0.0, "V_th": 15.0, "V_reset": 0.0, "t_ref": 2.0}


def network(inputs=3, outputs=2, synapse=None, weight=20.0, noise=3.0, drive=9.0):
    net = rv.Network()
    first = net.add(rv.LIF(**NEURON), inputs, name="inputs")
    last = net.add(rv.LIF(**NEURON), outputs, name="outputs", noise=noise, drive=drive)
    edges = torch.arange(inputs).repeat(outputs), torch.arange(outputs).repeat_interleave(inputs)
    weights = torch.full((inputs * outputs,), weight, dtype=F64)
    synapse = synapse or rv.Exponential(tau=5.0)
    return net, first, last, net.connect(first, last, weight=weights, delay=1.0, synapse=synapse, edges=edges)


def difference(counts, labels):
    """Spikes of the labelled neuron more than of the other."""
    own = torch.arange(len(labels))
    return counts[own, labels] - counts[own, 1 - labels]


def learner(rate=1.0, **options):
    net, first, last, projection = network()
    return SpikingNodePerturbation(net, [projection], first, last, difference, rate=rate, **options)


X = torch.tensor([[25.0, 0.0, 0.0], [0.0, 18.0, 25.0], [30.0, 30.0, 0.0]], dtype=F64)
LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("paired", [True, False])
def test_a_step_by_hand(paired):
    """One simulation a sign, its drives written out; counts, traces and changes in plain loops."""
    model = learner(sigma=2.0, trial=60.0, bin=20.0, pause=10.0, dt=0.5, paired=paired, seed=4)
    before = model.projections[0].weight.clone()
    torch.manual_seed(3)
    metrics = model.step((X, LABELS))
    torch.manual_seed(3)
    noise = torch.randn(3, 3, 2, dtype=F64)
    runs = []
    for sign in (1, -1) if paired else (1,):
        net, first, last, _ = network()
        driven, perturbed = torch.zeros(3 * 140, 3, dtype=F64), torch.full((3 * 140, 2), 9.0, dtype=F64)
        for trial in range(3):
            for step in range(120):
                driven[trial * 140 + 20 + step] = X[trial]
                perturbed[trial * 140 + 20 + step] += sign * 2.0 * noise[trial, step // 40]
        net.set(first, drive=rv.TimeSeries(driven, 0.5))
        net.set(last, drive=rv.TimeSeries(perturbed, 0.5))
        recording = rv.simulate(net, 210.0, dt=0.5, seed=4)
        counts = torch.zeros(3, 3, 5, dtype=F64)
        for time, neuron in zip(recording.times.tolist(), recording.neurons.tolist(), strict=True):
            start = time - 0.5  # of the step at whose end the spike is emitted
            trial, within = int(start // 70), start % 70 - 10
            if within >= 0:
                counts[trial, int(within // 20), neuron] += 1
        runs.append((difference(counts[..., 3:].sum(1), LABELS), counts))
    slope = (runs[0][0] - runs[1][0]) / 2 if paired else runs[0][0] - runs[0][0].mean()
    expected = before.clone()
    for edge in range(6):
        i, j = edge // 3, edge % 3
        for trial in range(3):
            for k in range(3):
                current = sum(c[trial, k, j] for _, c in runs) / len(runs) / 20.0
                expected[edge] += slope[trial] / 2.0 * noise[trial, k, i] * current / 3
    torch.testing.assert_close(model.projections[0].weight, expected, rtol=1e-10, atol=1e-12)
    assert slope.abs().max() > 0 and (expected - before).abs().max() > 0
    assert metrics["reward"] == pytest.approx(float(torch.stack([r for r, _ in runs]).mean()))
    assert model.net["outputs"].parameters["drive"] == 9.0


def test_the_mean_change_is_the_gradient_of_the_theory():
    """Reward: spikes of all outputs. The theory's rate, differentiated in the drive, times the currents."""
    net, first, last, projection = network(1, 4, weight=10.0, noise=5.0, drive=8.0)
    model = SpikingNodePerturbation(
        net, [projection], first, last, lambda counts, labels: counts.sum(1), rate=1.0, trial=400.0
    )  # fmt: skip
    x, labels = torch.full((200, 1), 40.0, dtype=F64), torch.zeros(200, dtype=torch.int64)
    torch.manual_seed(0)
    before = projection.weight.clone()
    model.step((x, labels))
    change = (projection.weight - before).numpy()
    fast = rv.simulate(constant(40.0, 0.0), 2000.0, dt=0.5).rates()[0].item() / 1000  # of the input, per ms

    def rate(shift):
        return rv.predict(constant(8.0 + 10.0 * fast + shift, 5.0)).rates()[0].item() / 1000

    expected = 400.0 * (rate(0.5) - rate(-0.5)) * fast
    error = change.std(ddof=1) / math.sqrt(4)
    assert abs(change.mean() - expected) < 4 * error + 0.1 * expected  # bins are 20 tau_m long: 5 % to settle, and dt
    assert error < 0.3 * expected


def constant(drive, noise):
    net = rv.Network()
    net.add(rv.LIF(**NEURON), 1, drive=drive, noise=noise)
    return net


def test_delta_synapses_bring_their_jump_times_tau_m():
    net, first, last, projection = network(synapse=rv.Delta(), weight=1.0)
    model = SpikingNodePerturbation(net, [projection], first, last, difference, rate=1.0, trial=100.0)
    counts = torch.ones(1, 1, 5, dtype=F64)
    assert torch.equal(model._currents(projection, counts), torch.full((1, 1, 3), 20.0 / 100.0, dtype=F64))


def test_weights_stay_within_bounds():
    model = learner(rate=1e4, bounds=(0.0, 40.0), sigma=5.0)
    model.step((X, LABELS))
    weight = model.projections[0].weight
    assert weight.min() >= 0.0 and weight.max() <= 40.0 and not bool((weight == 20.0).all())


def other(**changes):
    net, first, last, projection = network(**changes)
    return SpikingNodePerturbation(net, [projection], first, last, difference, rate=1.0)


def plain_weight():
    net, first, last, _ = network()
    fixed = net.connect(first, last, weight=1.0, probability=0.5)
    return SpikingNodePerturbation(net, [fixed], first, last, difference, rate=1.0)


def foreign():
    net, first, last, _ = network()
    return SpikingNodePerturbation(net, [network()[3]], first, last, difference, rate=1.0)


def empty():
    net, first, last, _ = network()
    return SpikingNodePerturbation(net, [], first, last, difference, rate=1.0)


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: learner(rate=math.nan), "rate is nan"), (lambda: learner(sigma=0.0), "sigma is 0"),
        (lambda: learner(trial=100.0, bin=30.0), "trial is 100"), (lambda: learner(pause=0.3), "pause is 0.3"),
        (lambda: learner(bounds=(1.0, 0.0)), "bounds"),
        (plain_weight, "expected a tensor"), (foreign, "not the network's"),
        (lambda: other(synapse=rv.Exponential(tau=5.0, normalise="peak")), "area weights"),
        (lambda: other(synapse=rv.ExponentialConductance(tau=5.0, E_rev=0.0)), "area weights"),
        (lambda: learner().step((X[:, :2], LABELS)), "x has shape"),
        (lambda: learner().step((X / 0, LABELS)), "x has shape"),
        (lambda: learner().step((X.tolist(), LABELS)), "expected two tensors"),
        (empty, "projections is empty"),
    ],
)  # fmt: skip
def test_refusals(refused, error):
    with pytest.raises((ValueError, TypeError), match=error):
        refused()


def test_a_reward_that_is_no_number_changes_nothing():
    net, first, last, projection = network()
    model = SpikingNodePerturbation(net, [projection], first, last, lambda c, y: c.sum(1) / 0, rate=1.0, trial=50.0)
    with pytest.raises(ValueError, match="reward has shape"):
        model.step((X, LABELS))
    assert bool((projection.weight == 20.0).all()) and last.parameters["drive"] == 9.0
