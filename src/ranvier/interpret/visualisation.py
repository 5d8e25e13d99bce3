"""Pictures that a unit answers to: activation maximisation, and its facets (Nguyen, Yosinski & Clune 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier._checks import count, number
from ranvier._results import Fields
from ranvier.interpret._batches import evaluating
from ranvier.interpret.layers import UnitLayer, layer, require_finite_weights


@dataclass(frozen=True)
class Stage:
    """A stretch of gradient ascent: `steps` of length `rate`, as follows.

    `jitter` is the standard deviation, in pixels, of a shift drawn before each gradient; `blur` that of a Gaussian
    blur after each step; `decay` what the picture is multiplied by less one; `variation` the weight of total-variation
    denoising after each step (0: none; the smaller, the smoother).

    >>> rv.interpret.Stage(100, rate=0.5, blur=1.0).jitter
    0.0
    """

    steps: int
    rate: float = 1.0
    jitter: float = 0.0
    blur: float = 0.0
    decay: float = 0.0
    variation: float = 0.0

    def __post_init__(self) -> None:
        count(self.steps, "steps")
        for name in ("rate", "jitter", "blur", "decay", "variation"):
            if number(getattr(self, name), name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number of 0 or above.")


#: the paper's four stages: denoised and jittered ascent, then finer ones
FACETS = (
    Stage(190, 1.0, jitter=1.0, variation=10.0),
    Stage(150, 0.5, jitter=0.5, variation=20.0),
    Stage(20, 0.2, variation=40.0),
    Stage(10, 0.1, variation=80.0),
)


def maximise(
    model: nn.Module,
    where: str | UnitLayer,
    unit: int,
    start: Tensor,
    stages: Sequence[Stage] = FACETS,
    *,
    low: float | None = None,
    high: float | None = None,
    seed: int = 0,
) -> Tensor:
    """Pictures that raise a unit's activation, by ascent from `start` (B, C, H, W); as many as there are starts.

    Each step goes along the gradient divided by the mean of its absolute values, picture by picture, so that `rate`
    is what a pixel changes by on average; then come decay, blur, denoising and clipping to [low, high]. The activation
    of a map is its mean over places.

    Raises
    ------
    ValueError
        for a layer or unit that the model does not have, and weights or starts that are not finite.
    ImportError
        for denoising without scikit-image.

    >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3))
    >>> _ = torch.nn.init.ones_(model[0].weight)
    >>> stages = [rv.interpret.Stage(10, rate=0.1)]
    >>> picture = rv.interpret.maximise(model, "0", 0, torch.zeros(1, 1, 5, 5), stages, low=-1.0, high=1.0)
    >>> bool((picture > 0).all())  # the unit sums what it sees
    True
    """
    target = layer(model, where)
    unit = count(unit, "unit")
    if start.ndim != 4 or not bool(torch.isfinite(start).all()):
        raise ValueError(f"start has shape {tuple(start.shape)}; expected finite pictures (B, C, H, W).")
    require_finite_weights(model)
    values: list[Tensor] = []

    def read(x: Tensor) -> None:
        rows = x.movedim(target.units_axis(x), 1)
        if unit >= rows.shape[1]:
            raise ValueError(f"unit is {unit}; expected 0 to {rows.shape[1] - 1}, those of layer {target.name}.")
        values.append(rows[:, unit].flatten(1).mean(1) if rows.ndim > 2 else rows[:, unit])

    generator = torch.Generator().manual_seed(seed)
    x = start.detach().clone()
    handle = target.attach(read)
    try:
        with evaluating(model), torch.enable_grad():
            for stage in stages:
                for _ in range(stage.steps):
                    shift = (torch.randn(2, generator=generator) * stage.jitter).round().int().tolist()
                    leaf = torch.roll(x, shift, (2, 3)).requires_grad_()
                    values.clear()
                    model(leaf)
                    if not values:
                        raise ValueError(f"layer {target.name} did not run; expected one that a forward pass reaches.")
                    gradient = torch.autograd.grad(values[0].sum(), leaf)[0]
                    gradient = torch.roll(gradient, [-k for k in shift], (2, 3))
                    scale = gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
                    x = _regularised(x + stage.rate * gradient / scale, stage)
                    if low is not None or high is not None:
                        x = x.clamp(low, high)
    finally:
        handle.remove()
    return x.detach()


def _regularised(x: Tensor, stage: Stage) -> Tensor:
    x = x * (1 - stage.decay)
    if stage.blur:
        radius = max(1, round(3 * stage.blur))
        places = torch.arange(-radius, radius + 1, dtype=x.dtype)
        kernel = torch.exp(-(places**2) / (2 * stage.blur**2))
        kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
        padded = functional.pad(x, [radius] * 4, mode="replicate")
        x = functional.conv2d(padded, kernel[:, :, :, None], groups=x.shape[1])
        x = functional.conv2d(x, kernel[:, :, None, :], groups=x.shape[1])
    if stage.variation:
        x = torch.stack([_denoised(one, stage.variation) for one in x])
    return x


def _denoised(picture: Tensor, weight: float) -> Tensor:
    """Total variation removed by split Bregman iterations."""
    try:
        from skimage.restoration import denoise_tv_bregman
    except ImportError as error:
        raise ImportError(
            "scikit-image is not installed; expected it for total-variation denoising: pip install 'ranvier[brain]'"
        ) from error
    array = picture.double().numpy()
    low, scale = array.min(), max(float(np.ptp(array)), 1e-12)
    result = denoise_tv_bregman((array - low) / scale, weight=weight, max_num_iter=20, channel_axis=0)
    # a single channel comes back without its axis
    return torch.from_numpy(np.asarray(result) * scale + low).to(picture).reshape(picture.shape)


@dataclass(frozen=True)
class Facets(Fields):
    """Kinds of examples that drive one unit: `labels` (examples,), the `starts` (facets, C, H, W), means of examples
    near each centre, and which these are, `members` (facets, nearest).
    Returned by `facets`.
    """

    labels: Tensor
    starts: Tensor
    members: Tensor


def facets(
    images: Tensor, codes: Tensor, *, number_of: int = 10, nearest: int = 15, components: int = 50, seed: int = 0
) -> Facets:
    """Sort a unit's examples by what else the network sees in them.

    Codes are reduced to `components` by PCA, embedded in the plane by t-SNE, and clustered by k-means; a facet starts
    from the mean of the `nearest` images to its centre in the plane.

    images: (examples, C, H, W), those of a class or of a unit's exemplars. codes: (examples, features), activations of
    a layer near the output. ValueError for fewer examples than facets × 2, or images and codes of different numbers.

    >>> rng = torch.Generator().manual_seed(0)
    >>> codes = torch.cat([torch.zeros(20, 3), torch.full((20, 3), 9.0)]) + 0.1 * torch.randn(40, 3, generator=rng)
    >>> result = rv.interpret.facets(torch.rand(40, 1, 2, 2), codes, number_of=2, nearest=5, components=2)
    >>> len(set(result.labels[:20].tolist())), len(set(result.labels[20:].tolist()))  # each kind is one facet
    (1, 1)
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    flat = codes.flatten(1).double().numpy()
    number_of, nearest = count(number_of, "number_of", 1), count(nearest, "nearest", 1)
    if len(images) != len(flat) or len(flat) < max(2 * number_of, nearest, 5):
        raise ValueError(
            f"there are {len(images)} images and {len(flat)} codes; expected as many, and "
            f"{max(2 * number_of, nearest, 5)} at least: take fewer facets."
        )
    if not np.isfinite(flat).all():
        raise ValueError("codes are not finite; expected finite activations: look where they were recorded.")
    reduced = PCA(min(components, *flat.shape), random_state=seed).fit_transform(flat)
    perplexity = min(30.0, (len(flat) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    clusters = KMeans(number_of, n_init=10, random_state=seed).fit(plane)
    gaps = ((plane[None] - clusters.cluster_centers_[:, None]) ** 2).sum(2)
    members = torch.from_numpy(np.argsort(gaps, axis=1, kind="stable")[:, :nearest].copy())
    starts = images[members].mean(1)
    return Facets(torch.from_numpy(clusters.labels_.astype(np.int64)), starts, members)


__all__ = ["FACETS", "Facets", "Stage", "facets", "maximise"]
