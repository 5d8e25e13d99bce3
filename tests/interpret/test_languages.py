"""Language neurons against plain loops over neurons and tokens, in float64."""

import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch

from ranvier.interpret import (
    LanguageActivity,
    activations,
    alignment_neurons,
    edit,
    language_activity,
    lape,
    largest_weight,
    log_perplexity,
    masked_perplexities,
    mlps,
    perplexity,
    stages,
)
from ranvier.interpret.language_models.languages import LanguageNeurons, alignment_score, entropy
from tests.interpret.conftest import language_model
from tests.interpret.test_unit_recording import texts


def drawn(seed: int = 0, neurons: int = 400, languages: int = 4) -> LanguageActivity:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(neurons, languages, generator=generator, dtype=torch.float64) ** 3
    p[:5] = 0.0
    names = tuple("abcdefghij"[:languages])
    sizes = (neurons // 2, neurons - neurons // 2)
    return LanguageActivity(names, ("0:neurons", "1:neurons"), sizes, p, torch.ones(languages))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_activity_against_recorded_activations(kind):
    model = language_model(kind).double()
    data = {"a": texts(2), "b": texts(4)[2:]}
    activity = language_activity(model, data)
    names = [mlp.layers[1].name for mlp in mlps(model)]
    for k, batches in enumerate(data.values()):
        record = activations(model, batches, names, dtype=torch.float64)
        expected = torch.cat([(record[name] > 0).double().mean(0) for name in names])
        torch.testing.assert_close(activity.probabilities[:, k], expected, atol=1e-15, rtol=0)
        assert int(activity.tokens[k]) == record.rows
    assert activity.sizes == (20, 20) and 0.2 < float(activity.probabilities.mean()) < 0.8
    # of a gated MLP the activation is positive exactly where the gate is
    assert all(not m._forward_hooks for m in model.modules())


def test_response_tokens_alone():
    model, batch = language_model("llama"), texts(1)[0]
    labels = batch["input_ids"].clone()
    labels[:, :2] = -100
    activity = language_activity(model, {"a": [batch | {"labels": labels}]} | {"b": [batch | {"labels": labels}]},
                                 tokens="response")  # fmt: skip
    name = mlps(model)[0].layers[1].name
    record = activations(model, [batch], name)
    rows = torch.cat([part[2:] for part in record[name].split(record.lengths.tolist())])
    assert activity.tokens.tolist() == [len(rows)] * 2
    torch.testing.assert_close(activity.probabilities[:20, 0], (rows > 0).double().mean(0))
    with pytest.raises(ValueError, match="has no labels"):
        language_activity(model, {"a": [batch], "b": [batch]}, tokens="response")


def plain_entropy(row):
    total = sum(row)
    if total == 0:
        return math.log(len(row))
    return -sum(x / total * math.log(x / total) for x in row if x > 0)


def test_scores_against_a_loop():
    p = drawn().probabilities
    for weight in (0.0, 0.07, 0.2):
        scores = alignment_score(p, weight)
        for n in (0, 7, 399):
            row = p[n].tolist()
            expected = plain_entropy(row) / math.log(4) - weight * max(row) * 4 / (1 + 1 / 2 + 1 / 3 + 1 / 4)
            assert abs(float(scores[n]) - expected) < 1e-14
            assert abs(float(entropy(p)[n]) - plain_entropy(row)) < 1e-14
    assert float(alignment_score(p, 0.2)[0]) == 1.0  # a neuron that never fires counts as uniform


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_lape_against_a_loop(share):
    activity = drawn()
    p = activity.probabilities.tolist()
    bar = sorted(x for row in p for x in row)[round(0.95 * 1600) - 1]
    candidates = [(plain_entropy(row), n) for n, row in enumerate(p) if max(row) > bar]
    chosen = {n for _, n in sorted(candidates)[: round(share * 400)]}
    members = lape(activity, share=share).members
    for n in range(400):
        assert members[n].tolist() == [n in chosen and x > bar for x in p[n]]
    assert bool(members.any()) and len(chosen) == round(share * 400)


def test_without_candidates_there_are_fewer_neurons():
    members = lape(drawn(), share=0.5, percentile=1.0).members
    assert not bool(members.any())


def test_the_largest_weight_shares_no_neuron_and_a_larger_one_does():
    activity = drawn(3)
    p = activity.probabilities
    p[-1] = 1.0  # always active: of no language, and preferred by a large weight alone
    p[-2] = torch.tensor([1.0, 0.98, 0.99, 0.97])
    weight = largest_weight(activity, share=0.2, high=2.0)
    assert 0 < weight < 2.0
    assert not bool(alignment_neurons(activity, weight, share=0.2).members.all(1).any())
    assert bool(alignment_neurons(activity, weight + 1e-3, share=0.2).members.all(1).any())
    by_default = alignment_neurons(activity, share=0.2).members
    assert torch.equal(by_default, alignment_neurons(activity, largest_weight(activity, share=0.2), share=0.2).members)
    activity.probabilities[:] = 1.0
    activity.probabilities[::9] = 0.0
    assert largest_weight(activity, share=1.0, percentile=0.01) == 0.0


def members_of(*rows: str) -> LanguageNeurons:
    members = torch.tensor([[c == "1" for c in row] for row in rows])
    sizes = (2, len(rows) - 2)
    return LanguageNeurons(("a", "b", "c"), ("0:neurons", "1:neurons"), sizes, members, torch.zeros(len(rows)))


def test_classes_layers_and_units():
    neurons = members_of("100", "110", "111", "000", "011", "001")
    assert neurons.specific.tolist() == [1, 0, 0, 0, 0, 1]
    assert neurons.related.tolist() == [0, 1, 0, 0, 1, 0]
    assert neurons.general.tolist() == [0, 0, 1, 1, 0, 0]
    assert neurons.per_layer().tolist() == [[1, 1, 0], [1, 1, 2]]
    assert {k: v.tolist() for k, v in neurons.units("c").items()} == {"1:neurons": [0, 2, 3]}
    shuffled = neurons.shuffled(0)
    assert shuffled.members.sum(0).tolist() == neurons.members.sum(0).tolist()
    assert shuffled.per_layer().tolist() == neurons.per_layer().tolist()
    with pytest.raises(ValueError, match="language is 'd'"):
        neurons.units("d")


def test_masked_perplexities_against_weights_set_to_zero():
    """Zeroed columns of the output projection are another way to mask."""
    model = language_model("llama").double()
    data = {"a": texts(2), "b": texts(3)[2:], "c": texts(5)[3:]}
    activity = language_activity(model, data)
    neurons = lape(activity, share=0.3, percentile=0.6)
    matrix = masked_perplexities(model, neurons, data)
    for i in range(len(data)):
        edited = language_model("llama").double()
        with torch.no_grad():
            for k, mlp in enumerate(mlps(edited)):
                flags = neurons.members[20 * k : 20 * (k + 1), i]
                mlp.down.weight[:, flags] = 0.0
        for j, batches in enumerate(data.values()):
            expected = log_perplexity(edited, batches) - log_perplexity(model, batches)
            assert abs(float(matrix[i, j]) - expected) < 1e-12
    assert float(matrix.abs().max()) > 1e-4


def test_log_perplexity_against_a_loop():
    model = language_model("llama").double()
    total, tokens = 0.0, 0
    for batch in texts(3):
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            alone = ids[: int(mask.sum())]
            with torch.no_grad():
                rows = model(alone[None]).logits[0].log_softmax(1)
            total -= sum(float(rows[t, alone[t + 1]]) for t in range(len(alone) - 1))
            tokens += len(alone) - 1
    assert abs(log_perplexity(model, texts(3)) - total / tokens) < 1e-12
    assert abs(perplexity(model, texts(3)) - math.exp(total / tokens)) < 1e-9
    with pytest.raises(ValueError, match="no token to predict"):
        log_perplexity(model, [torch.ones(2, 1).long()])
    with torch.no_grad(), edit(model) as change, pytest.raises(FloatingPointError, match="not finite"):
        change.scale("model.norm", None, 1e308).scale("model.norm", None, 1e308)
        log_perplexity(model, texts(1))


def test_stages_against_every_split():
    generator = torch.Generator().manual_seed(1)
    for size in (4, 7):
        members = torch.rand(10 * size, 3, generator=generator) < 0.3
        neurons = replace(members_of("100", "000", "000"), layers=tuple(map(str, range(size))), sizes=(10,) * size,
                          members=members)  # fmt: skip
        chosen = (neurons.specific | neurons.related).double()
        shares = chosen.reshape(size, 10).mean(1).tolist()

        def error(cuts, shares=shares, size=size):
            ends = [0, *cuts, size]
            groups = [shares[a:b] for a, b in pairwise(ends)]
            return sum(sum((x - sum(g) / len(g)) ** 2 for x in g) for g in groups)

        best = min(error(cuts) for cuts in combinations(range(1, size), 3))
        cuts = [a for a, _ in stages(neurons)][1:]
        assert abs(error(cuts) - best) < 1e-12
    with pytest.raises(ValueError, match="expected 1 to 2 stages"):
        stages(members_of("100", "000", "000"))


def test_mistakes_are_named():
    model = language_model("llama")
    with pytest.raises(ValueError, match="data have 1 languages"):
        language_activity(model, {"a": texts(1)})
    with pytest.raises(ValueError, match="language b has no token"):
        language_activity(model, {"a": texts(1), "b": []})
    with pytest.raises(ValueError, match="data lack c"):
        masked_perplexities(model, members_of("100", "000", "000"), {"a": texts(1), "b": texts(1)})
    with pytest.raises(ValueError, match="share is 2"):
        lape(drawn(), share=2)
