"""Sparse features of a layer, and steering along those of a language (Neural FOXP2, arXiv:2602.00945)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ranvier._checks import count, number, positive
from ranvier._results import Fields
from ranvier.interpret._batches import evaluating
from ranvier.interpret.editing import edit
from ranvier.interpret.layers import UnitLayer


class SparseAutoencoder(nn.Module):
    """A tied sparse autoencoder: z = max(0, W (x − c) + b), x̂ = Wᵀ z + c, each feature's direction of length 1.

    Parameters
    ----------
    width
        Of the layer.
    features
        Their number; four times the width by default.

    >>> model = rv.interpret.SparseAutoencoder(4, features=6)
    >>> z = model.encode(torch.rand(5, 4))
    >>> tuple(z.shape), bool((z >= 0).all()), bool(torch.allclose(model.decode(torch.eye(6)), model.weight))
    ((5, 6), True, True)
    """

    def __init__(self, width: int, features: int | None = None) -> None:
        super().__init__()
        width = count(width, "width", 1)
        features = 4 * width if features is None else count(features, "features", 1)
        self.weight = nn.Parameter(torch.randn(features, width))
        self.bias = nn.Parameter(torch.zeros(features))
        self.centre = nn.Parameter(torch.zeros(width))
        self.normalise()

    def normalise(self) -> None:
        """Bring every direction to length 1."""
        with torch.no_grad():
            self.weight.div_(self.weight.norm(dim=1, keepdim=True))

    def encode(self, x: Tensor) -> Tensor:
        """Features (..., features) of activations (..., width)."""
        return torch.relu((x - self.centre) @ self.weight.T + self.bias)

    def decode(self, z: Tensor) -> Tensor:
        """Activations (..., width) of features (..., features)."""
        return z @ self.weight + self.centre

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def fit_autoencoder(
    model: SparseAutoencoder,
    x: Tensor,
    *,
    l1: float = 5e-3,
    rate: float = 5e-4,
    epochs: int = 1,
    batch: int = 512,
    seed: int = 0,
) -> list[float]:
    """Minimise ‖x − x̂‖² + l1 Σ z by Adam; returns the mean loss of each epoch.

    x: activations (tokens, width), one row a token, as `activations` records them, brought to length 1 first where
    steering is to follow. Directions are brought back to length 1 after every step. ValueError for another width, no
    row, and values that are not finite.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.nn.functional.normalize(torch.randn(200, 4), dim=1)
    >>> model = rv.interpret.SparseAutoencoder(4)
    >>> losses = rv.interpret.fit_autoencoder(model, x, rate=0.01, epochs=10, batch=50)
    >>> losses[-1] < losses[0], bool(torch.allclose(model.weight.norm(dim=1), torch.ones(16)))
    (True, True)
    """
    if x.ndim != 2 or x.shape[1] != model.weight.shape[1] or not len(x):
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (tokens, {model.weight.shape[1]}), one at least.")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x is not finite; expected finite activations: look where they were recorded.")
    l1, batch = number(l1, "l1"), count(batch, "batch", 1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), positive(rate, "rate"))
    with torch.no_grad():
        model.centre.copy_(x.mean(0))
    losses = []
    for _ in range(count(epochs, "epochs")):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            part = x[rows]
            z = model.encode(part)
            loss = (part - model.decode(z)).square().sum(1).mean() + l1 * z.sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.normalise()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(x))
    return losses


def feature_lift(
    model: nn.Module,
    where: str | UnitLayer,
    autoencoder: SparseAutoencoder,
    prompts: Tensor,
    features: Tensor,
    target: Tensor,
    base: Tensor,
    *,
    strengths: Sequence[float] = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0),
) -> Tensor:
    """How much each feature moves the next token towards the target language, (features,).

    The feature's direction, `strength` times as long as the activation, is added at the last token; the rise of the
    mass of `target` tokens minus that of `base` tokens, averaged over prompts, is divided by the strength; the median
    over strengths. prompts: token numbers (B, T) without padding. One forward pass a strength for all features.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # all tokens are equally likely, whatever the activation
    >>> parts = rv.interpret.SparseAutoencoder(8, 4), torch.tensor([[1, 2, 3]]), torch.arange(4)
    >>> lift = rv.interpret.feature_lift(model, "model.layers.0.mlp", *parts, torch.tensor([5]), torch.tensor([6]))
    >>> lift.abs().max().item()
    0.0
    """
    rows = len(prompts)
    ids = prompts.repeat(len(features), 1)
    directions = autoencoder.weight.detach()[features].repeat_interleave(rows, 0)
    def margin() -> Tensor:
        mass = model(input_ids=ids).logits[:, -1].softmax(1)
        gap = mass[:, target].sum(1) - mass[:, base].sum(1)
        return gap.reshape(len(features), rows).mean(1)

    lifts = []
    with evaluating(model):
        before = margin()
        for strength in strengths:
            added = positive(strength, "a strength") * directions[:, None]
            with edit(model) as change:
                change.transform(where, partial(_lengthen, directions=added), tokens=-1)
                lifts.append((margin() - before) / strength)
    # the mean of the middle two where their number is even, unlike torch's median
    return torch.stack(lifts).double().quantile(0.5, dim=0)


def _lengthen(h: Tensor, directions: Tensor) -> Tensor:
    return h + h.norm(dim=-1, keepdim=True) * directions.to(h)


@dataclass(frozen=True)
class Spectrum(Fields):
    """What a difference matrix says of a direction: `rank` directions (rank, features) of length 1, their share
    `mass` of the squares, the `effective_rank` exp(H), the `eigengap` s_r/s_{r+1} at the rank, the `stability` of the
    directions under resampling, and the `mean` difference within them, (features,), of length 1.
    Returned by `difference_spectrum`.
    """

    rank: int
    mass: float
    effective_rank: float
    eigengap: float
    stability: float
    directions: Tensor
    mean: Tensor

    @property
    def score(self) -> float:
        """mass × stability, by which layers are chosen."""
        return self.mass * self.stability


def difference_spectrum(differences: Tensor, *, most: int = 12, resamples: int = 20, seed: int = 0) -> Spectrum:
    """SVD of the differences of features between matched prompts, (pairs, features).

    The rank is the least of ⌈exp(spectral entropy)⌉, the place of the largest ratio of neighbouring singular values,
    and `most`. Stability is the mean over bootstrap samples of pairs of ‖V V*ᵀ‖²/rank, 1 for the same directions.
    ValueError where there are fewer than two pairs, or no difference at all.

    >>> rng = torch.Generator().manual_seed(0)
    >>> direction = torch.eye(5)[2]
    >>> differences = torch.rand(20, 1, generator=rng) * direction  # all along one direction
    >>> spectrum = rv.interpret.difference_spectrum(differences)
    >>> spectrum.rank, round(spectrum.mass, 3), round(spectrum.stability, 3)
    (1, 1.0, 1.0)
    """
    if differences.ndim != 2 or len(differences) < 2 or not bool(torch.isfinite(differences).all()):
        raise ValueError(f"differences are {tuple(differences.shape)}; expected finite (pairs, features), two pairs.")
    _, s, v = torch.linalg.svd(differences, full_matrices=False)
    if float(s[0]) == 0:
        raise ValueError("differences are all zero; expected prompts that differ: choose other features.")
    share = s.square() / s.square().sum()
    effective = float((-torch.special.xlogy(share, share).sum()).exp())
    top = min(most, len(s))
    tiny = torch.finfo(s.dtype).eps * s[0]
    ratios = (s[:-1] / s[1:].clamp_min(float(tiny)))[:top]  # after the last there is no neighbour
    gap = int(ratios.argmax()) + 1 if len(ratios) else 1
    rank = min(math.ceil(effective - 1e-9), gap, top)
    generator = torch.Generator().manual_seed(seed)
    overlaps = []
    for _ in range(count(resamples, "resamples", 1)):
        rows = torch.randint(len(differences), (len(differences),), generator=generator)
        other = torch.linalg.svd(differences[rows], full_matrices=False)[2][:rank]
        overlaps.append(float((v[:rank] @ other.T).square().sum()) / rank)
    mean = differences.mean(0) @ v[:rank].T @ v[:rank]
    mean = mean / mean.norm().clamp_min(1e-12)
    stability = sum(overlaps) / len(overlaps)
    eigengap = float(ratios[rank - 1]) if rank <= len(ratios) else math.inf
    return Spectrum(rank, float(share[:rank].sum()), effective, eigengap, stability, v[:rank], mean)


def best_window(scores: Sequence[float], *, least: int = 3, most: int = 6) -> tuple[int, int]:
    """The contiguous window (first, last + 1) of `least` to `most` layers of the largest mean score, the longest and
    then the first of equal ones.

    >>> rv.interpret.best_window([0.0, 1.0, 1.0, 1.0, 0.0], least=2, most=3)
    (1, 4)
    """
    size = len(scores)
    if not 1 <= least <= min(most, size):
        raise ValueError(f"windows are {least} to {most} of {size} layers; expected as many layers at least.")
    windows = [(a, a + n) for n in range(least, min(most, size) + 1) for a in range(size - n + 1)]
    return max(windows, key=lambda w: (sum(scores[w[0] : w[1]]) / (w[1] - w[0]), w[1] - w[0], -w[0]))


def language_shift(
    autoencoder: SparseAutoencoder,
    target: Tensor,
    base: Tensor | None,
    strength: float,
    compensation: float = 0.0,
) -> Callable[[Tensor], Tensor]:
    """A change of activations for `Edit.transform`: Δz = λ μ_target − β max(0, ⟨z, μ_base⟩) μ_base, decoded, as long
    in proportion to the activation as it would be to one of length 1, and added.

    target, base: directions of length 1 over features, of `Spectrum.mean` and of the base language's mean features.
    strength: λ. compensation: β; 0, or no base, leaves the second term out.

    >>> autoencoder = rv.interpret.SparseAutoencoder(4, 6)
    >>> shift = rv.interpret.language_shift(autoencoder, torch.eye(6)[2], None, strength=0.5)
    >>> h = torch.tensor([[3.0, 0.0, 4.0, 0.0]])  # of length 5
    >>> bool(torch.allclose(shift(h) - h, 0.5 * 5 * autoencoder.weight[2], atol=1e-5))
    True
    """
    strength, compensation = number(strength, "strength"), number(compensation, "compensation")

    def shift(h: Tensor) -> Tensor:
        with torch.no_grad():
            length = h.norm(dim=-1, keepdim=True)
            change = strength * target.to(h).expand(*h.shape[:-1], -1)
            if base is not None and compensation:
                z = autoencoder.encode(h / length.clamp_min(1e-12))
                along = (z @ base.to(h)).clamp_min(0)[..., None]
                change = change - compensation * along * base.to(h)
            return h + length * (change @ autoencoder.weight.to(h))

    return shift


__all__ = [
    "SparseAutoencoder",
    "Spectrum",
    "best_window",
    "difference_spectrum",
    "feature_lift",
    "fit_autoencoder",
    "language_shift",
]
