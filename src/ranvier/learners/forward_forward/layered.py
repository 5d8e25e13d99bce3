"""The forward-forward algorithm."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.learners._chains import blocks_of, first_weighted
from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.forward_forward._goodness import (
    goodness,
    layer_loss,
    normalised,
    peer_loss,
    with_label,
    wrong_labels,
)
from ranvier.learners.labelled import Encode, GradientLearner
from ranvier.learners.losses import check_labels

_NEGATIVES, _PLACES = ("hard", "random"), ("pixels", "channels")


class ForwardForward(GradientLearner):
    """Every layer learns by itself to be active for images with their own label, and quiet for those with a wrong one
    (Hinton 2022). Its goodness is Σz² less its width, the logit of an example's being real; its input is detached, and
    normalised, so that the goodness of the layer below does not tell.

    The label stands in the input: of `classes` values one is 1. 1/classes each is no label.

    Parameters
    ----------
    model : an nn.Sequential of nn.Linear or nn.Conv1d to Conv3d, each with what follows it (nn.ReLU, pooling) a layer.
    optimizer : over its parameters, and the readout's if there is one.
    classes : how many.
    place : of the label: "pixels", the first `classes` values of x, which are overwritten; "channels", that many more
        channels of x (B, N, ...), constant over positions, for convolutions, which do the same at every position.
    readout : an nn.Linear from the units of all layers but the first (of the one, if there is one) to the classes. It
        learns by itself, from passes without a label, and finds the hard negatives in one pass.
    negatives : "hard": wrong labels by their chances in the readout, or by their goodness where there is none (a pass a
        class); "random".
    peer : weight of peer normalisation, which holds every unit's mean activity near that of all.
    encode, clip : as for `BPTT`.

    Metrics: loss, the mean of the layers' cross-entropies; accuracy, in `step` of real against wrong labels by the last
    layer (chance is 1/2), in `evaluate` of labels, by `predict`.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.ReLU(), torch.nn.Linear(20, 20), torch.nn.ReLU())
    >>> learner = rv.learners.ForwardForward(model, torch.optim.Adam(model.parameters(), 0.02), classes=2)
    >>> batch = torch.eye(6)[2:], torch.tensor([0, 0, 1, 1])  # the first two values of x hold the label
    >>> losses = [learner.step(batch)["loss"] for _ in range(30)]
    >>> losses[-1] < losses[0]
    True
    """

    counted: ClassVar[bool] = True
    varying = (*GradientLearner.varying, r"own(\.averages)?")

    def __init__(
        self,
        model: nn.Sequential,
        optimizer: torch.optim.Optimizer,
        classes: int,
        *,
        place: str = "pixels",
        readout: nn.Linear | None = None,
        negatives: str = "hard",
        peer: float = 0.03,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if not isinstance(classes, int) or classes < 2 or negatives not in _NEGATIVES or not 0 <= peer < math.inf:
            raise ValueError(
                f"classes is {classes!r}, negatives {negatives!r}, peer {peer}; expected classes >= 2, negatives one "
                f"of {_NEGATIVES}, and peer >= 0"
            )
        if place not in _PLACES:
            raise ValueError(f"place is {place!r}; expected one of {_PLACES}")
        if readout is not None and (not isinstance(readout, nn.Linear) or readout.out_features != classes):
            raise ValueError(f"the readout is {readout}; expected an nn.Linear with {classes} outputs")
        self.blocks = blocks_of(model, "forward-forward learning")
        self.place = place
        self.classes, self.readout, self.negatives, self.peer = classes, readout, negatives, peer
        settings = {"classes": classes, "place": place, "negatives": negatives, "peer": peer}
        parts = nn.ModuleDict({"layers": model} | ({} if readout is None else {"readout": readout}))
        super().__init__(parts, optimizer, encode=encode, clip=clip, settings=settings)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Activities z (B, ...) of every layer for inputs (B, ...), each layer's input detached."""
        out = []
        for block in self.blocks:
            x = block(normalised(x).detach())
            out.append(x)
        return out

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        labels = self._checked(x, labels)
        count = len(x)
        wrong = wrong_labels(self._negative_logits(x), labels)
        both = torch.cat([self._labelled(x, labels), self._labelled(x, wrong)])
        real = torch.cat([both.new_ones(count), both.new_zeros(count)])
        averages, total, logits = [], 0.0, real
        for k, z in enumerate(self.layers(both)):
            logits = goodness(z)
            loss = layer_loss(logits, real)
            total += loss.item() / len(self.blocks)
            if self.peer:
                units = z[:count].flatten(1)
                before = self._own.get("averages", {}).get(str(k), torch.full_like(units[0], 0.5))
                if before.shape != units[0].shape or before.dtype != units.dtype:
                    raise ValueError(
                        f"the average activity of layer {k} is {tuple(before.shape)} of {before.dtype}; expected "
                        f"{tuple(units[0].shape)} of {units.dtype}: load this learner's state"
                    )
                uneven, after = peer_loss(units, before)
                averages.append(after)
                loss = loss + self.peer * uneven
            loss.backward()
        if self.readout is not None:
            F.cross_entropy(self._read(x), labels).backward()
        if math.isfinite(total):
            self._own = {"averages": {str(k): a for k, a in enumerate(averages)}}
        return total, float(((logits > 0) == (real > 0)).double().mean())

    def _take_up(self, state: dict[str, Any]) -> None:
        names = {str(k) for k in range(len(self.blocks))}
        averages = state["own"].get("averages", {})
        if not (state["own"].keys() <= {"averages"} and isinstance(averages, dict) and averages.keys() <= names
                and all(isinstance(a, Tensor) for a in averages.values())):  # fmt: skip
            raise ValueError(f"state.own holds {', '.join(map(str, state['own']))}"[:200]
                             + f"; expected averages of {len(names)} layers")  # fmt: skip
        super()._take_up(state)

    @torch.no_grad()
    def _negative_logits(self, x: Tensor) -> Tensor:
        if self.negatives == "random":
            return x.new_zeros(len(x), self.classes)
        return self._read(x) if self.readout is not None else self.label_goodness(x)

    def _read(self, x: Tensor) -> Tensor:
        """The readout's logits (B, classes), for inputs without a label; no error goes into the layers."""
        assert self.readout is not None
        code = x.new_full((len(x), self.classes), 1 / self.classes)
        with torch.no_grad():
            used = self.layers(with_label(x, code, self.place))[min(1, len(self.blocks) - 1) :]
            units = torch.cat([normalised(z).flatten(1) for z in used], 1)
        if units.shape[1] != self.readout.in_features:
            raise ValueError(f"the readout has {self.readout.in_features} inputs; expected {units.shape[1]}")
        return self.readout(units)

    @torch.no_grad()
    def label_goodness(self, x: Tensor) -> Tensor:
        """Goodness (B, classes) of every label, summed over all layers but the first (of the one, if there is one)."""
        columns = []
        for label in range(self.classes):
            z = self.layers(self._labelled(x, torch.full((len(x),), label, device=x.device)))
            columns.append(sum(goodness(layer) for layer in z[min(1, len(z) - 1) :]))
        return torch.stack(columns, 1)  # type: ignore[arg-type]

    @torch.no_grad()
    def predict(self, x: Tensor, *, by: str = "goodness") -> Tensor:
        """Labels (B,) of inputs: of the largest goodness, one pass a class; by="readout": in one pass."""
        if by not in ("goodness", "readout") or (by == "readout" and self.readout is None):
            raise ValueError(f"by is {by!r}; expected 'goodness', or 'readout' where there is one")
        return (self.label_goodness(x) if by == "goodness" else self._read(x)).argmax(1)

    @torch.no_grad()
    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        labels = self._checked(x, labels)
        other = (labels + 1) % self.classes  # measuring draws no random numbers
        losses = []
        for code, real in ((labels, 1.0), (other, 0.0)):
            for z in self.layers(self._labelled(x, code)):
                losses.append(layer_loss(goodness(z), z.new_full((len(x),), real)).item())
        return sum(losses) / len(losses), share_right(self.label_goodness(x), labels)

    def _checked(self, x: Tensor, labels: Tensor) -> Tensor:
        require_finite_input(x, first_weighted(self.blocks[0]))
        if x.ndim < 2 or (self.place == "pixels" and x[0].numel() < self.classes):
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (B, ...) with {self.classes} values at least each"
            )
        return check_labels(x.new_empty(1, len(x), self.classes), labels)

    def _labelled(self, x: Tensor, labels: Tensor) -> Tensor:
        return with_label(x, F.one_hot(labels, self.classes).to(x.dtype), self.place)

    def state_dict(self) -> dict[str, Any]:
        """Of model, readout and optimizer, and the units' mean activities."""
        return super().state_dict()


__all__ = ["ForwardForward"]
