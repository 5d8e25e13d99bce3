"""Predictivity against scikit-learn's average precision, enrichment against sums, routing and bricks against loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from ranvier.interpret import (
    Brick,
    activations,
    edit,
    enrichment,
    functional_neurons,
    mlps,
    partition,
    plugged,
    predictivity,
    route,
)
from tests.interpret.conftest import language_model


def test_predictivity_against_scikit_learn():
    rng = np.random.default_rng(0)
    activity = np.maximum(0, rng.normal(size=(60, 5))).round(1)  # many equal ones
    labels = rng.random((60, 3)) < [0.5, 0.2, 0.7]
    scores = predictivity(torch.from_numpy(activity), torch.from_numpy(labels))
    for n in range(5):
        for k in range(3):
            y = labels[:, k]
            weight = np.where(y, 1 / y.mean(), 1 / (1 - y.mean()))
            both = [average_precision_score(t, activity[:, n], sample_weight=weight) for t in (y, ~y)]
            assert float(scores[n, k]) == pytest.approx(max(both), abs=1e-12)
    sure = torch.from_numpy(np.stack([labels[:, 0], ~labels[:, 0]], 1).astype(float))
    assert predictivity(sure, torch.from_numpy(labels[:, :1])).tolist() == [[1.0], [1.0]]


def test_functional_neurons_are_the_best():
    scores = torch.tensor([[0.5, 0.9], [0.7, 0.1], [0.7, 0.2], [0.6, 0.95]])
    assert functional_neurons(scores, 0.5).tolist() == [[False, True], [True, False], [True, False], [False, True]]
    assert functional_neurons(scores, 0.01).sum(0).tolist() == [1, 1]


def test_enrichment_against_binomials():
    generator = torch.Generator().manual_seed(0)
    members = torch.rand(24, 2, generator=generator) < 0.3
    parts = torch.arange(24) % 3
    table = enrichment(members, parts)
    for part in range(3):
        for k in range(2):
            total, inside = int(members[:, k].sum()), int((members[:, k] & (parts == part)).sum())
            p = sum(math.comb(total, i) * math.comb(24 - total, 8 - i) for i in range(inside, min(8, total) + 1))
            assert float(table[part, k]) == pytest.approx(p / math.comb(24, 8), rel=1e-12)


def test_parts_are_of_equal_size_and_gather_what_is_alike():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randperm(32, generator=generator) % 4
    weights = 5 * torch.eye(6)[kinds] + 0.2 * torch.randn(32, 6, generator=generator)
    parts = partition(weights, 4)
    assert torch.bincount(parts).tolist() == [8] * 4
    assert all(len(kinds[parts == part].unique()) == 1 for part in range(4))
    assert torch.bincount(partition(torch.randn(32, 6, generator=generator), 8)).tolist() == [4] * 8


def test_routing_against_a_loop():
    model = language_model("llama").double()
    ids, block = {"input_ids": torch.randint(0, 30, (2, 5), generator=torch.Generator().manual_seed(0))}, mlps(model)[0]
    name = block.neurons.name
    before = activations(model, [ids], block.neurons, dtype=torch.float64)[name]
    parts = torch.arange(20) % 5
    with edit(model) as change:
        route(change, block, parts, 0.4)
        after = activations(model, [ids], block.neurons, dtype=torch.float64)[name]
    lengths = block.write_weights.norm(dim=1).tolist()
    for b in range(2):
        for t in range(5):
            a = before[b, :, t].tolist()
            amounts = [sum(abs(a[n]) * lengths[n] for n in range(20) if n % 5 == part) for part in range(5)]
            on = sorted(range(5), key=lambda part: -amounts[part])[:2]
            assert after[b, :, t].tolist() == [a[n] if n % 5 in on else 0.0 for n in range(20)]
    with edit(model) as change:
        route(change, block, parts, 1.0)
        assert torch.equal(activations(model, [ids], block.neurons, dtype=torch.float64)[name], before)


def test_bricks_are_added_and_leave_nothing_behind():
    model = language_model("llama").double()
    ids = torch.randint(0, 30, (2, 5))
    block = mlps(model)[1].block
    a, b = Brick(12, 6).double(), Brick(12, 4).double()
    before = model(ids).logits
    with plugged(model, {block: [a]}):
        assert torch.equal(model(ids).logits, before)  # a new brick writes nothing
    nn.init.normal_(a.down.weight)
    nn.init.normal_(b.down.weight)
    module, observed = dict(model.named_modules())[block], {}
    with plugged(model, {block: [a, b]}):
        handle = module.register_forward_hook(lambda m, args, y: observed.update(x=args[0], y=y))
        changed = model(ids).logits
        handle.remove()
    plain = module(observed["x"])
    torch.testing.assert_close(observed["y"], plain + a(observed["x"]) + b(observed["x"]), atol=1e-12, rtol=0)
    assert not torch.equal(changed, before) and torch.equal(model(ids).logits, before)
    with pytest.raises(ValueError, match="module is 'none'"), plugged(model, {block: [a], "none": [b]}):
        pass
    assert torch.equal(model(ids).logits, before)


def test_mistakes_are_named():
    model = language_model("llama")
    activity, labels = torch.rand(6, 2), torch.tensor([[True], [False]] * 3)
    for call, message in (
        (lambda: predictivity(activity, labels[:4]), "expected \\(tokens, neurons\\)"),
        (lambda: predictivity(activity, torch.ones(6, 1)), "expected \\(tokens"),
        (lambda: predictivity(activity * math.nan, labels), "activity is not finite"),
        (lambda: predictivity(activity, torch.ones(6, 1, dtype=torch.bool)), "function 0 has 6 of 6 tokens"),
        (lambda: enrichment(torch.ones(4, 1, dtype=torch.bool), torch.zeros(3, dtype=torch.long)), "parts are"),
        (lambda: partition(torch.rand(10, 3), 3), "expected a divisor"),
        (lambda: functional_neurons(activity, 2.0), "share is 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with edit(model) as change, pytest.raises(ValueError, match="expected equal ones"):
        route(change, mlps(model)[0], torch.zeros(7, dtype=torch.long))
