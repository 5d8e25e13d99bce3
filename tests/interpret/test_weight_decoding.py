"""Decoded weights against sums by hand, in float64."""

import math

import pytest
import torch
from torch import nn

from ranvier.interpret import clamped_lift, edit, feature_neurons, mlps, persistence
from tests.interpret.conftest import language_model
from tests.interpret.test_unit_recording import texts


@pytest.mark.parametrize("part", ["read", "gate", "write"])
@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_projection_against_a_loop(part, chunk):
    model = language_model("llama").double()
    result = feature_neurons(model, part, top=3, chunk=chunk)
    head = model.lm_head.weight.tolist()
    for k, layer in enumerate(model.model.layers):
        weight = {"read": layer.mlp.up_proj, "gate": layer.mlp.gate_proj}.get(part, layer.mlp.down_proj).weight.tolist()
        for n in (0, 11, 19):
            row = weight[n] if part != "write" else [column[n] for column in weight]
            logits = [sum(u * w for u, w in zip(token, row, strict=True)) for token in head]
            total = sum(math.exp(x) for x in logits)
            order = sorted(range(30), key=lambda t: -logits[t])[:3]
            assert result.tokens[k][n].tolist() == order
            for got, token in zip(result.probabilities[k][n].tolist(), order, strict=True):
                assert abs(got - math.exp(logits[token]) / total) < 1e-14
    assert result.size == 40


def test_neurons_of_a_token_are_sorted_and_found():
    result = feature_neurons(language_model("llama"))
    rows = [row for token in range(30) for row in result.of_token(token)]
    assert len(rows) == 40 and len({row[:2] for row in rows}) == 40
    for token in range(30):
        shares = [row[2] for row in result.of_token(token)]
        assert shares == sorted(shares, reverse=True)


def test_persistence():
    a, b = (feature_neurons(language_model("llama")) for _ in range(2))
    assert persistence(a, b) == 1.0
    b.tokens[0][:10, 0] = (b.tokens[0][:10, 0] + 1) % 30
    assert persistence(a, b) == 0.75
    with pytest.raises(ValueError, match="expected one model before and after"):
        persistence(a, feature_neurons(language_model("llama"), "write"))


def test_lift_against_single_texts():
    model = language_model("llama").double()
    block, token = mlps(model)[1], 7
    lift = clamped_lift(model, texts(3), block, 4, token, 3.0)
    lifts = []
    for batch in texts(3):
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            alone = ids[None, : int(mask.sum())]
            with torch.no_grad():
                before = model(alone).logits[0, -1].log_softmax(0)[token]
                with edit(model) as change:
                    change.clamp(block.neurons, 4, 3.0)
                    lifts.append(float(model(alone).logits[0, -1].log_softmax(0)[token] - before))
    assert abs(lift - sum(lifts) / len(lifts)) < 1e-12 and abs(lift) > 1e-4


def test_mistakes_are_named():
    model = language_model("llama")
    for call, message in (
        (lambda: feature_neurons(model, "none"), "part is 'none'"),
        (lambda: feature_neurons(model, top=31), "top is 31 of 30 tokens"),
        (lambda: feature_neurons(language_model("gpt2"), "gate"), "has no gate"),
        (lambda: feature_neurons(language_model("bert")), "has no output embedding"),
        (lambda: feature_neurons(nn.Linear(2, 2)), "has no output embedding"),
        (lambda: feature_neurons(model, vocabulary=torch.ones(5, 3)), "expected one width"),
        (lambda: clamped_lift(model, texts(1), mlps(model)[0], 20, 0, 1.0), "unit 20 of layer"),
        (lambda: clamped_lift(model, texts(1), mlps(model)[0], 0, 30, 1.0), "token is 30; expected 0 to 29"),
        (lambda: clamped_lift(model, [], mlps(model)[0], 0, 0, 1.0), "data have no batch"),
        (lambda: clamped_lift(model, texts(1), mlps(model)[0], 0, 0, float("nan")), "value is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"weights model\.layers\.0\.mlp\.up_proj\.weight have 1 values"):
        feature_neurons(model)
