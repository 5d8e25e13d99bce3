"""Liquid time-constant networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.nn.checks import holds_values
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import NOT_NEGATIVE, Whole, require_sizes
from ranvier.nn.liquid import _ltc_sequence
from ranvier.nn.liquid._continuous_time import TimedLayer, lstm_from_ncps
from ranvier.nn.liquid.wirings import LiquidSynapses, LiquidWiring, Wirer, draw
from ranvier.nn.operators import loops_apply
from ranvier.nn.precision import warn_of_long_memory

#: ranges from which ncps draws its first values
_RANGES = {
    "gleak": (0.001, 1.0), "vleak": (-0.2, 0.2), "cm": (0.4, 0.6), "w": (0.001, 1.0), "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
}  # fmt: skip
_POSITIVE = ("gleak", "cm", "w", "sensory_w")
_CONSTRAINTS = ("softplus", "clamp")


class LTC(TimedLayer):
    """Liquid time-constant network (Hasani, Lechner, Amini, Rus & Grosu 2021): a leaky membrane whose synapses are
    conductances that depend on the source's membrane,

        C dv/dt = g (E_leak − v) + Σ_j w_j s_j (E_j − v),    s_j = sigmoid(σ_j (v_j − μ_j)),

    over units and, with the input in place of v_j, over inputs. With 1/τ = g/C and f = Σ w s/C it is the paper's
    x' = −[1/τ + f] x + f A (`derivative`); 1/(1/τ + f) is the liquid time constant. Solved, as in the paper's
    algorithm 1 and ncps, by `unfolds` steps h = Δt/unfolds of its fused solver, the sources' membranes held,

        v ← (C/h v + g E_leak + Σ w s E)/(C/h + g + Σ w s + epsilon),

    first order in h, and stable for every Δt and input: v stays between the least and greatest of 0, E and its
    start. Time is dimensionless: spans are in units of C/g.

    Parameters
    ----------
    in_features : inputs.
    wiring : number of units, fully connected, or `FullyConnected`, `NCP`, `AutoNCP`, or a drawn `LiquidWiring`. Only
        existing synapses are stored and computed, forward and back: parameters are (synapses,), by target, then
        source (`self.wiring.recurrent`, `.sensory`).
    mixed_memory : an LSTM cell writes the membranes before every step (Lechner & Hasani 2020).
    projection : size of a linear layer behind the output.
    unfolds : solver steps a sample.
    input_map, output_map : "affine", "linear" or None, one factor (and offset) a feature.
    constraint : how w, g and C stay >= 0: "softplus" of the parameter, or the parameter, used clamped at 0; its
        gradient passes the clamp.
    timed : x has one more feature, the last, the time since the sample before: for `Sequential` and `fit`, which
        hand on x alone.
    fused : compiled loops where they apply (CPU, float32 or float64); False: plain torch. float32 sigmoids of the
        loops are within 3e-7 of torch's.

    `forward(x[T, B, I], state=None, timespans=None) -> (y[T, B, outputs], state)`, timespans (T,) or (T, B), 1
    where not given; `step(state, x[B, I], timespan=None) -> (state, y)`. The state is {"v": (B, units)}, with "c"
    for mixed memory.

    Raises ValueError for wrong shapes and sizes, input that is not finite, and spans that are not positive and
    finite.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.LTC(3, rv.nn.AutoNCP(8, 2))(torch.zeros(5, 1, 3))
    >>> y.shape
    torch.Size([5, 1, 2])
    """

    FIXED = TimedLayer.FIXED | {"wiring", "input_map", "output_map", "constraint"}
    NUMBERS = {"unfolds": Whole(), "epsilon": NOT_NEGATIVE}
    vleak: nn.Parameter

    def __init__(
        self,
        in_features: int,
        wiring: int | Wirer | LiquidWiring,
        *,
        mixed_memory: bool = False,
        projection: int | None = None,
        unfolds: int = 6,
        epsilon: float = 1e-8,
        input_map: str | None = "affine",
        output_map: str | None = "affine",
        constraint: str = "softplus",
        timed: bool = False,
        fused: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        circuit = draw(wiring, in_features)
        super().__init__(in_features, circuit.units, mixed_memory=mixed_memory, timed=timed, like=like)
        for name, mapping in (("input_map", input_map), ("output_map", output_map)):
            if mapping not in ("affine", "linear", None):
                raise ValueError(f'{name} is {mapping!r}; expected "affine", "linear" or None')
        if constraint not in _CONSTRAINTS:
            raise ValueError(f"constraint is {constraint!r}; expected one of {', '.join(_CONSTRAINTS)}")
        require_sizes(unfolds=unfolds)
        NOT_NEGATIVE.require("epsilon", epsilon)
        self.wiring, self.unfolds, self.epsilon = circuit, unfolds, epsilon
        self.input_map, self.output_map, self.constraint, self.fused = input_map, output_map, constraint, fused
        sizes = {"": len(circuit.recurrent), "sensory_": len(circuit.sensory)}
        for name in ("gleak", "vleak", "cm"):
            self.register_parameter(name, _uniform(circuit.units, _RANGES[name], like))
        for prefix, synapses in (("", circuit.recurrent), ("sensory_", circuit.sensory)):
            for name in ("sigma", "mu", "w"):
                self.register_parameter(prefix + name, _uniform(sizes[prefix], _RANGES[name], like))
            self.register_parameter(prefix + "erev", nn.Parameter(torch.as_tensor(synapses.signs).to(**_plain(like))))
        for name, size, kind in (("input", in_features, input_map), ("output", circuit.outputs, output_map)):
            w, b = torch.ones(size, **like), torch.zeros(size, **like)
            self.register_parameter(f"{name}_w", nn.Parameter(w) if kind else None)
            self.register_parameter(f"{name}_b", nn.Parameter(b) if kind == "affine" else None)
        self.projection = None if projection is None else nn.Linear(circuit.outputs, projection, **like)
        of = _ltc_sequence.Wires.of
        self._wires = of(circuit.recurrent, circuit.units), of(circuit.sensory, circuit.units)

    def derivative(self, v: Tensor, x: Tensor) -> Tensor:
        """dv/dt = −[1/τ + f] v + f A, the equation itself: v (B, units), x (B, in_features), in plain torch."""
        values = self._values()
        capacity = values["cm"]
        wires = [each.to(v.device) for each in self._wires]
        n, d = _ltc_sequence.conductances(v, self._synapses(values, ""), wires[0], v)
        n_in, d_in = _ltc_sequence.conductances(self._map(x, "input"), self._synapses(values, "sensory_"), wires[1], v)
        leak, f = values["gleak"] / capacity, (d + d_in) / capacity
        # f A, with A the mean of the reversal potentials, weighted by conductance, the leak's among them
        return -(leak + f) * v + (leak * self.vleak + (n + n_in) / capacity)

    def _run(self, x: Tensor, state: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        values = self._values()
        cells = values["cm"], values["gleak"] * self.vleak, values["gleak"] + self.epsilon
        recurrent, sensory = self._synapses(values, ""), self._synapses(values, "sensory_")
        x, rate = self._map(x, "input"), self.unfolds / spans
        if rate.numel() and holds_values(rate):
            memory = (cells[0] / cells[2]).detach() * rate.detach().max()
            warn_of_long_memory(self, {"cm/gleak": memory}, x.dtype)
        compiled = self.fused and loops_apply(x, [state, *cells, *recurrent, *sensory])
        run = _ltc_sequence.fused if compiled else _ltc_sequence.plain
        return run(x, state, rate, cells, recurrent, sensory, self._wires, self.unfolds)

    def _read(self, h: Tensor) -> Tensor:
        y = self._map(h[..., : self.wiring.outputs], "output")
        return y if self.projection is None else self.projection(y)

    def _count_run(self, counts: Counts, x: Tensor) -> None:
        """Of each synapse σ(v − μ), its sigmoid, and two products that are summed; of each unit the quotient."""
        samples = x[..., 0].numel()
        evaluated = len(self.wiring.sensory) + self.unfolds * len(self.wiring.recurrent)
        counts.multiply(2 * samples * evaluated)
        counts.own(samples * evaluated, 2, 1)
        counts.own(samples * self.units * self.unfolds, 2, 4)
        counts.own(samples * self.units, 1, 0)  # C/h
        for size, kind in ((self.in_features, self.input_map), (self.wiring.outputs, self.output_map)):
            counts.own(samples * size, kind is not None, kind == "affine")

    def _map(self, x: Tensor, name: str) -> Tensor:
        w, b = getattr(self, f"{name}_w"), getattr(self, f"{name}_b")
        x = x if w is None else x * w
        return x if b is None else x + b

    def _values(self) -> dict[str, Tensor]:
        values = {}
        for name in _POSITIVE:
            p = getattr(self, name)
            if self.constraint == "softplus":
                values[name] = F.softplus(p)
            else:  # straight through, so that a value that left can come back
                values[name] = p + (p.clamp(min=0) - p).detach()
        return values

    def _synapses(self, values: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, ...]:
        own = {name: getattr(self, prefix + name) for name in ("sigma", "mu", "erev")}
        return own["sigma"], own["mu"], values[prefix + "w"], own["erev"]

    @classmethod
    def from_ncps(
        cls, state: Mapping[str, Tensor], *, outputs: int | None = None, unfolds: int = 6, epsilon: float = 1e-8,
        constraint: str = "softplus", timed: bool = False,
    ) -> LTC:  # fmt: skip
        """A cell with the wiring and weights of an ncps model, from the `state_dict()` of an `ncps.torch.LTC` or
        `LTCCell`; same outputs.

        outputs : needed where the model has no output mapping.
        constraint : "softplus" for ncps.torch.LTC (its implicit_param_constraints), "clamp" for its alternative.
        Raises ValueError for a state of another kind of model.
        """
        cell = {k.removeprefix("rnn_cell."): v.detach() for k, v in state.items()}
        needed = ["gleak", "vleak", "cm", "sparsity_mask", "sensory_sparsity_mask"]
        needed += [p + n for p in ("", "sensory_") for n in ("sigma", "mu", "w", "erev")]
        if missing := [name for name in needed if name not in cell]:
            raise ValueError(
                f"there is a state without {missing[0]!r}; "
                "expected the state_dict() of ncps' LTC or LTCCell"
            )
        circuit = [LiquidSynapses.from_matrix(cell[p + "sparsity_mask"].T.cpu().numpy()) for p in ("", "sensory_")]
        units, inputs = len(cell["cm"]), len(cell["sensory_w"])
        count = len(cell["output_w"]) if "output_w" in cell else outputs or units
        maps: dict[str, Any] = {
            f"{name}_map": "affine" if f"{name}_b" in cell else "linear" if f"{name}_w" in cell else None
            for name in ("input", "output")
        }
        wiring = LiquidWiring(units, count, inputs, circuit[1], circuit[0], (tuple(range(units)),))
        layer = cls(
            inputs, wiring, mixed_memory="lstm.input_map.weight" in cell, unfolds=unfolds, epsilon=epsilon,
            constraint=constraint, timed=timed, dtype=cell["cm"].dtype, device=cell["cm"].device, **maps,
        )  # fmt: skip
        with torch.no_grad():
            for prefix, synapses in (("", circuit[0]), ("sensory_", circuit[1])):
                for name in ("sigma", "mu", "w", "erev"):
                    dense = cell[prefix + name]
                    getattr(layer, prefix + name).copy_(dense[synapses.sources, synapses.targets])
            for name in ("gleak", "vleak", "cm", "input_w", "input_b", "output_w", "output_b"):
                if name in cell:
                    getattr(layer, name).copy_(cell[name])
        if layer.lstm is not None:
            lstm_from_ncps(layer.lstm, cell)
        return layer

    def extra_repr(self) -> str:
        synapses = f"{len(self.wiring.sensory)} + {len(self.wiring.recurrent)} synapses"
        return f"{self.in_features}, {self.units}, {synapses}, unfolds={self.unfolds}, fused={self.fused}"


def _plain(like: dict[str, Any]) -> dict[str, Any]:
    return {"device": like["device"], "dtype": like["dtype"] or torch.get_default_dtype()}


def _uniform(size: int, between: tuple[float, float], like: dict[str, Any]) -> nn.Parameter:
    return nn.Parameter(torch.empty(size, **like).uniform_(*between))


__all__ = ["LTC"]
