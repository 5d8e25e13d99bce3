"""Activation graphs and choices against plain loops."""

import pytest
import torch

from ranvier.interpret import activation_graphs, activations, merge_selections, mlps, select_texts
from tests.interpret.conftest import language_model
from tests.interpret.test_unit_recording import texts


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_impact_profile_and_similarity_against_a_loop(kind):
    model = language_model(kind).double()
    graphs = activation_graphs(model, texts(4), top=3)
    names = [mlp.layers[-1].name for mlp in mlps(model)]
    assert [name.split(":")[1] for name in names] == ["up", "up"]
    record = activations(model, texts(4), names, dtype=torch.float64)
    rows = []
    for name in names:
        layer = []
        for text in record[name].split(record.lengths.tolist()):
            impact = [sum(abs(float(x)) for x in text[:, n]) / len(text) for n in range(20)]
            layer.append(sorted(range(20), key=lambda n, impact=impact: (-impact[n], n))[:3])
        rows.append(layer)
    assert graphs.units.movedim(1, 0).tolist() == rows
    assert graphs.tokens.tolist() == record.lengths.tolist()
    profile = graphs.profile(slice(0, 5))
    for k in range(2):
        counts = [sum(text.count(n) for text in rows[k][:5]) / 15 for n in range(20)]
        assert profile[k].tolist() == pytest.approx(counts, abs=1e-15)
    for t, score in enumerate(graphs.similarity(profile).tolist()):
        expected = sum(sum(float(profile[k][n]) for n in rows[k][t]) for k in range(2)) / 2
        assert abs(score - expected) < 1e-14
    last = graphs.similarity(profile, slice(-1, None))
    assert last.tolist() == pytest.approx([sum(float(profile[1][n]) for n in text) for text in rows[1]])
    assert all(not m._forward_hooks for m in model.modules())


def test_the_budget_is_one_of_tokens_and_ties_go_by_index():
    scores, tokens = torch.tensor([1.0, 3, 2, 3, 0]), torch.tensor([10, 20, 30, 20, 20])
    assert select_texts(scores, tokens, 0.4).tolist() == [1, 3]
    assert select_texts(scores, tokens, 0.69).tolist() == [1, 3]
    assert select_texts(scores, tokens, 0.7).tolist() == [1, 3, 2]
    assert select_texts(scores, tokens, 1.0).tolist() == [1, 3, 2, 0, 4]
    assert select_texts(scores, tokens, 0.1).tolist() == []
    # both scores count alike, whatever their scale
    assert select_texts(scores, tokens, 0.2, torch.tensor([0.0, 0, 0, 500, 0])).tolist() == [3]
    assert select_texts(torch.zeros(5), tokens, 0.3, torch.tensor([0.0, 1, 0, 0, 0])).tolist() == [1, 0]


def test_several_targets_share_the_budget():
    tokens = torch.ones(10, dtype=torch.long)
    a, b = torch.arange(10.0), torch.arange(10.0).flip(0)
    assert merge_selections([a, b], tokens, 0.4).tolist() == [9, 8, 0, 1]
    assert merge_selections([a, a], tokens, 0.4).tolist() == [9, 8]


def test_mistakes_are_named():
    model = language_model("llama")
    graphs = activation_graphs(model, texts(1), top=2)
    for call, message in (
        (lambda: activation_graphs(model, texts(1), top=21), "top is 21; expected at most 20"),
        (lambda: activation_graphs(model, []), "data have no batch"),
        (lambda: activation_graphs(torch.nn.Linear(2, 2), texts(1)), "has no MLP block"),
        (lambda: graphs.profile(slice(0, 0)), "texts are none"),
        (lambda: graphs.similarity(graphs.profile()[:1]), "profile has"),
        (lambda: select_texts(torch.zeros(3), torch.ones(2)), "expected one a text"),
        (lambda: select_texts(torch.tensor([float("nan")]), torch.ones(1)), "scores are not finite"),
        (lambda: select_texts(torch.zeros(1), torch.ones(1), 1.5), "budget is 1.5"),
        (lambda: merge_selections([], torch.ones(1)), "scores are none"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
