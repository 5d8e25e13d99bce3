"""Neural circuit architectural prior: a worm's swimming circuit with four weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import count, floating, reals

#: the weights, and their signs
WEIGHTS = ("proprioceptive", "oscillator", "same_side", "opposite_side")
SIGNS = np.array([1.0, 1.0, 1.0, -1.0])
#: steps for which the head's oscillator drives one side
HALF_PERIOD = 30


class NCAP(nn.Module):
    """The swimmer's circuit (Bhattasali, Zador & Engel, NeurIPS 2022), a `Cell`: joints (B, joints) in rad -> torques.

        d_i = clip(q_i), v_i = clip(−q_i)        q = joint/(2π/(joints + 1)), clip to [0, 1]
        B_i = clip(p · d_{i−1}),  the first: clip(o · osc_d),   and the ventral side likewise
        M_i = clip(s · B_i + x · B'_i)           s from the same side, x from the opposite one
        torque = M_dorsal − M_ventral

    Every segment has the same four weights p, o, s ≥ 0 ≥ x, which begin at 1, 1, 1, −1. The oscillator excites the
    dorsal side for 30 steps, then the ventral one.

    Parameters
    ----------
    joints : of the body; any, without training again.
    signed : whether signs are kept (by taking |w| · sign); else weights begin at ±1 by chance and go anywhere.
    magnitudes : "one", or "random", uniform from 0 to 1: what |w| begins at.
    shared : whether all segments have the same weights; else each has its own (joints, 4).

    >>> torque, state = rv.bodies.NCAP(joints=5)(torch.zeros(31, 1, 5, dtype=torch.float64))
    >>> torque[0, 0, 0].item(), torque[30, 0, 0].item()  # dorsal, then ventral after 30 steps
    (1.0, -1.0)
    """

    signs: Tensor

    def __init__(
        self, joints: int = 5, *, signed: bool = True, shared: bool = True,
        magnitudes: Literal["one", "random"] = "one", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        joints = count(joints, "joints", 1)
        self.joints, self.signed, self.shared = joints, signed, shared
        if magnitudes not in ("one", "random"):
            raise ValueError(f"magnitudes is {magnitudes!r}; expected 'one' or 'random'")
        rng = np.random.default_rng(seed)
        start = np.tile(SIGNS, (1 if shared else joints, 1))
        if not signed:
            start = rng.choice([-1.0, 1.0], start.shape)
        if magnitudes == "random":
            start = start * rng.random(start.shape)
        self.weight = nn.Parameter(torch.from_numpy(start))
        self.register_buffer("signs", torch.from_numpy(SIGNS))

    def init_state(self, batch: int) -> dict[str, Tensor]:
        """The steps gone by, (B, 1)."""
        return {"step": self.weight.new_zeros(batch, 1)}

    def step(self, state: dict[str, Tensor], x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Joints (B, joints) -> torques (B, joints) within −1 and 1."""
        floating(x, "x", f"(batch, {self.joints}), joints in rad", 2, last=self.joints)
        if x.dtype != self.weight.dtype:
            raise ValueError(f"x is of {x.dtype}; expected the circuit's {self.weight.dtype}: x.to() turns it")
        dorsal = torch.remainder(state["step"], 2 * HALF_PERIOD) < HALF_PERIOD
        weight = self.signs * self.weight.abs() if self.signed else self.weight
        proprioceptive, oscillator, same, opposite = weight.expand(self.joints, 4).unbind(1)
        q = x / (2 * math.pi / (self.joints + 1))
        sides = []
        for stretch, beat in ((q, dorsal), (-q, ~dorsal)):
            felt = proprioceptive[1:] * stretch[:, :-1].clamp(0, 1)
            sides.append(torch.cat([oscillator[:1] * beat.to(x.dtype), felt], 1).clamp(0, 1))
        muscles = [(same * a + opposite * b).clamp(0, 1) for a, b in (sides, sides[::-1])]
        return {"step": state["step"] + 1}, muscles[0] - muscles[1]

    def forward(self, x: Tensor, state: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """A sequence of joints (T, B, joints) -> torques (T, B, joints), and the state."""
        floating(x, "x", f"(T, batch, {self.joints}), joints in rad", 3, last=self.joints)
        state = self.init_state(x.shape[1]) if state is None else state
        outputs = []
        for row in x.unbind(0):
            state, y = self.step(state, row)
            outputs.append(y)
        return torch.stack(outputs), state

    def controller(self, weights: np.ndarray | None = None) -> Callable[[np.ndarray, int], np.ndarray]:
        """The circuit as `Swimmer.run` asks for it, in NumPy: (joints, step) -> torques; with other weights (flat) than
        its own."""
        flat = self.weight.detach().numpy() if weights is None else reals(weights, "weights")
        if not np.isfinite(flat).all() or flat.size != self.weight.numel():
            raise ValueError(f"weights has {flat.size} numbers; expected {self.weight.numel()}, as the circuit has")
        w = flat.reshape(self.weight.shape)
        w = np.broadcast_to(SIGNS * np.abs(w) if self.signed else w, (self.joints, 4))
        # clip(w clip(q)) is w q between 0 and min(w, 1); a weight below 0 gives 0
        positive = np.maximum(w[:, :2], 0)
        stretch = positive[1:, 0] * np.array([[1.0], [-1.0]]) * (self.joints + 1) / (2 * math.pi)
        most, first = np.minimum(positive[1:, 0], 1), min(1.0, float(positive[0, 1]))
        same, opposite = w[:, 2], w[:, 3]
        both = np.zeros((2, self.joints))

        def control(joints: np.ndarray, step: int) -> np.ndarray:
            dorsal = step % (2 * HALF_PERIOD) < HALF_PERIOD
            both[0, 0], both[1, 0] = (first, 0.0) if dorsal else (0.0, first)
            both[:, 1:] = np.minimum(np.maximum(stretch * joints[:-1], 0), most)
            muscles = np.minimum(np.maximum(same * both + opposite * both[::-1], 0), 1)
            torques: np.ndarray = muscles[0] - muscles[1]
            return torques

        return control


__all__ = ["NCAP"]
