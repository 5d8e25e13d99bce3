"""The forward-forward algorithm in a network with connections from above."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.forward_forward._goodness import goodness, layer_loss, normalised, wrong_labels
from ranvier.learners.labelled import Encode, GradientLearner
from ranvier.learners.losses import check_labels


class TopDownLayers(nn.Module):
    """Layers that are driven from below and from above: z_l[t+1] = r z_l[t] + (1 − r) ReLU(U_l ẑ_{l−1} + D_l ẑ_{l+1}),
    hats for normalised activities of step t; z_0 is the input, the top is a label's code, both held (Hinton 2022,
    section 4).

    sizes : of the input and of each hidden layer. retained : r.

    >>> model = rv.learners.TopDownLayers([4, 6], classes=2, retained=0.5)
    >>> x = torch.rand(3, 4)
    >>> z = model(x, torch.eye(2)[[0, 1, 0]], model.begin(x))
    >>> [tuple(a.shape) for a in z], bool((z[0] >= 0).all())
    ([(3, 6)], True)
    """

    def __init__(
        self, sizes: list[int], classes: int, *, retained: float = 0.3, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1 or classes < 2 or not 0 <= retained < 1:
            raise ValueError(
                f"sizes is {sizes}, classes {classes}, retained {retained}; expected an input and a hidden layer at "
                "least, classes >= 2, 0 <= retained < 1"
            )
        self.classes, self.retained = classes, retained
        above = [*sizes[2:], classes]
        self.up = nn.ModuleList(nn.Linear(n, m, dtype=dtype) for n, m in pairwise(sizes))
        self.down = nn.ModuleList(
            nn.Linear(n, m, bias=False, dtype=dtype) for n, m in zip(above, sizes[1:], strict=True)
        )

    def begin(self, x: Tensor) -> list[Tensor]:
        """Activities (B, n) of the hidden layers after one pass from below."""
        z, below = [], x
        for up in self.up:
            below = F.relu(up(normalised(below)))
            z.append(below)
        return z

    def forward(self, x: Tensor, code: Tensor, z: list[Tensor]) -> list[Tensor]:
        """One synchronous step: x (B, N), code (B, classes), activities -> activities. What layers read is detached."""
        around = [x, *z, code]
        held = [normalised(a).detach() for a in around[:-1]] + [code]
        new = []
        for l, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            drive = F.relu(up(held[l]) + down(held[l + 2]))
            new.append(self.retained * z[l].detach() + (1 - self.retained) * drive)
        return new


class RecurrentForwardForward(GradientLearner):
    """Forward-forward learning of a static image as of a video: label above, image below, at every step each layer
    learns by itself whether they belong together (Hinton 2022, section 4).

    Parameters
    ----------
    model : a `TopDownLayers`. optimizer : over its parameters.
    steps : of the run; layers learn at each. counted_steps : those whose goodness is summed to tell labels apart.
    negatives : "hard": wrong labels by the softmax of their goodness, one run a class; "random".
    encode, clip : as for `BPTT`.

    Metrics: as of `ForwardForward`.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.learners.TopDownLayers([4, 20, 20], classes=2)
    >>> learner = rv.learners.RecurrentForwardForward(model, torch.optim.Adam(model.parameters(), 0.02))
    >>> batch = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> losses = [learner.step(batch)["loss"] for _ in range(15)]
    >>> losses[-1] < losses[0]
    True
    """

    model: TopDownLayers
    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: TopDownLayers,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int = 8,
        counted_steps: tuple[int, int] = (3, 5),
        negatives: str = "random",
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if not isinstance(model, TopDownLayers):
            raise TypeError(f"the model is a {type(model).__name__}; expected a TopDownLayers")
        if negatives not in ("hard", "random") or not 1 <= counted_steps[0] <= counted_steps[1] <= steps:
            raise ValueError(
                f"negatives is {negatives!r}, counted_steps {counted_steps}, steps {steps}; expected 'hard' or "
                "'random', and 1 <= first <= last <= steps"
            )
        self.steps, self.counted_steps, self.negatives = steps, counted_steps, negatives
        settings = {"steps": steps, "counted_steps": list(counted_steps), "negatives": negatives}
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        labels = self._checked(x, labels)
        chances = self.label_goodness(x) if self.negatives == "hard" else x.new_zeros(len(x), self.model.classes)
        codes = F.one_hot(torch.cat([labels, wrong_labels(chances, labels)]), self.model.classes).to(x.dtype)
        real = torch.cat([x.new_ones(len(x)), x.new_zeros(len(x))])
        both, total = torch.cat([x, x]), torch.zeros((), dtype=x.dtype)
        with torch.no_grad():
            z = self.model.begin(both)
        for _ in range(self.steps):
            z = self.model(both, codes, z)
            losses = torch.stack([layer_loss(goodness(layer), real) for layer in z])
            (losses.sum() / self.steps).backward()
            total = total + losses.detach().mean() / self.steps
        right = ((goodness(z[-1]) > 0) == (real > 0)).double().mean()
        return total.item(), float(right)

    @torch.no_grad()
    def label_goodness(self, x: Tensor) -> Tensor:
        """Goodness (B, classes) of every label, summed over layers and the counted steps."""
        columns = []
        for label in range(self.model.classes):
            code = F.one_hot(torch.full((len(x),), label), self.model.classes).to(x)
            z, total = self.model.begin(x), x.new_zeros(len(x))
            for t in range(1, self.counted_steps[1] + 1):
                z = self.model(x, code, z)
                if t >= self.counted_steps[0]:
                    total = total + torch.stack([goodness(layer) for layer in z]).sum(0)
            columns.append(total)
        return torch.stack(columns, 1)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Labels (B,) of the largest goodness, one run a class."""
        return self.label_goodness(x).argmax(1)

    @torch.no_grad()
    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        labels = self._checked(x, labels)
        scores = self.label_goodness(x)
        loss = F.cross_entropy(scores / (1 + self.counted_steps[1] - self.counted_steps[0]), labels).item()
        return loss if math.isfinite(loss) else math.nan, share_right(scores, labels)

    def _checked(self, x: Tensor, labels: Tensor) -> Tensor:
        require_finite_input(x)
        size = self.model.up[0].in_features
        if x.ndim != 2 or x.shape[1] != size or x.dtype != self.model.up[0].weight.dtype:
            dtype = self.model.up[0].weight.dtype
            raise ValueError(f"x has shape {tuple(x.shape)} and {x.dtype}; expected (B, {size}) of {dtype}")
        return check_labels(x.new_empty(1, len(x), self.model.classes), labels)


__all__ = ["RecurrentForwardForward", "TopDownLayers"]
