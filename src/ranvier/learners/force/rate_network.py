"""A recurrent network of continuous rates with a readout."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class RateNetwork(nn.Module):
    """τ dx/dt = −x + J r + W_in u + W_fb z, r = tanh x, z = w r, by Euler's scheme in steps of dt: a `Cell`,
    u (T, B, inputs) -> (z (T, B, outputs), state) (Sussillo & Abbott 2009, eqs. 1 and 2).

    size : units. inputs, outputs : of u and z. gain : J is normal with standard deviation gain/√size; above 1 the
        network is chaotic without input. W_in and W_fb are uniform on [−1, 1], w is 0.
    feedback : whether z is fed back; otherwise W_fb is None.
    tau, dt : ms.

    Raises ValueError for dt above tau, and sizes below 1.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> network = rv.learners.RateNetwork(2, 20, 1)
    >>> z, state = network(torch.zeros(5, 1, 2))
    >>> z.shape
    torch.Size([5, 1, 1])
    """

    def __init__(
        self, inputs: int, size: int, outputs: int, *, gain: float = 1.5, feedback: bool = False, tau: float = 10.0,
        dt: float = 1.0, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(inputs, size, outputs) < 1:
            raise ValueError(f"inputs is {inputs}, size {size}, outputs {outputs}; expected at least one of each")
        if not (0 < dt <= tau < math.inf and 0 <= gain < math.inf):
            raise ValueError(
                f"tau is {tau}, dt {dt}, gain {gain}; expected 0 < dt <= tau in ms, and a finite gain >= 0"
            )
        self.tau, self.dt = float(tau), float(dt)
        self.recurrent = nn.Parameter(torch.randn(size, size, dtype=dtype) * gain / size**0.5)
        self.inputs = nn.Parameter(2 * torch.rand(size, inputs, dtype=dtype) - 1)
        self.outputs = nn.Parameter(torch.zeros(outputs, size, dtype=dtype))
        self.feedback = nn.Parameter(2 * torch.rand(size, outputs, dtype=dtype) - 1) if feedback else None

    def extra_repr(self) -> str:
        """Sizes and times."""
        return f"{self.inputs.shape[1]}, {len(self.recurrent)}, {len(self.outputs)}, tau={self.tau}, dt={self.dt}"

    def init_state(self, batch: int) -> State:
        """x = 0."""
        return {"x": self.recurrent.new_zeros(batch, len(self.recurrent))}

    def step(self, state: State, u: Tensor) -> tuple[State, Tensor]:
        """One step of dt for u (B, inputs): (next state, z (B, outputs)) after it."""
        x = state["x"]
        r = torch.tanh(x)
        current = r @ self.recurrent.T + u @ self.inputs.T
        if self.feedback is not None:
            current = current + r @ self.outputs.T @ self.feedback.T
        x = x + (self.dt / self.tau) * (current - x)
        return {"x": x}, torch.tanh(x) @ self.outputs.T

    def forward(self, u: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """z (T, B, outputs) for u (T, B, inputs), and the last state."""
        rates, state = self.rates(u, state)
        return rates @ self.outputs.T, state

    def rates(self, u: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """r (T, B, size) after every step, and the last state."""
        self._require(u)
        state = self.init_state(u.shape[1]) if state is None else state
        out = []
        for row in u:
            state, _ = self.step(state, row)
            out.append(torch.tanh(state["x"]))
        return torch.stack(out), state

    def _require(self, u: Tensor) -> None:
        width, dtype = self.inputs.shape[1], self.inputs.dtype
        if u.ndim != 3 or len(u) == 0 or u.shape[2] != width or u.dtype != dtype:
            raise ValueError(f"u has shape {tuple(u.shape)} of {u.dtype}; expected (T, B, {width}) of {dtype}, T > 0")


__all__ = ["RateNetwork"]
