"""Descriptions of units in words, from their exemplars (MILAN; Hernandez et al. 2022, arXiv:2201.11114)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier._checks import count, number, printable, unique
from ranvier._results import Fields
from ranvier.interpret.layers import UnitLayer
from ranvier.interpret.recording import activations
from ranvier.interpret.top_examples import Exemplars

START, END = 0, 1  # tokens before and after the words


@dataclass(frozen=True)
class Description(Fields):
    """Words, and their score log p(d | E) − λ log p(d).

    >>> str(rv.interpret.Description(("red", "dog"), score=-1.5))
    'red dog'
    """

    words: tuple[str, ...]
    score: float

    def __str__(self) -> str:
        return " ".join(self.words)


class Captioner(nn.Module):
    """An LSTM over words that attends to the features of a unit's exemplars: p(d | E).

    With `features` 0 it sees no exemplars, and is the language model p(d). At each word, attention weights are a
    softmax over exemplars of v·tanh(W e + U h); the mean of the features under them is a further input.

    Parameters
    ----------
    words
        The vocabulary.
    features
        The length of an exemplar's features.
    hidden
        Units of the LSTM, of its embedding and of its attention.

    >>> model = rv.interpret.Captioner(["red", "dog"], features=0)
    >>> model.encode(["red dog", "dog"]).shape  # two captions of two words at most, and the end
    torch.Size([2, 3])
    """

    def __init__(self, words: Sequence[str], features: int, *, hidden: int = 64) -> None:
        super().__init__()
        words = [printable(str(word), "a word") for word in words]
        unique(words, "the word")
        if not words:
            raise ValueError("words are none; expected a vocabulary.")
        self.words, self.features, hidden = tuple(words), count(features, "features"), count(hidden, "hidden", 1)
        self.embedding = nn.Embedding(len(words) + 2, hidden)
        self.cell = nn.LSTMCell(hidden + self.features, hidden)
        self.out = nn.Linear(hidden, len(words) + 2)
        if self.features:
            self.scale = nn.LayerNorm(self.features)
            self.of_features = nn.Linear(self.features, hidden)
            self.of_state = nn.Linear(hidden, hidden, bias=False)
            self.attention = nn.Linear(hidden, 1, bias=False)
            self.start = nn.Linear(self.features, hidden)

    def encode(self, captions: Iterable[str]) -> Tensor:
        """Captions as tokens (captions, longest + 1), END from the last word on; ValueError for an unknown word."""
        index = {word: k + 2 for k, word in enumerate(self.words)}
        rows = []
        for caption in captions:
            if strange := [word for word in caption.split() if word not in index]:
                raise ValueError(
                    f"the caption {caption!r:.60} has the word {strange[0]!r:.30}; expected words of the vocabulary."
                )
            rows.append([index[word] for word in caption.split()])
        longest = max(map(len, rows), default=0) + 1
        return torch.tensor([row + [END] * (longest - len(row)) for row in rows])

    def begin(self, features: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
        """The state before the first word, for exemplars (B, K, features)."""
        zero = self.out.weight.new_zeros(size, self.cell.hidden_size)
        if features is None:
            return zero, zero
        return torch.tanh(self.start(self.scale(features).mean(1))), zero

    def advance(
        self, features: Tensor | None, state: tuple[Tensor, Tensor], words: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Log-probabilities (B, words + 2) of what follows `words` (B,), and the state then."""
        x = self.embedding(words)
        if features is not None:
            scaled = self.scale(features)
            energy = self.attention(torch.tanh(self.of_features(scaled) + self.of_state(state[0])[:, None]))
            x = torch.cat([x, (energy.softmax(1) * scaled).sum(1)], 1)
        state = self.cell(x, state)
        return self.out(state[0]).log_softmax(1), state

    def forward(self, features: Tensor | None, tokens: Tensor) -> Tensor:
        """log p(d | E) of captions `tokens` (B, T) given exemplars (B, K, features), (B,)."""
        features = self._require(features)
        state, words = self.begin(features, len(tokens)), torch.full_like(tokens[:, 0], START)
        total, open_ones = self.out.weight.new_zeros(len(tokens)), torch.ones(len(tokens), dtype=torch.bool)
        for following in tokens.unbind(1):
            logs, state = self.advance(features, state, words)
            total = total + logs.gather(1, following[:, None])[:, 0] * open_ones
            open_ones = open_ones & (following != END)
            words = following
        return total

    def _require(self, features: Tensor | None) -> Tensor | None:
        if not self.features:
            return None
        if features is None or features.ndim != 3 or features.shape[2] != self.features or not features.shape[1]:
            shape = None if features is None else tuple(features.shape)
            raise ValueError(f"features have shape {shape}; expected (units, exemplars, {self.features}).")
        if not bool(torch.isfinite(features).all()):
            raise ValueError("features are not finite; expected finite ones: look at the exemplars' masks.")
        return features


