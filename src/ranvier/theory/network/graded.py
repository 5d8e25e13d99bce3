"""Networks of graded (non-spiking) neurons, predicted by their linear noise approximation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.theory import _tables
from ranvier.theory.network.fluctuations.linear_noise import (
    LinearNoise,
    each_lagged_covariance,
    linear_noise,
    noise_spectrum,
)
from ranvier.theory.network.neuron_lowering import require_spikes_alone
from ranvier.theory.single_neuron.functions import in_hertz

if TYPE_CHECKING:
    from ranvier.networks import Network, Population, Projection
    from ranvier.synapses import Synapse


@dataclass(frozen=True)
class GradedPrediction:
    """What a graded network's voltages do (`graded_prediction`), to first order in the noise around one fixed point.

    `network`; `around`, the `LinearNoise` of all its variables: every population's in the order of `add`,
    then the low-passed synapses'; `voltages` (N,), where each neuron's first variable stands among them.
    Answers are float64 tensors in mV; `neurons=` takes a Population, its name or global indices.
    """

    network: Network
    around: LinearNoise
    voltages: Tensor

    def _repr_html_(self) -> str:
        return _tables.as_html("GradedPrediction", self.network, "mean voltage (mV)", self.mean())

    def to_pandas(self) -> Any:
        """Columns neuron, name, population and mean_voltage (mV), a row a neuron. Raises ImportError without
        pandas."""
        return _tables.as_frame(self.network, "mean_voltage", self.mean())

    def mean(self, *, neurons: Any = None) -> Tensor:
        """(N,) mV: V at the fixed point."""
        return self.around.state[self._at(neurons)]

    def covariance(self, *, neurons: Any = None) -> Tensor:
        """(N, N) mV^2."""
        at = self._at(neurons)
        return self.around.covariance[at][:, at]

    def correlation(self, *, neurons: Any = None) -> Tensor:
        """(N, N); NaN where a voltage does not fluctuate."""
        C = self.covariance(neurons=neurons)
        sd = C.diagonal().sqrt()
        return C / (sd[:, None] * sd)

    def cross_covariance(self, lags: Any, *, neurons: Any = None) -> Tensor:
        """<V_i(t + tau) V_j(t)> - <V_i><V_j> at lags (L,) ms, (L, N, N) mV^2: at positive lag j leads i."""
        at = self._at(neurons)
        tau = torch.atleast_1d(torch.as_tensor(lags, dtype=torch.float64))
        each = each_lagged_covariance(self.around.jacobian, self.around.covariance, tau)
        return torch.stack([X[at][:, at] for X in each])

    def spectrum(self, f: Any, *, neurons: Any = None) -> Tensor:
        """Fourier transform of `cross_covariance` at f (F,) Hz, complex (F, N, N) mV^2/Hz."""
        at = self._at(neurons)
        A, Q = self.around.jacobian, self.around.diffusion
        return torch.stack([noise_spectrum(A, Q, one)[0][at][:, at] for one in in_hertz(f)])

    def _at(self, neurons: Any) -> Tensor:
        if neurons is None:
            return self.voltages
        if isinstance(neurons, str):
            neurons = self.network[neurons]
        if hasattr(neurons, "slice"):
            return self.voltages[neurons.slice]
        return self.voltages[torch.as_tensor(neurons, dtype=torch.int64)]


def graded_prediction(net: Network, *, start: Tensor | None = None, horizon: float = 5e4) -> GradedPrediction:
    """Mean, covariances and spectra of V in a network without spikes, by the linear noise approximation.

    Neurons: any whose equations have no threshold, with `Sigmoidal` and `Electrical` synapses. `start`:
    where the noise-free network begins, (variables,) in the order of `GradedPrediction`; by default the
    populations' initial values (the mean of a law). Of several fixed points it is the one reached from there.
    Differentiable in weights, drive, noise and the neurons' parameters.

    The error is of second order in the noise: curvature (half of f'' C) shifts the mean and the slopes.
    Noise that depends on the state is taken at the fixed point.

    Raises ValueError for a spiking neuron, another synapse, background trains or a drive that changes in
    time; for a network that does not settle; and for an unstable fixed point.

    >>> net = rv.Network()
    >>> cells = net.add(rv.Graded(E_L=-35.0), 2, noise=2.0)
    >>> prediction = rv.theory.graded_prediction(net)  # uncoupled: rest, and the noise's own deviation
    >>> deviation = prediction.covariance().diagonal().sqrt()
    >>> prediction.mean().round(decimals=6).tolist(), deviation.round(decimals=6).tolist()
    ([-35.0, -35.0], [2.0, 2.0])
    """
    system = _System(net)
    x = system.start if start is None else torch.as_tensor(start, dtype=torch.float64)
    if x.shape != system.start.shape:
        raise ValueError(
            f"start has shape {tuple(x.shape)}; expected ({len(system.start)},), one value a variable"
        )
    around = linear_noise(system.drift, system.diffusion, x, horizon=horizon)
    first = [system.blocks[p.index, p.neuron.equations.names[0]] for p in net.populations]
    return GradedPrediction(net, around, torch.cat([torch.arange(b.start, b.stop) for b in first]))


@dataclass(frozen=True)
class _Port:
    """Synapses of one kind that reach a population, as dense matrices: source index -> (target, source)."""

    synapse: Synapse
    target: Population
    weights: tuple[tuple[Population, Tensor], ...]


class _System:
    """A network as one vector x of all variables: its drift, its diffusion, its start."""

    def __init__(self, net: Network) -> None:
        from ranvier.networks import TimeSeries

        if net.backgrounds:
            raise ValueError(
                f"population {net.backgrounds[0].target.name!r} has background spike trains; expected none in a "
                "graded network: give noise (mV) instead"
            )
        self.populations: Sequence[Population] = net.populations
        self.blocks: dict[tuple[int, str], slice] = {}
        values: list[Tensor] = []
        self.values: dict[int, dict[str, Tensor]] = {}
        self.functions: dict[int, Any] = {}
        size = 0
        for p in net.populations:
            equations = getattr(p.neuron, "equations", None)
            if equations is None or equations.threshold is not None:
                raise ValueError(
                    f"population {p.name!r} of {type(p.neuron).__name__} spikes; expected graded neurons for the "
                    "linear noise approximation, whose equations have no threshold"
                )
            require_spikes_alone(equations, f"population {p.name!r} of {type(p.neuron).__name__}")
            for key, value in p.parameters.items():
                if isinstance(value, TimeSeries):
                    raise ValueError(
                        f"the {key} of population {p.name!r} changes in time; expected a constant one: a network "
                        "that is driven about has no stationary state"
                    )
            self.values[p.index] = {
                k: torch.as_tensor(v, dtype=torch.float64) for k, v in p.parameters.items()
            }
            self.functions[p.index] = equations.torch()
            for name in equations.names:
                self.blocks[p.index, name] = slice(size, size + p.size)
                values.append(_initial(p, name))
                size += p.size
        self.ports = tuple(port for p in net.populations for port in _ports(net, p))
        for k, port in enumerate(self.ports):
            if _filtered(port.synapse):
                self.blocks[-1 - k, "s"] = slice(size, size + port.target.size)
                values.append(torch.zeros(port.target.size, dtype=torch.float64))
                size += port.target.size
        self.start = torch.cat(values)

    def drift(self, x: Tensor) -> Tensor:
        """dx/dt (n,), per ms."""
        inputs = {p.index: torch.zeros(p.size, dtype=torch.float64) for p in self.populations}
        synapses = []
        for k, port in enumerate(self.ports):
            target, synapse = port.target.index, port.synapse
            V = x[self.blocks[target, port.target.neuron.equations.names[0]]]
            arriving = sum(W @ _release(synapse, x[self.blocks[s.index, "V"]]) for s, W in port.weights)
            if _filtered(synapse):
                s = x[self.blocks[-1 - k, "s"]]
                synapses.append((arriving - s) / synapse.tau)  # type: ignore[attr-defined]
                arriving = s
            if synapse.weight_unit == "nS" and not hasattr(synapse, "E_rev"):  # a gap junction
                arriving = (arriving - sum(W.sum(1) for _, W in port.weights) * V) / self._leak(port)
            elif synapse.E_rev is not None:  # type: ignore[attr-defined]
                arriving = arriving * (synapse.E_rev - V) / self._leak(port)  # type: ignore[attr-defined]
            inputs[target] = inputs[target] + arriving
        out = []
        for p in self.populations:
            names = p.neuron.equations.names
            states = {name: x[self.blocks[p.index, name]] for name in names}
            slopes = self.functions[p.index](**self.values[p.index], **states, I=inputs[p.index])
            out += [slopes[name].expand(p.size) for name in names]
        return torch.cat(out + synapses)

    def diffusion(self, x: Tensor) -> Tensor:
        """Q (n, n): neurons' noises are independent; a noise shared by two variables of one correlates
        them."""
        from ranvier.equations.printing import torch_function

        Q = torch.zeros((len(x), len(x)), dtype=torch.float64)
        for p in self.populations:
            states = p.neuron.equations.states
            known = self.values[p.index] | {s.name: x[self.blocks[p.index, s.name]] for s in states}
            gains = [(s.name, torch_function(s.diffusion)(**known)) for s in states if s.diffusion]
            for a, by_a in gains:
                for b, by_b in gains:
                    shared = sum((by_a[xi] * by_b[xi]).expand(p.size) for xi in by_a.keys() & by_b.keys())
                    if isinstance(shared, Tensor):
                        rows = torch.arange(len(x))[self.blocks[p.index, a]]
                        columns = torch.arange(len(x))[self.blocks[p.index, b]]
                        Q = Q.index_put((rows, columns), shared)
        return Q

    def _leak(self, port: _Port) -> Tensor:
        return self.values[port.target.index]["g_L"]


def _release(synapse: Synapse, V: Tensor) -> Tensor:
    if not hasattr(synapse, "V_half"):  # a gap junction passes the voltage itself
        return V
    return torch.sigmoid((V - synapse.V_half) / synapse.slope)  # type: ignore[attr-defined]


def _filtered(synapse: Synapse) -> bool:
    return getattr(synapse, "tau", 0.0) > 0


def _initial(p: Population, name: str) -> Tensor:
    value: Any = p.initial.get(name, p.neuron.initial.get(name, 0.0))
    if isinstance(value, str):
        value = p.parameters[value]
    if hasattr(value, "low"):
        value = (value.low + value.high) / 2
    elif hasattr(value, "sd"):
        value = value.mean
    return torch.as_tensor(value, dtype=torch.float64).detach().expand(p.size).clone()


def _ports(net: Network, target: Population) -> list[_Port]:
    from ranvier.synapses import Electrical, Sigmoidal

    arriving: dict[Synapse, list[Projection]] = {}
    for projection in net.projections:
        if not isinstance(projection.synapse, Electrical | Sigmoidal):
            raise ValueError(
                f"{projection!r} is no graded synapse; expected Sigmoidal or Electrical between neurons "
                "without spikes"
            )
        if projection.target is target:
            arriving.setdefault(projection.synapse, []).append(projection)
    return [
        _Port(synapse, target, tuple((p.source, _dense(p)) for p in projections))
        for synapse, projections in arriving.items()
    ]


def _dense(p: Projection) -> Tensor:
    """Weights (target, source); repeated edges add."""
    sources, targets = p.edges()
    weight = torch.as_tensor(p.weight, dtype=torch.float64).expand(len(sources))
    W = torch.zeros(p.target.size * p.source.size, dtype=torch.float64)
    return W.index_add(0, targets * p.source.size + sources, weight).reshape(p.target.size, p.source.size)
