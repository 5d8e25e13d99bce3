"""Captions against sums over all captions, written out; pooled features and overlaps against loops; in float64."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from ranvier.interpret import (
    Captioner,
    activations,
    concept_overlap,
    describe,
    exemplars,
    fit_captioner,
    pooled_features,
    token_f1,
)
from tests.interpret.test_unit_recording import IMAGES, batches

WORDS = ("a", "b", "c")


@pytest.fixture
def models():
    torch.manual_seed(0)
    pair = Captioner(WORDS, 4, hidden=6).double(), Captioner(WORDS, 0, hidden=5).double()
    with torch.no_grad():
        for model in pair:
            for p in model.parameters():
                p.mul_(3.0)
    return pair


FEATURES = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def dot(matrix, vector, bias=None):
    out = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix.tolist()]
    return out if bias is None else [o + b for o, b in zip(out, bias.tolist(), strict=True)]


def log_probability_by_hand(model, features, caption):
    """One caption of one unit, number by number."""
    hidden = model.cell.hidden_size
    h, c = [0.0] * hidden, [0.0] * hidden
    rows = None
    if features is not None:
        rows = []
        for row in features.tolist():
            mean = sum(row) / len(row)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-5)
            scale, shift = model.scale.weight.tolist(), model.scale.bias.tolist()
            rows.append([(x - mean) / deviation * g + b for x, g, b in zip(row, scale, shift, strict=True)])
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        h = [math.tanh(x) for x in dot(model.start.weight, mean, model.start.bias)]
    total, word = 0.0, 0
    for following in [WORDS.index(w) + 2 for w in caption] + [1]:
        x = model.embedding.weight[word].tolist()
        if rows is not None:
            state = dot(model.of_state.weight, h)
            energies = []
            for row in rows:
                inner = dot(model.of_features.weight, row, model.of_features.bias)
                energies.append(dot(model.attention.weight, [math.tanh(a + b) for a, b in zip(inner, state)])[0])
            shares = [math.exp(e) / sum(math.exp(f) for f in energies) for e in energies]
            x = x + [sum(s * row[k] for s, row in zip(shares, rows)) for k in range(4)]
        gates = [a + b for a, b in zip(dot(model.cell.weight_ih, x, model.cell.bias_ih),
                                       dot(model.cell.weight_hh, h, model.cell.bias_hh))]  # fmt: skip
        i, f, g, o = (gates[k * hidden : (k + 1) * hidden] for k in range(4))
        c = [sigmoid(a) * b + sigmoid(d) * math.tanh(e) for a, b, d, e in zip(f, c, i, g)]
        h = [sigmoid(a) * math.tanh(b) for a, b in zip(o, c)]
        logits = dot(model.out.weight, h, model.out.bias)
        total += logits[following] - math.log(sum(math.exp(z) for z in logits))
        word = following
    return total


CAPTIONS = ["", "a", "b c", "c a b", "b b b"]


def test_probabilities_against_a_loop(models):
    for model, features in ((models[0], FEATURES[:1]), (models[1], None)):
        tokens = model.encode(CAPTIONS)
        rows = None if features is None else features.expand(len(CAPTIONS), -1, -1)
        logs = model(rows, tokens)
        for caption, log in zip(CAPTIONS, logs.tolist(), strict=True):
            expected = log_probability_by_hand(model, None if features is None else features[0], caption.split())
            assert abs(log - expected) < 1e-12


def everything(length):
    return [" ".join(words) for n in range(length + 1) for words in product(WORDS, repeat=n)]


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_a_wide_beam_finds_the_best_of_all_captions(models, weight):
    captioner, prior = models
    captions = everything(3)
    result = describe(captioner, prior, FEATURES, weight=weight, beam=100, length=3)
    for unit, one in zip(FEATURES, result, strict=True):
        tokens = captioner.encode(captions)
        logs = captioner(unit.expand(len(captions), -1, -1), tokens) - weight * prior(None, tokens)
        assert str(one) == captions[int(logs.argmax())]
        assert abs(one.score - float(logs.max().detach())) < 1e-12


def test_a_narrow_beam_is_greedy(models):
    captioner, _ = models
    for unit, one in zip(FEATURES, describe(captioner, None, FEATURES, beam=1, length=3), strict=True):
        best, words = (-math.inf, ""), []
        while True:
            options = {w: log_probability_by_hand(captioner, unit, [*words, *([w] if w else [])]) for w in ("", *WORDS)}
            best = max(best, (options[""], " ".join(words)))
            if len(words) == 3:
                break
            tokens = captioner.encode([" ".join([*words, w]) for w in WORDS])[:, : len(words) + 1]
            prefix = captioner(unit.expand(3, -1, -1), tokens)
            words.append(WORDS[int(prefix.argmax())])
        assert (one.score, str(one)) == (pytest.approx(best[0], abs=1e-12), best[1])


def test_it_learns_what_is_said_of_whom():
    generator = torch.Generator().manual_seed(3)
    kinds = torch.randint(3, (60,), generator=generator)
    features = torch.randn(60, 5, 4, generator=generator) * 0.3
    features[:, :, :3] += 2 * nn.functional.one_hot(kinds, 3)[:, None]
    captions = [("a", "b c", "c a b")[k] for k in kinds.tolist()]
    torch.manual_seed(0)
    captioner = Captioner(WORDS, 4, hidden=16)
    losses = fit_captioner(captioner, features[:40], captions[:40], steps=50, rate=3e-2)
    said = describe(captioner, None, features[40:], beam=4, length=4)
    assert [str(one) for one in said] == captions[40:] and losses[-1] < 0.2 < losses[0]
    prior = Captioner(WORDS, 0, hidden=8)
    fit_captioner(prior, None, captions, steps=150, rate=3e-2)
    shares = prior(None, prior.encode(["a", "b c", "c a b"])).exp().tolist()
    for k, share in enumerate(shares):  # the prior is the captions' frequencies
        assert abs(share - float((kinds == k).double().mean())) < 0.1


def test_pooled_features_against_a_loop(convolutional):
    convolutional = convolutional.double()
    record = activations(convolutional, batches(), "3", dtype=torch.float64)
    units = exemplars(record, "3", top=2, quantile=0.8)
    pooled = pooled_features(convolutional, IMAGES, units, ["0", "3"])
    assert pooled.shape == (4, 2, 9)
    masks = units.masks((8, 8))
    for unit in range(4):
        for rank in range(2):
            example = int(units.examples[unit, rank])
            expected = []
            for layer, size, width in (("0", 6, 5), ("3", 4, 4)):
                maps = activations(convolutional, [IMAGES[example : example + 1]], layer, dtype=torch.float64)[layer][0]
                weight = nn.functional.adaptive_avg_pool2d(masks[unit, rank].double()[None], size)[0]
                if float(weight.sum()) == 0:
                    weight = torch.ones(size, size)
                for channel in range(width):
                    total = sum(float(weight[i, j] * maps[channel, i, j]) for i in range(size) for j in range(size))
                    expected.append(total / float(weight.sum()))
            # recorded in float32
            torch.testing.assert_close(pooled[unit, rank], torch.tensor(expected).double(), atol=1e-6, rtol=1e-6)


def test_overlap_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(6, 3, 4, 4, generator=generator)
    concepts = torch.rand(6, 2, 8, 8, generator=generator) > 0.5
    threshold = torch.tensor([0.5, 0.7, 2.0])
    scores = concept_overlap(maps, threshold, concepts)
    large = nn.functional.interpolate(maps, size=(8, 8), mode="bilinear", align_corners=False)
    for u in range(3):
        for c in range(2):
            on, there = large[:, u] > threshold[u], concepts[:, c]
            assert abs(float(scores[u, c]) - float((on & there).sum()) / float((on | there).sum())) < 1e-7
    assert scores[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("said", "true", "score"),
    [("a b", "a b", 1.0), ("b a", "a b", 1.0), ("a", "a b", 2 / 3), ("a a", "a b", 0.5), ("", "a", 0.0), ("", "", 1.0)],
)
def test_token_f1(said, true, score):
    assert token_f1(said.split(), true.split()) == pytest.approx(score)


def test_mistakes_are_named(models, convolutional):
    captioner, prior = models
    for call, message in (
        (lambda: captioner.encode(["a d"]), "has the word 'd'"),
        (lambda: captioner(FEATURES[:, :, :3], captioner.encode(["a"] * 3)), r"expected \(units, exemplars, 4\)"),
        (lambda: captioner(None, captioner.encode(["a"])), "features have shape None"),
        (lambda: captioner(FEATURES * math.nan, captioner.encode(["a"] * 3)), "features are not finite"),
        (lambda: describe(captioner, captioner, FEATURES), "prior has other words, or features"),
        (lambda: describe(captioner, prior, FEATURES, beam=0), "beam is 0"),
        (lambda: fit_captioner(captioner, FEATURES, ["a"]), "expected one caption a unit"),
        (lambda: fit_captioner(captioner, FEATURES, []), "captions are none"),
        (lambda: Captioner(["a", "a"], 2), "'a' appears twice"),
        (lambda: Captioner([], 2), "words are none"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