def fit_captioner(
    captioner: Captioner,
    features: Tensor | None,
    captions: Sequence[str],
    *,
    steps: int = 300,
    batch: int = 64,
    rate: float = 5e-3,
    seed: int = 0,
) -> list[float]:
    """Maximise log p(d | E) of captions by Adam; returns the mean loss of each step, nats a caption.

    >>> _ = torch.manual_seed(0)
    >>> prior = rv.interpret.Captioner(["red", "blue"], features=0, hidden=8)
    >>> losses = rv.interpret.fit_captioner(prior, None, ["red", "blue"], steps=60, rate=0.05)
    >>> bool(abs(losses[-1] - np.log(2)) < 0.05)  # of two captions that are equally frequent
    True
    """
    tokens = captioner.encode(captions)
    if not len(tokens):
        raise ValueError("captions are none; expected one a unit.")
    if captioner.features and (features is None or len(features) != len(tokens)):
        raise ValueError(
            f"features are of {0 if features is None else len(features)} units and captions of {len(tokens)}; "
            "expected one caption a unit."
        )
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(captioner.parameters(), number(rate, "rate"))
    losses = []
    captioner.train()
    for _ in range(count(steps, "steps")):
        rows = torch.randint(len(tokens), (min(batch, len(tokens)),), generator=generator)
        loss = -captioner(None if features is None else features[rows], tokens[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    captioner.eval()
    return losses


def describe(
    captioner: Captioner,
    prior: Captioner | None,
    features: Tensor,
    *,
    weight: float = 0.2,
    beam: int = 50,
    length: int = 15,
) -> list[Description]:
    """The caption of each unit: beam search under p(d | E), reranked by log p(d | E) − λ log p(d), λ being `weight`.

    The second term, a weighted pointwise mutual information, prefers what is said of this unit to what is said of
    most. features: (units, exemplars, features). ValueError where the two models have different words.

    >>> _ = torch.manual_seed(0)
    >>> captioner = rv.interpret.Captioner(["red", "blue"], features=2, hidden=8)
    >>> features = torch.eye(2)[:, None]  # one exemplar a unit
    >>> losses = rv.interpret.fit_captioner(captioner, features, ["red", "blue"], steps=60, rate=0.05)
    >>> [str(d) for d in rv.interpret.describe(captioner, None, features, beam=3, length=3)]
    ['red', 'blue']
    """
    if prior is not None and (prior.words != captioner.words or prior.features):
        raise ValueError("prior has other words, or features; expected Captioner(captioner.words, 0).")
    weight, beam, length = number(weight, "weight"), count(beam, "beam", 1), count(length, "length", 1)
    features = captioner._require(features)  # type: ignore[assignment]
    with torch.no_grad():
        return [_best(captioner, prior, one, weight, beam, length) for one in features]


def _best(
    captioner: Captioner, prior: Captioner | None, unit: Tensor, weight: float, beam: int, length: int
) -> Description:
    state = captioner.begin(unit[None], 1)
    tokens, scores = torch.full((1, 1), START), torch.zeros(1, dtype=unit.dtype)
    finished: list[tuple[Tensor, float]] = []
    for step in range(length + 1):
        logs, state = captioner.advance(unit.expand(len(tokens), -1, -1), state, tokens[:, -1])
        logs[:, START] = -torch.inf
        totals = scores[:, None] + logs
        finished += [(row[1:], float(total)) for row, total in zip(tokens, totals[:, END], strict=True)]
        if step == length:
            break
        totals[:, END] = -torch.inf
        best = totals.flatten().topk(min(beam, int(torch.isfinite(totals).sum())))
        rows, words = best.indices // totals.shape[1], best.indices % totals.shape[1]
        tokens = torch.cat([tokens[rows], words[:, None]], 1)
        scores, state = best.values, (state[0][rows], state[1][rows])
        finished = sorted(finished, key=lambda one: -one[1])[:beam]
        if len(finished) == beam and finished[-1][1] >= float(scores[0]):
            break  # what is still open can only lose
    finished = sorted(finished, key=lambda one: -one[1])[:beam]
    if prior is not None and weight:
        longest = max(len(words) for words, _ in finished) + 1
        rows = torch.stack([functional.pad(words, (0, longest - len(words)), value=END) for words, _ in finished])
        logs = prior(None, rows)
        finished = [(words, score - weight * float(log)) for (words, score), log in zip(finished, logs, strict=True)]
    words, score = max(finished, key=lambda one: one[1])
    return Description(tuple(captioner.words[k - 2] for k in words.tolist()), score)


def pooled_features(
    backbone: nn.Module, images: Tensor, exemplars: Exemplars, which: Sequence[str | UnitLayer]
) -> Tensor:
    """What a backbone computes within the masks of exemplars, (units, exemplars, features).

    Each layer's maps are averaged over the mask, brought to the map's size by area; layers are concatenated. The
    mean over the whole map where a mask is empty. images: those that the exemplars' indices mean, (N, C, H, W).

    >>> backbone = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.ReLU())
    >>> images = torch.rand(6, 1, 4, 4)
    >>> record = rv.interpret.activations(backbone, [images], ["1"])
    >>> best = rv.interpret.exemplars(record, "1", top=3)
    >>> tuple(rv.interpret.pooled_features(backbone, images, best, ["1"]).shape)  # (units, exemplars, features)
    (2, 3, 2)
    """
    size = images.shape[2:]
    masks = exemplars.masks((int(size[0]), int(size[1]))).to(images.dtype)  # (units, top, H, W)
    used, places = exemplars.examples.unique(return_inverse=True)
    record = activations(backbone, [images[used]], which, dtype=torch.float32)
    parts = []
    for name in record.layers:
        maps = record[name].to(images.dtype)
        if maps.ndim != 4:
            raise ValueError(f"layer {name} gives {tuple(maps.shape)}; expected maps (N, units, height, width).")
        weight = functional.adaptive_avg_pool2d(masks, (maps.shape[2], maps.shape[3]))
        weight = torch.where(weight.sum((2, 3), keepdim=True) > 0, weight, 1.0)
        weight = weight / weight.sum((2, 3), keepdim=True)
        parts.append(torch.stack([torch.einsum("khw,kfhw->kf", w, maps[row]) for w, row in zip(weight, places)]))
    return torch.cat(parts, 2)


def concept_overlap(record_maps: Tensor, threshold: Tensor, concepts: Tensor) -> Tensor:
    """Network dissection's score (Bau et al. 2017): intersection over union of where a unit exceeds its threshold and
    where a concept is, over a data set, (units, concepts).

    record_maps: (N, units, h, w), brought to the concepts' size (N, concepts, H, W), bool, bilinearly.

    >>> maps = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)  # active in the upper row
    >>> concept = torch.tensor([[True, False], [True, False]]).view(1, 1, 2, 2)  # in the left column
    >>> round(rv.interpret.concept_overlap(maps, torch.tensor([0.5]), concept).item(), 3)  # one of three places
    0.333
    """
    maps = functional.interpolate(record_maps, size=concepts.shape[2:], mode="bilinear", align_corners=False)
    on = (maps > threshold.view(1, -1, 1, 1)).flatten(2).movedim(1, 0).flatten(1).float()
    there = concepts.flatten(2).movedim(1, 0).flatten(1).float()
    both = on @ there.T
    union = on.sum(1)[:, None] + there.sum(1)[None] - both
    return torch.where(union > 0, both / union.clamp_min(1), 0.0)


def token_f1(said: Sequence[Any], true: Sequence[Any]) -> float:
    """F1 of the words of a description, as a bag, against those of the true one; 1 where both are empty.

    >>> rv.interpret.token_f1(["a", "red", "dog"], ["a", "dog"])  # 2 · 2/(3 + 2)
    0.8
    """
    if not said and not true:
        return 1.0
    common = sum((Counter(said) & Counter(true)).values())
    return 2 * common / (len(said) + len(true))


__all__ = [
    "Captioner",
    "Description",
    "concept_overlap",
    "describe",
    "fit_captioner",
    "pooled_features",
    "token_f1",
]
