"""Dynamic lenses: laws of composition by random runs; backpropagation, Bayes' rule and the library's parts as such."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ranvier as rv
from ranvier.learners import nested
from ranvier.learners.nested import (
    UNIT,
    Distributions,
    Reals,
    Signals,
    from_cell,
    from_learner,
    from_rule,
    gradient_learner,
    identity,
    parallel,
    prediction_market,
    run,
    step,
    system,
    wiring,
)

F64 = torch.float64


def layer(n, m, seed, rate=0.3):
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(m * n, generator=g, dtype=F64)
    return gradient_learner(lambda p, x: torch.tanh(x @ p.view(m, n).T), weight, n, m, rate)


def runs(lens_count=1, length=3):
    """Positions and directions for lenses from Reals(2) to Reals(2), a pair's where there are two."""

    def make(seed):
        g = torch.Generator().manual_seed(seed)

        def one():
            return torch.randn(4, 2, generator=g, dtype=F64)

        if lens_count == 1:
            return [(one(), one()) for _ in range(length)]
        return [((one(), one()), (one(), one())) for _ in range(length)]

    return st.integers(0, 2**31).map(make)


def same(a, b, pairs):
    for (j, c), (k, d) in zip(run(a, pairs)[1], run(b, pairs)[1], strict=True):
        for one, other in zip(leaves((j, c)), leaves((k, d)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def leaves(value):
    return [x for v in value for x in leaves(v)] if isinstance(value, tuple) else [value]


@given(runs(), st.integers(0, 99))
def test_identities_are_units(pairs, seed):
    lens = layer(2, 2, seed)
    same(identity(Reals(2)) >> lens, lens, pairs)
    same(lens >> identity(Reals(2)), lens, pairs)


@given(runs(), st.integers(0, 99))
def test_composition_is_associative(pairs, seed):
    a, b, c = layer(2, 3, seed), layer(3, 5, seed + 1), layer(5, 2, seed + 2)
    same((a >> b) >> c, a >> (b >> c), pairs)


@given(runs(2), st.integers(0, 99))
def test_rows_and_parallels_interchange(pairs, seed):
    a, b, c, d = layer(2, 3, seed), layer(3, 2, seed + 1), layer(2, 4, seed + 2), layer(4, 2, seed + 3)
    same((a * c) >> (b * d), (a >> b) * (c >> d), pairs)
    same(parallel(identity(Reals(2)), identity(Reals(2))), identity(Reals(2) * Reals(2)), pairs)


def test_a_wrong_order_of_updates_is_noticed():
    """A composite whose second part hears before it spoke is not the same: the property tests can fail."""
    a, b = layer(2, 2, 0), layer(2, 2, 1)
    wrong = nested.DynamicLens(
        a.source, b.target, (a.start, b.start), lambda s, i: b.forward(s[1], a.forward(s[0], i)),
        lambda s, i, d: (lambda t: ((t[0], b.backward(s[1], a.forward(t[0], i), d)[0]), t[1]))(
            a.backward(s[0], i, b.backward(s[1], a.forward(s[0], i), d)[1])
        ),
    )  # fmt: skip
    g = torch.Generator().manual_seed(0)
    pairs = [tuple(torch.randn(4, 2, generator=g, dtype=F64) for _ in range(2)) for _ in range(3)]
    with pytest.raises(AssertionError):
        same(wrong, a >> b, pairs)


def test_composed_learners_are_backpropagation_with_sgd():
    """To 1e-12, over twenty steps, with the loss's slope as what comes back."""
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    target = torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    lens = layer(3, 5, 0, 0.1) >> layer(5, 4, 1, 0.1) >> layer(4, 2, 2, 0.1)
    weights = [w.clone() for w in leaves(lens.start)]
    model = nn.Sequential(*(m for n, k in ((3, 5), (5, 4), (4, 2)) for m in (nn.Linear(n, k, bias=False), nn.Tanh())))
    model.double()
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights, strict=True):
            p.copy_(w.view_as(p))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    state = lens.start
    for _ in range(20):
        state, y, _ = step(lens, state, x, lambda y: (y - target) / len(x))
        optimizer.zero_grad()
        out = model(x)
        ((out - target).square().sum() / (2 * len(x))).backward()
        optimizer.step()
        torch.testing.assert_close(y, out.detach(), rtol=1e-12, atol=1e-12)
    for p, w in zip(model.parameters(), leaves(state), strict=True):
        torch.testing.assert_close(p.detach().flatten(), w, rtol=1e-12, atol=1e-12)


chances = st.lists(st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3), min_size=3, max_size=3)


