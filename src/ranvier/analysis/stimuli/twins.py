"""Digital twins: models of recorded neurons, fitted to their responses to images, on which stimuli can be optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from ranvier._checks import count, positive, reals

Array = NDArray[np.float64]
Noise = Literal["poisson", "normal"]


@dataclass(frozen=True, eq=False)
class Twins:
    """N neurons that share C filters of k × k pixels and weigh them, each at a place of its own.

    r_n = softplus(Σ_p m_np Σ_c (u_nc z_cp + v_nc z_cp²) + b_n), z_cp the image under filter c at place p: linear,
    rectifying and energy cells are of this form (a generalised quadratic model; Park & Pillow 2011). filters: (C, k,
    k).
    places: m, (N, P), with sum 1 over the P places in row-major order. weight: u and v, (N, 2 C). bias: (N,).
    grid: rows and columns of places.
    Returned by `fit_twins`.
    """

    filters: Tensor
    places: Tensor
    weight: Tensor
    bias: Tensor
    grid: tuple[int, int]

    def __call__(self, images: ArrayLike | Tensor) -> Array:
        """Mean responses (S, N) to whole images (S, H, W)."""
        with torch.no_grad():
            return self._whole(_images(images).to(self.filters.dtype)).double().numpy()

    def centred(self, patches: Tensor) -> Tensor:
        """Mean responses (K, N) to patches (K, k, k), each shown where the neuron looks; gradients reach the
        patches."""
        z = patches.reshape(len(patches), -1) @ self.filters.reshape(len(self.filters), -1).T
        return functional.softplus(torch.cat([z, z * z], 1) @ self.weight.T + self.bias)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Row and column (N, 2) of the upper left pixel of each neuron's patch."""
        place = self.places.argmax(1).numpy()
        return np.stack([place // self.grid[1], place % self.grid[1]], 1)

    def _whole(self, images: Tensor) -> Tensor:
        z = functional.conv2d(images[:, None], self.filters[:, None]).flatten(2)  # (S, C, P)
        drive = torch.einsum("scp,np,nc->sn", torch.cat([z, z * z], 1), self.places, self.weight)
        return functional.softplus(drive + self.bias)


def fit_twins(
    images: ArrayLike, responses: ArrayLike, *, kernel: int = 7, filters: int = 10, noise: Noise = "poisson",
    epochs: int = 40, rate: float = 0.02, batch: int = 200, seed: int = 0,
) -> Twins:  # fmt: skip
    """Twins of neurons from their responses (S, N) to images (S, H, W), one presentation each.

    noise: "poisson" for spike counts, "normal" for calcium. Places start where single pixels, or their squares, tell
    most of the response, smoothed over the kernel. The same data and seed give the same twins.

    Raises ValueError for shapes that do not fit, values that are not finite, and negative counts.

    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(400, 5, 5))
    >>> counts = rng.poisson(np.exp(images[:, 2, 2]))[:, None]  # a neuron that looks at the central pixel
    >>> twins = rv.analysis.stimuli.fit_twins(images, counts, kernel=3, filters=2, epochs=10)
    >>> twins.positions.tolist()  # of the 3 x 3 pixels that it looks at
    [[1, 1]]
    """
    x = _images(images)
    y = _tensor(responses)
    count(epochs, "epochs", 1), count(filters, "filters", 1), count(batch, "batch", 1), positive(rate, "rate")
    if y.ndim != 2 or len(y) != len(x) or not bool(torch.isfinite(y).all()):
        raise ValueError(f"responses has shape {tuple(y.shape)}; expected finite ({len(x)}, N), a row an image")
    if noise not in ("poisson", "normal"):
        raise ValueError(f"noise is {noise!r}; expected 'poisson' or 'normal'")
    if noise == "poisson" and bool((y < 0).any()):
        raise ValueError("responses holds negative values; expected spike counts: take noise='normal' for calcium")
    if not 1 <= count(kernel, "kernel", 1) <= min(x.shape[1:]):
        raise ValueError(f"kernel is {kernel}; expected at most the images' {min(x.shape[1:])} pixels")
    grid = (x.shape[1] - kernel + 1, x.shape[2] - kernel + 1)
    x = (x - x.mean()) / x.std().clamp_min(1e-12)
    generator = torch.Generator().manual_seed(seed)
    size = y.shape[1]
    start = {
        "filters": torch.randn(filters, kernel, kernel, generator=generator) / kernel,
        "places": _places(x, y, kernel),
        "weight": 0.1 * torch.randn(size, 2 * filters, generator=generator),
        "bias": torch.log(torch.expm1(y.mean(0).clamp_min(0.05))),
    }
    part = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(list(part.values()), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * -(-len(x) // batch))
    scale = y.std(0).clamp_min(1e-6)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            optimizer.zero_grad()
            mean = _twins(part, grid)._whole(x[rows])
            if noise == "poisson":
                loss = (mean - y[rows] * torch.log(mean + 1e-6)).mean()
            else:
                loss = (((mean - y[rows]) / scale) ** 2).mean()
            loss.backward()
            optimizer.step()
            schedule.step()
    return _twins({name: value.detach() for name, value in part.items()}, grid)


def _twins(part: dict[str, Tensor], grid: tuple[int, int]) -> Twins:
    return Twins(part["filters"], torch.softmax(part["places"], 1), part["weight"], part["bias"], grid)


def _places(x: Tensor, y: Tensor, kernel: int) -> Tensor:
    """Logits (N, P): how much of each neuron's response the pixels of a place tell, by themselves and squared."""
    z = (y - y.mean(0)) / y.std(0).clamp_min(1e-6)
    flat = x.flatten(1)
    square = flat**2 - (flat**2).mean(0)
    tells = sum(((z.T @ f / (len(x) * f.std(0).clamp_min(1e-6))) ** 2 for f in (flat - flat.mean(0), square)),
                torch.zeros(()))  # fmt: skip
    tells = torch.as_tensor(tells).unflatten(1, x.shape[1:])[:, None]
    taper = torch.hann_window(kernel + 2, periodic=False)[1:-1]
    soft = functional.conv2d(tells, torch.outer(taper, taper)[None, None]).flatten(1)
    return 8 * soft / soft.amax(1, keepdim=True).clamp_min(1e-12)


def _images(images: Any) -> Tensor:
    x = _tensor(images)
    if x.ndim != 3 or 0 in x.shape or not bool(torch.isfinite(x).all()):
        raise ValueError(f"images has shape {tuple(x.shape)}; expected finite (S, H, W)")
    return x


def _tensor(values: Any) -> Tensor:
    return values.detach().float() if isinstance(values, Tensor) else torch.from_numpy(_narrow(values))


def _narrow(values: Any) -> NDArray[np.float32]:
    array = reals(values, "images or responses")
    if (np.abs(array) > 1e30).any():
        raise ValueError("images or responses go beyond 1e30; expected values that float32 can multiply: rescale them")
    return np.array(array, np.float32)


__all__ = ["Noise", "Twins", "fit_twins"]
