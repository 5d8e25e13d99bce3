"""A small network that reads labels or values from population responses (Iqbal et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, positive
from ranvier.analysis.manifolds.components import table

if TYPE_CHECKING:
    from torch import nn


class NetworkDecoder:
    """Layers of rectified units from rows (T, N) to labels, trained by Adam on the cross-entropy.

    Parameters
    ----------
    hidden
        width of each hidden layer
    epochs, batch, rate
        passes over the training rows, rows a step, Adam's step size
    dropout, decay
        share of units that are silent in a step; weight decay
    seed
        of initial weights, order and dropout: the same data give the same decoder

    Inputs are normalised by the training rows' moments. `fit`, `classify`, `probabilities`; `adapt` goes on with other
    rows, as of another animal after alignment.

    >>> x, labels = np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, 0), np.repeat(["left", "right"], 20)
    >>> decoder = rv.analysis.decoding.NetworkDecoder((8,), epochs=20).fit(x, labels)
    >>> bool((decoder.classify(x) == labels).all())
    True
    """

    def __init__(
        self, hidden: tuple[int, ...] = (64,), *, epochs: int = 60, batch: int = 64, rate: float = 3e-3,
        dropout: float = 0.2, decay: float = 1e-4, seed: int = 0,
    ) -> None:  # fmt: skip
        for width in hidden:
            count(width, "a width of hidden", 1)
        self.hidden, self.dropout, self.decay, self.seed = tuple(hidden), dropout, decay, seed
        self.epochs, self.batch = count(epochs, "epochs", 1), count(batch, "batch", 1)
        self.rate = positive(rate, "rate")
        self.classes: NDArray[Any] | None = None

    def fit(self, x: ArrayLike, labels: ArrayLike) -> NetworkDecoder:
        """Train from new weights on rows (T, N) and labels (T,)."""
        from torch import nn

        a, labels = table(x), np.asarray(labels)
        self.classes, place = np.unique(labels, return_inverse=True)
        if len(labels) != len(a) or len(self.classes) < 2:
            raise ValueError(f"labels has {len(labels)} entries of {len(self.classes)} classes; expected one for each "
                             f"of {len(a)} rows, of at least two")  # fmt: skip
        self._mean, spread = a.mean(0), a.std(0)
        self._scale = np.where(spread > 1e-12, spread, np.inf)
        with _seeded(self.seed):
            layers: list[nn.Module] = []
            widths = (a.shape[1], *self.hidden)
            for n, m in pairwise(widths):
                layers += [nn.Linear(n, m), nn.ReLU(), nn.Dropout(self.dropout)]
            self._net = nn.Sequential(*layers, nn.Linear(widths[-1], len(self.classes)))
            self._train(a, place.reshape(-1), self.epochs, self.rate)
        return self

    def adapt(self, x: ArrayLike, labels: ArrayLike, *, epochs: int | None = None) -> NetworkDecoder:
        """Go on training on these rows, with a third of the step size."""
        a = table(x)
        place = np.searchsorted(self._known(), np.asarray(labels))
        if (self._known()[np.minimum(place, len(self._known()) - 1)] != np.asarray(labels)).any():
            raise ValueError(f"labels holds others than {self._known().tolist()}; expected those of fit")
        with _seeded(self.seed + 1):
            self._train(a, place, epochs or max(1, self.epochs // 2), self.rate / 3)
        return self

    def probabilities(self, x: ArrayLike) -> NDArray[np.float64]:
        """Of each class, (T, classes)."""
        import torch

        self._known()
        with torch.no_grad():
            return torch.softmax(self._net.eval()(self._tensor(table(x))), 1).double().numpy()

    def classify(self, x: ArrayLike) -> NDArray[Any]:
        """The likeliest label of each row, (T,)."""
        return self._known()[self.probabilities(x).argmax(1)]

    def _train(self, a: NDArray[np.float64], place: NDArray[Any], epochs: int, rate: float) -> None:
        import torch
        from torch import nn

        x, y = self._tensor(a), torch.from_numpy(np.asarray(place, np.int64))
        self._net.train()
        optimizer = torch.optim.Adam(self._net.parameters(), rate, weight_decay=self.decay)
        for _ in range(epochs):
            for part in torch.randperm(len(x)).split(self.batch):
                optimizer.zero_grad()
                nn.functional.cross_entropy(self._net(x[part]), y[part]).backward()
                optimizer.step()

    def _tensor(self, a: NDArray[np.float64]) -> Any:
        import torch

        return torch.from_numpy(((a - self._mean) / self._scale).astype(np.float32))

    def _known(self) -> NDArray[Any]:
        if self.classes is None:
            raise ValueError("the decoder is not fitted; expected fit(x, labels) first")
        return self.classes


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's random numbers from `seed`, and as they were afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


__all__ = ["NetworkDecoder"]
