"""PSPM: pairing against exhaustive search, the weights' change against plain loops, Dale's sign, exact resume."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ranvier as rv
from ranvier.learners.local.pspm import pair, spike_distance

T, N = 60, 8
trains = st.lists(st.integers(0, 11), max_size=5, unique=True).map(sorted)


def cheapest(a: list[int], b: list[int], furthest: int) -> int:
    """Over all sets of pairs in order."""
    best = (len(a) + len(b)) * (furthest + 1)
    for size in range(1, min(len(a), len(b)) + 1):
        for some, other in itertools.product(itertools.combinations(a, size), itertools.combinations(b, size)):
            apart = [abs(s - r) for s, r in zip(some, other, strict=True)]
            if max(apart) <= furthest:
                best = min(best, sum(apart) + (len(a) + len(b) - 2 * size) * (furthest + 1))
    return best


@given(trains, trains, st.integers(1, 6))
def test_the_pairing_is_the_cheapest(a, b, furthest):
    rasters = torch.zeros(2, 12, 1)
    rasters[0, a], rasters[1, b] = 1, 1
    missing, surplus = pair(rasters[0], rasters[1], furthest)
    assert not (missing & ~rasters[0].bool()).any() and not (surplus & ~rasters[1].bool()).any()
    left = [t for t in a if not missing[t, 0]]
    right = [t for t in b if not surplus[t, 0]]
    apart = [abs(s - r) for s, r in zip(left, right, strict=True)]
    assert max(apart, default=0) <= furthest
    assert sum(apart) + (len(a) + len(b) - 2 * len(left)) * (furthest + 1) == cheapest(a, b, furthest)


def test_distance_is_the_filtered_trains_mean_square():
    generator = torch.Generator().manual_seed(0)
    a, b = ((torch.rand(40, 3, generator=generator) < 0.2).float() for _ in range(2))
    filtered = [[[sum(r[s, n] * np.exp(-0.005 * (t - s) ** 2) for s in range(40)) for n in range(3)] for t in range(40)]
                for r in (a.numpy(), b.numpy())]  # fmt: skip
    assert spike_distance(a, b) == pytest.approx(float(np.square(np.subtract(*filtered)).mean()), rel=1e-10)
    assert spike_distance(a, a) == 0.0


def network(seed: int) -> rv.nn.LIF:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _network()


def _network() -> rv.nn.LIF:
    layer = rv.nn.LIF(N, recurrent=True, beta=0.9, threshold=0.3, reset="zero", dtype=torch.float64)
    with torch.no_grad():
        layer.recurrent.copy_(0.05 * torch.rand(N, N) * torch.tensor([1.0] * 6 + [-1.0] * 2))
    return layer


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    x = 0.05 + 0.05 * torch.randn(T, 1, N, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return x, network(1)(x)[0].detach()


@pytest.mark.parametrize("levels", [4, 10])
def test_a_step_changes_what_the_rule_says(levels):
    layer, (x, reference) = network(2), batch()
    before = layer.recurrent.detach().clone()
    subject = rv.learners.PSPM(layer, step=1e-3, levels=levels, window=4, homeostasis=1e-5, furthest=4)
    torch.manual_seed(3)
    subject.step((x, reference))
    torch.manual_seed(3)
    draws = np.random.default_rng([int(torch.randint(2**62, ())), 0])
    spikes = network(2)(x)[0].detach()[:, 0]
    missing, surplus = pair(reference[:, 0], spikes, 3)
    assert missing.any() and surplus.any()
    expected = before.numpy().copy()
    for t in range(T):
        pool = spikes[max(0, t - 4) : t].any(0)
        for i in range(N):
            sign = int(missing[t, i]) - int(surplus[t, i])
            for j in range(N):
                if sign and pool[j]:
                    expected[i, j] += sign * 1e-3 * draws.integers(0, levels)
    expected += 1e-5 * (reference[:, 0].sum(0) - spikes.sum(0)).numpy()[:, None]
    expected[:, :6] = expected[:, :6].clip(min=0)
    expected[:, 6:] = expected[:, 6:].clip(max=0)
    np.testing.assert_allclose(layer.recurrent.detach().numpy(), expected, rtol=1e-12, atol=1e-15)
    assert (expected == 0).any()  # Dale's sign was in force


def test_the_control_changes_other_synapses_as_much():
    x, reference = batch()
    totals = []
    for shuffled in (False, True):
        layer = network(2)
        subject = rv.learners.PSPM(
            layer, step=1e-6, levels=2, window=4, shuffled=shuffled
        )  # small, as Dale never bites
        torch.manual_seed(0)
        subject.step((x, reference))
        totals.append((layer.recurrent.detach() - network(2).recurrent.detach()).sum().item())
    layer = network(2)
    missing, surplus = pair(reference[:, 0], layer(x)[0].detach()[:, 0], 14)
    assert (missing.sum() - surplus.sum()) * totals[0] > 0 and totals[0] * totals[1] > 0


def test_the_reach_falls_and_a_run_is_resumed_exactly(tmp_path):
    def subject():
        return rv.learners.PSPM(network(2), step=1e-4, window=4, furthest=5, every=2)

    torch.manual_seed(5)
    one = subject()
    observed = []
    for _ in range(6):
        observed.append(one.reach)
        one.step(batch())
    assert observed == [4, 4, 3, 3, 2, 2]
    torch.manual_seed(5)
    rv.fit(subject(), [batch()], 3, tmp_path, progress=False)
    torch.manual_seed(77)
    two = subject()
    rv.fit(two, [batch()], 6, tmp_path, progress=False)
    assert torch.equal(one.layer.recurrent, two.layer.recurrent)


def test_refusals():
    with pytest.raises(ValueError, match="recurrent=True"):
        rv.learners.PSPM(rv.nn.LIF(4), step=1.0)
    with pytest.raises(ValueError, match="levels is 1"):
        rv.learners.PSPM(network(0), step=1.0, levels=1)
    with pytest.raises(ValueError, match="signs"):
        rv.learners.PSPM(network(0), step=1.0, signs=torch.ones(3))
    x, reference = batch()
    with pytest.raises(ValueError, match="expected spikes"):
        rv.learners.PSPM(network(0), step=1.0).step((x, reference[:-1]))


def test_a_reference_that_is_no_spikes_changes_nothing():
    layer = rv.nn.LIF(4, recurrent=True, reset="zero")
    subject = rv.learners.PSPM(layer, step=0.1, homeostasis=0.1, signs=torch.ones(4))
    before, x = layer.recurrent.detach().clone(), torch.rand(6, 2, 4)
    for reference in (torch.full((6, 2, 4), float("nan")), torch.full((6, 2, 4), 0.5)):
        with pytest.raises(ValueError, match="of 0 and 1"):
            subject.step((x, reference))
    for batch, text in (((x,), "expected a pair"), ((x[:, :0], x[:0, :0]), "empty batch")):
        with pytest.raises(ValueError, match=text):
            subject.step(batch)
    with pytest.raises(ValueError, match="finite homeostasis"):
        rv.learners.PSPM(layer, step=0.1, homeostasis=float("nan"))
    assert torch.equal(layer.recurrent, before)
