"""Leaky integrate-and-fire layers: leaky, current-based, adaptive, recurrent."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Unpack

from torch import Tensor

from ranvier.nn.cell import CellState
from ranvier.nn.domains import DECAY, POSITIVE, REAL, Domain
from ranvier.nn.spiking._spiking_layer import LayerOptions, SpikingLayer, SpikingOptions
from ranvier.nn.spiking.layer import DynamicalLayer, Features
from ranvier.nn.spiking.step import Step

_RESETS = ("subtract", "zero", "delayed")
_DIVISOR = Domain(0.0, 1.0, open_low=True)


def _require_reset(reset: str) -> None:
    if reset not in _RESETS:
        raise ValueError(f"reset is {reset!r}; expected one of {', '.join(_RESETS)}")


@lru_cache
def lif_step(filtered: bool, adaptive: bool, reset: str, elsewhere: bool = False) -> Step:
    """The equations of `LIF`, in the order integrate, threshold, reset; `elsewhere`: to `reset_to`, not to 0."""
    equations, states = [], [("v", "v_new")]
    if filtered:
        equations.append(("i_new", "alpha*i + x"))
        states.append(("i", "i_new"))
    equations.append(("u", f"beta*v + {'i_new' if filtered else 'x'}"))
    if adaptive:
        equations.append(("bar", "threshold + kappa*a"))
        states.append(("a", "a_new"))
    equations += [("d", "u - bar" if adaptive else "u - threshold"), ("y", "spike(d)"), ("r", "detach(y)")]
    if reset == "zero":
        equations.append(("v_new", "u - (u - reset_to)*r" if elsewhere else "u - u*r"))
    else:
        equations.append(("v_new", "u - drop*r"))
    if adaptive:
        equations.append(("a_new", "rho*a + y"))
    return Step(tuple(equations), tuple(states), "y")


class LIF(SpikingLayer):
    """Leaky integrate-and-fire neurons, after a linear layer if two sizes are given (Eshraghian et al. 2023).

    Each step, with W z + b (+ W_rec y of the step before) as x, or the input itself without a linear layer:

        i ← alpha i + x                     with `alpha`; else i = x
        u = beta v + i                      integrate
        y = 1 where u ≥ threshold (+ kappa a)
        v ← u − threshold y                 reset="subtract"; u (1 − y) for "zero"
        a ← rho a + y                       with `adaptation` = (rho, kappa) (Bellec et al. 2018)

    The reset happens in the step of its spike, as in `rv.simulate`: with beta = exp(−dt/tau_m), reset="zero"
    and x = (1 − beta)(drive + I) this is `rv.LIF` with E_L = V_reset = 0 and t_ref = 0, and x is the jump that
    a `Delta` synapse's weight causes. snnTorch subtracts the threshold one step later, after the decay:
    U[t] = beta U[t−1] + x[t] − threshold y[t−1]. reset="delayed" does so, spike for spike and gradient for
    gradient (its v is u − (threshold/beta) y; u is snnTorch's membrane). No gradient passes through the
    reset's y.

    Parameters
    ----------
    in_features, out_features : with two sizes, an nn.Linear before the neurons; with one, or a shape such as
        (channels, height, width), neurons alone; with none, neurons of whatever shape comes.
    beta, threshold, alpha, adaptation : numbers, shared by all neurons, or tensors that broadcast to the neurons'
        shape. Decays per step lie in [0, 1]; thresholds are positive.
    reset : "subtract", "zero" or "delayed".
    reset_to : where "zero" takes the membrane, if not to 0: a number or tensor below threshold.
    initial : membrane before the first step, a number or tensor.
    learn : names among beta, threshold, alpha, rho, kappa, reset_to, initial that are nn.Parameters; the others are
        buffers.
        Learned decays are used clamped to [0, 1]; their gradient passes the clamp.
    recurrent : also feed every neuron's last spike to all, by a learned weight (N, N), [target, source].
    recurrent_delay : steps that spikes travel back, one number or (N,), one a sending neuron; 1 is the next step.
    surrogate : slope of the spike (`rv.engines.surrogates`, or a subclass of your own); default ArcTan().
    bias : whether that nn.Linear has a bias; default True.
    fused : run whole sequences through loops made from these equations where they apply (float32 or float64, a
        surrogate of the library's), the default: compiled ones on a CPU, Triton kernels on a GPU, of a recurrent
        layer one a step; False: the loop in plain torch. Values are the same.
    device, dtype : of the parameters, as of nn.Linear.

    `forward(x[T, B, N], state=None) -> (y, state)`; `step(state, x[B, N]) -> (state, y)`; the state is a dict
    of tensors (B, N): v, and i, a, y where the variant has them; history (steps, B, N) in place of y with longer
    delays.

    Under autocast a layer keeps the precision of its parameters. Raises ValueError for wrong shapes and sizes, T = 0,
    values that are not finite and states of another type or device, TypeError for what is no tensor, and RuntimeError
    where gradients of gradients are requested of compiled loops (fused=False gives them).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> layer = rv.nn.LIF(beta=0.5)
    >>> y, state = layer(torch.full((3, 1, 1), 0.7))  # u: 0.7, 1.05, then 0.05/2 + 0.7
    >>> y[:, 0, 0].tolist(), round(float(state["v"]), 3)
    ([0.0, 1.0, 0.0], 0.725)
    """

    DOMAINS = {
        "beta": DECAY, "alpha": DECAY, "rho": DECAY, "threshold": POSITIVE, "kappa": REAL, "reset_to": REAL,
        "initial": REAL,
    }  # fmt: skip

    def __init__(
        self,
        in_features: Features | None = None,
        out_features: int | None = None,
        *,
        beta: float | Tensor = 0.9,
        threshold: float | Tensor = 1.0,
        alpha: float | Tensor | None = None,
        adaptation: tuple[float | Tensor, float | Tensor] | None = None,
        reset: str = "subtract",
        reset_to: float | Tensor = 0.0,
        initial: float | Tensor = 0.0,
        learn: Collection[str] = (),
        **options: Unpack[SpikingOptions],
    ) -> None:
        _require_reset(reset)
        super().__init__(in_features, out_features, **options)
        values: dict[str, float | Tensor] = {"beta": beta, "threshold": threshold}
        if alpha is not None:
            values["alpha"] = alpha
        if adaptation is not None:
            values["rho"], values["kappa"] = adaptation
        learned = (learn,) if isinstance(learn, str) else tuple(learn)
        for name, value in (("reset_to", reset_to), ("initial", initial)):
            if isinstance(value, Tensor) or value != 0.0 or name in learned:
                values[name] = value
        self._set_values(values, learn=learn)
        self.reset = reset
        self._require_domains({name: getattr(self, name) for name in self._values})

    @property
    def reset(self) -> str:
        """What a spike does to its membrane: "subtract", "zero" or "delayed"."""
        return self._reset

    @reset.setter
    def reset(self, value: str) -> None:
        _require_reset(value)
        if "reset_to" in self._values and value != "zero":
            raise ValueError(f'reset is {value!r} with reset_to; expected reset="zero"')
        self._reset, self._checked_versions = value, []
        if value == "delayed":
            self._domain("beta").require("beta", self.beta, 'use reset="subtract"')
        has = {name: name in self._values for name in ("alpha", "rho", "reset_to")}
        self._set_equations(lif_step(has["alpha"], has["rho"], value, has["reset_to"]))

    def _domain(self, name: str) -> Domain:
        # threshold/beta is what a delayed reset takes off
        return _DIVISOR if name == "beta" and self.reset == "delayed" else super()._domain(name)

    def _require_domains(self, values: dict[str, Tensor]) -> None:
        super()._require_domains(values)
        if "reset_to" in values:
            gap = values["threshold"].detach() - values["reset_to"].detach()
            POSITIVE.require("threshold - reset_to", gap, "a neuron reset to its threshold would never stop spiking")

    def init_state(self, batch: int) -> CellState:
        """The state at rest, its membrane at `initial`: (batch, *shape) each; (batch,), if the shape is open."""
        state = super().init_state(batch)
        if "initial" in self._values:
            start: Any = self.initial
            if self.shape is None and start.ndim:
                raise ValueError(
                    "there is one initial a neuron in a layer of open shape; expected a layer with a shape"
                )
            state["v"] = state["v"] + start
        return state

    def _constants(self) -> dict[str, Tensor]:
        values = super()._constants()
        values.pop("initial", None)  # enters the state, not the equations
        if self.reset == "subtract":
            values["drop"] = values["threshold"]
        elif self.reset == "delayed":
            values["drop"] = values["threshold"] / values["beta"]
        return values

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, reset={self.reset!r}"


@lru_cache
def li_step(filtered: bool) -> Step:
    """The equations of `LI`."""
    if not filtered:
        return Step((("u", "beta*v + x"),), (("v", "u"),), "u")
    return Step((("i_new", "alpha*i + x"), ("u", "beta*v + i_new")), (("v", "u"), ("i", "i_new")), "u")


class LI(DynamicalLayer):
    """Leaky integrators without spikes, u ← beta u + i: a readout whose output is its membrane.

    Parameters beta, alpha, learn, bias, fused, device, dtype and the surface as of `LIF`; y is u, so a loss on the
    membrane is a loss on y.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.LI(beta=0.5)(torch.ones(3, 1, 1))
    >>> y[:, 0, 0].tolist()
    [1.0, 1.5, 1.75]
    """

    DOMAINS = {"beta": DECAY, "alpha": DECAY}

    def __init__(
        self,
        in_features: Features | None = None,
        out_features: int | None = None,
        *,
        beta: float | Tensor = 0.9,
        alpha: float | Tensor | None = None,
        learn: Collection[str] = (),
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(in_features, out_features, **options)
        values = {"beta": beta} | ({} if alpha is None else {"alpha": alpha})
        self._set_values(values, learn=learn)
        self._set_equations(li_step(alpha is not None))


__all__ = ["LI", "LIF"]