def distributions(rows):
    p = torch.tensor(rows, dtype=F64)
    return p / p.sum(1, keepdim=True)


@given(st.lists(chances, min_size=1, max_size=4), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_wealth_is_the_posterior(rounds, outcomes):
    """Of independent rounds: prior times likelihoods, normalised."""
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
    market, posterior = prediction_market(prior, 3), prior.clone()
    state = market.start
    for rows, outcome in zip(rounds, outcomes, strict=False):
        p = distributions(rows)
        state, price, heard = step(market, state, ((p[0], p[1]), p[2]), outcome)
        torch.testing.assert_close(price, posterior @ p, rtol=1e-12, atol=1e-14)
        assert heard == ((outcome, outcome), outcome)
        posterior = posterior * p[:, outcome] / (posterior @ p[:, outcome])
    torch.testing.assert_close(state, posterior, rtol=1e-10, atol=1e-13)


@given(st.lists(chances, min_size=1, max_size=4), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_a_market_of_markets_is_a_market(rounds, outcomes):
    inner = prediction_market(torch.tensor([0.6, 0.4], dtype=F64), 3)
    outer = prediction_market(torch.tensor([0.7, 0.3], dtype=F64), 3)
    whole = parallel(inner, identity(Distributions(3))) >> outer
    flat = prediction_market(torch.tensor([0.42, 0.28, 0.3], dtype=F64), 3)
    bets = [distributions(rows) for rows in rounds]
    pairs = [(((p[0], p[1]), p[2]), o) for p, o in zip(bets, outcomes, strict=False)]
    for (price, heard), (other, same_heard) in zip(run(whole, pairs)[1], run(flat, pairs)[1], strict=True):
        torch.testing.assert_close(price, other, rtol=1e-10, atol=1e-12)
        assert heard == same_heard


def test_feedback_without_learning():
    """Two systems wired so that each is driven by the other: an oscillator, beside the same steps by hand."""
    one = system(Reals(1), torch.tensor([1.0], dtype=F64), lambda s: s, lambda s, d: s + 0.1 * d)
    two = system(Reals(1), torch.tensor([0.0], dtype=F64), lambda s: s, lambda s, d: s - 0.1 * d)
    crossed = wiring(Reals(1) * Reals(1), Reals(1), lambda i: i[0], lambda i, d: (i[1] + d, i[0]))
    double = wiring(UNIT, UNIT * UNIT, lambda i: ((), ()), lambda i, d: ())
    whole = double >> (one * two) >> crossed
    drive = [torch.tensor([0.5 * (t == 3)], dtype=F64) for t in range(30)]
    shown = torch.cat([j for j, _ in run(whole, [((), d) for d in drive])[1]])
    x, y, expected = 1.0, 0.0, []
    for d in drive:
        expected.append(x)
        x, y = x + 0.1 * (y + float(d)), y - 0.1 * x
    torch.testing.assert_close(shown, torch.tensor(expected, dtype=F64), rtol=1e-12, atol=1e-12)


def test_a_controller_adapts_within_the_loop():
    """A plant x ← .9 x + b u with unknown b, and a gain that learns by what comes back, to hold x at 1."""
    for b in (0.5, -0.7):
        plant = system(Reals(1), torch.zeros(1, dtype=F64), lambda s: s, lambda s, d, b=b: 0.9 * s + b * d)
        controller = gradient_learner(lambda p, x: p[:1] * (1 - x) + p[1:], torch.zeros(2, dtype=F64), 1, 1, 0.05)
        x, p, course = plant.start, controller.start, []
        for _ in range(400):
            u = controller.forward(p, x)
            after, _, _ = step(plant, x, (), u)
            p, _, _ = step(controller, p, x, (after - 1) * (1.0 if b > 0 else -1.0))
            x = after
            course.append(float((x - 1).abs()))
        assert max(course[-20:]) < 0.02 < course[0]


def test_cells_are_instances():
    cell = rv.nn.LIF(3, 4, recurrent=True)
    x = 3 * torch.rand(6, 5, 3)
    expected, end = cell(x)
    lens = from_cell(cell, 5, 3, 4)
    state, out = run(lens, [(row, ()) for row in x])
    torch.testing.assert_close(torch.stack([y for y, _ in out]), expected.detach())
    assert all(torch.equal(state[k], end[k]) for k in end)
    two = lens >> from_cell(rv.nn.LI(4, 2), 5, 4, 2)
    model = rv.nn.Sequential(cell, rv.nn.LI(4, 2))
    del model
    assert [y.shape for y, _ in run(two, [(row, ()) for row in x])[1]] == [(5, 2)] * 6


def test_rules_are_instances():
    """The synapse is the learner: a weight that STDP changes, with what neurons answered coming back."""
    rule, weight = rv.rules.STDP(), torch.full((2, 3), 0.5, dtype=F64)
    spikes = (torch.rand(20, 1, 5, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    lens = from_rule(rule, weight, 1)
    state, out = run(lens, [(s[:, :3], s[:, 3:]) for s in spikes])
    own, w = rule.init_state(weight, 1), weight
    for s, (drive, back) in zip(spikes, out, strict=True):
        torch.testing.assert_close(drive, s[:, :3] @ w.T)
        own, change = rule.step(own, w, s[:, :3], s[:, 3:], dt=1.0)
        w = w + change
        assert back == ()
    assert torch.equal(state[1], w) and not torch.equal(w, weight)


def test_learners_are_instances():
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()

    def make():
        net = copy.deepcopy(model)
        return rv.learners.FeedbackAlignment(net, nn.functional.cross_entropy, torch.optim.Adam(net.parameters(), 0.1))

    torch.manual_seed(1)
    lens = from_learner(make())
    torch.manual_seed(1)
    plain = make()
    batches = [(torch.randn(6, 4, dtype=F64), torch.arange(6) % 3) for _ in range(3)]
    _, out = run(lens, [(batch, ()) for batch in batches])
    for batch, (metrics, _) in zip(batches, out, strict=True):
        assert metrics == plain.evaluate(batch)
        plain.step(batch)


REFUSED = {
    "ends": (lambda: layer(2, 3, 0) >> layer(2, 2, 0), r"ends in Reals\(size=3\); expected Reals\(size=2\)"),
    "position": (lambda: step(layer(2, 3, 0), layer(2, 3, 0).start, torch.zeros(4, 3), None), "the source's position"),
    "direction": (
        lambda: step(l := layer(2, 3, 0), l.start, torch.zeros(4, 2, dtype=F64), torch.zeros(3)),
        r"the target's direction is a tensor \(3,\); expected a tensor \(4, 3\)",
    ),
    "pair": (lambda: step(identity(UNIT * UNIT), (), 3, ()), "is a int; expected a pair"),
    "nothing comes back to signals": (
        lambda: step(identity(Signals(2)), (), torch.zeros(2), torch.zeros(2)), r"expected \(\)"
    ),
    "probabilities": (lambda: step(identity(Distributions(2)), (), torch.tensor([0.5, 0.6]), 0), "expected probab"),
    "an outcome that cannot be": (
        lambda: step(identity(Distributions(2)), (), torch.tensor([1.0, 0.0]), 1), "outcome 1, of chance 0"
    ),
    "wealth": (lambda: prediction_market(torch.tensor([0.5, 0.6]), 2), "wealth is"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_types_are_checked(name):
    attempt, text = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=text):
        attempt()
