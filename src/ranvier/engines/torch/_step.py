"""One step of a whole network in torch: a pure function of (constants, state, input)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranvier.engines.compiled.agreement import LEAST, LIMIT, SLOW, TOLERANCE
from ranvier.engines.compiled.couplings import senders, warn_of_change
from ranvier.engines.compiled.synapse_tables import delay_steps
from ranvier.engines.junctions import junctions
from ranvier.engines.plasticity.tables import back_steps
from ranvier.engines.precision import needs_double, warn_of_rule
from ranvier.engines.step_model import Port, initial_values, step_models
from ranvier.engines.surrogates import Surrogate
from ranvier.engines.torch._external import ExternalInputs
from ranvier.engines.torch._junctions import JunctionStep
from ranvier.engines.torch._plasticity import LearningSynapses, TorchPlastic
from ranvier.engines.torch._stepper import stepper_of
from ranvier.networks import Network, Population, Projection
from ranvier.synapses import Electrical, Proportional, Sigmoidal

_DENSE = 4_000_000  # entries up to which a projection is kept as a matrix


class NetworkState(NamedTuple):
    """Everything that a network's future depends on.

    variables: by population, (variables, B, n); refractory: by population, steps left (B, n);
    history: past spikes (delays + 1, B, N), newest first; step: steps done; seed: of the noise;
    plastic: by plastic projection and delay, the weights (B, edges) and the rule's own state. Spikes of the
    last step have not changed them yet: they do so in the next one, after the old weights were delivered;
    drawn: what sources whose spikes are drawn ahead go on from, (B, words, processes) of int64 each.
    """

    variables: tuple[Tensor, ...]
    refractory: tuple[Tensor, ...]
    history: Tensor
    step: int
    seed: int
    plastic: tuple[tuple[LearningSynapses, ...], ...] = ()
    drawn: tuple[Tensor, ...] = ()


class TorchNetwork:
    """A network as a differentiable step. Gradients flow to its tensors and through `surrogate`."""

    def __init__(self, net: Network, dt: float, dtype: torch.dtype, surrogate: Surrogate, external: bool,
                 threshold: str = "step") -> None:
        self.net, self.dt, self.dtype, self.surrogate, self.external = net, dt, dtype, surrogate, external
        self.size = sum(p.size for p in net.populations)
        self.models = step_models(net, external=external, threshold=threshold)
        self.kinds = {
            k: torch.float64 if dtype == torch.float64 or needs_double(m, dt) else dtype for k, m in self.models.items()
        }
        self.coupled = any(m.coupled for m in self.models.values())
        self.senders = sorted(senders(net))
        self.junctions = junctions(net, self.models)
        self.steppers = {k: stepper_of(m) for k, m in self.models.items()}
        self.delays = {p.index: _delay_groups(p, dt) for p in net.projections if not p.synapse.continuous}
        back = [back_steps(p.plasticity, dt) for p in net.projections if p.plasticity is not None]
        self.longest = max([d for groups in self.delays.values() for d, _ in groups] + back, default=0)
        self.edges = {p.index: p.edges() for p in net.projections}
        for p in net.projections:
            warn_of_rule(p, dt, dtype, every_trace=True)
        self.plastic = {
            p.index: TorchPlastic(net, p, self.delays[p.index], self.edges[p.index], dt, dtype)
            for p in net.projections
            if p.plasticity is not None
        }
        self.outside = ExternalInputs(net, dt, dtype)

    def init_state(self, batch: int, seed: int = 0) -> NetworkState:
        generator = torch.Generator().manual_seed(seed)
        variables, refractory = [], []
        for p in self.net.populations:
            if p.index not in self.models:
                variables.append(torch.zeros(0, batch, p.size, dtype=self.dtype))
                refractory.append(torch.zeros(batch, p.size, dtype=self.dtype))
                continue
            rows = []
            for _ in range(batch):
                initial = initial_values(self.models[p.index], lambda law, n: _draw(law, n, generator))
                rows.append(torch.stack([torch.as_tensor(v) for v in initial.values()]))
            variables.append(torch.stack(rows, 1).to(self.kinds[p.index]))
            refractory.append(torch.zeros(batch, p.size, dtype=self.kinds[p.index]))
        history = torch.zeros(self.longest + 1, batch, self.size, dtype=self.dtype)
        plastic = tuple(p.init_state(batch) for p in self.plastic.values())
        drawn = self.outside.begin(seed, batch)
        return NetworkState(tuple(variables), tuple(refractory), history, 0, seed, plastic, drawn)

    def constants(self) -> dict[str, Any]:
        """Coefficients and weight matrices: what depends on the network's tensors and not on the state."""
        coefficients = {
            k: {name: v.to(self.kinds[k]) for name, v in m.evaluate(self.dt).items()} for k, m in self.models.items()
        }
        weights = {p.index: self._weights(p) for p in self.net.projections if p.plasticity is None}
        joined = None if self.junctions is None else JunctionStep.of(self.junctions, self.dt)
        return {"coefficients": coefficients, "weights": weights, "junctions": joined}

    def _weights(self, p: Projection) -> list[tuple[int, Tensor, Tensor | None, Tensor | None]]:
        """(delay, matrix or edge weights, sources, targets) a group of equal delay."""
        sources, targets = self.edges[p.index]
        kind = self.kinds[p.target.index] if p.synapse.continuous else self.dtype
        weight = torch.as_tensor(p.weight, dtype=torch.float64).to(kind).expand(len(sources))
        groups = self.delays.get(p.index, [(0, None)])
        out: list[tuple[int, Tensor, Tensor | None, Tensor | None]] = []
        for delay, chosen in groups:
            s, t, w = sources, targets, weight
            if chosen is not None:
                s, t, w = s[chosen], t[chosen], w[chosen]
            if p.source.size * p.target.size <= _DENSE:
                matrix = torch.zeros(p.source.size, p.target.size, dtype=kind)
                out.append((delay, matrix.index_put((s, t), w, accumulate=True), None, None))
            else:
                out.append((delay, w, s, t))
        return out

    def step(self, constants: dict[str, Any], state: NetworkState, x: Tensor | None) -> tuple[NetworkState, Tensor]:
        """One step of dt. x: (B, N) mV added to every input, spikes added to sources. Returns spikes (B, N)."""
        generator = torch.Generator().manual_seed((state.seed * 1_000_003 + state.step) % 2**63)
        variables, refractory, outputs = [], [], []
        batch = state.history.shape[1]
        sources: dict[int, Tensor] = {}
        inputs: dict[int, dict[str, Tensor]] = {}
        drawn, fired = self.outside.draw(state.drawn, state.step)
        for p in self.net.populations:
            own = None if x is None else x[:, p.slice]
            if p.index not in self.models:
                sources[p.index] = self.outside.spikes(p, state.step, batch, own, generator, fired)
            else:
                inputs[p.index] = self._delivered(p, constants, state, own, generator)
        if self.coupled:
            self._agree(constants, state, inputs)
        for p in self.net.populations:
            if p.index not in self.models:
                v, r, y = state.variables[p.index], state.refractory[p.index], sources[p.index]
            else:
                v, r, y = self._population(p, constants, state, inputs[p.index])
            variables.append(v)
            refractory.append(r)
            outputs.append(y)
        spikes = torch.cat(outputs, 1)
        emitted = torch.cat(
            [o if self._spikes(p) else torch.zeros_like(o) for p, o in zip(self.net.populations, outputs)], 1
        )
        history = torch.cat([emitted[None], state.history[:-1]])
        learned = self.learned(state)
        after = NetworkState(tuple(variables), tuple(refractory), history, state.step + 1, state.seed, learned, drawn)
        return after, spikes

    def learned(self, state: NetworkState) -> tuple[tuple[LearningSynapses, ...], ...]:
        """The plastic projections once the spikes of the last step have acted on them."""
        if state.step == 0:
            return state.plastic
        # a stream of its own, as weights may be asked for between two steps
        generator = torch.Generator().manual_seed((state.seed * 1_000_003 + state.step + 2**62) % 2**63)
        parts = zip(self.plastic.values(), state.plastic, strict=True)
        return tuple(
            part.step(own, state.history, state.step, generator, self._read(part, state)) for part, own in parts
        )

    def _read(self, part: TorchPlastic, state: NetworkState) -> dict[str, Tensor]:
        """The variables of its targets that a rule reads."""
        k, names = part.projection.target.index, part.rule.law.reads
        if not names:
            return {}
        values = dict(zip(self.models[k].states, state.variables[k].unbind(0)))
        return {name: values[name].to(self.dtype) for name in names}

    def _spikes(self, p: Population) -> bool:
        return p.index not in self.models or self.models[p.index].threshold is not None

    def _delivered(
        self, p: Population, constants: dict[str, Any], state: NetworkState, own: Any, generator: Any
    ) -> dict[str, Tensor]:
        """All that the step of a population reads, once what arrives has been added to its variables."""
        stepper, kind = self.steppers[p.index], self.kinds[p.index]
        model = stepper.model
        values = dict(constants["coefficients"][p.index])
        before = dict(zip(model.states, state.variables[p.index].unbind(0)))
        shape = before[model.states[0]].shape
        values |= before
        for port in model.ports:
            values[port.input.name] = self._input(port, p, constants, state, generator)
        for k in range(model.scheme.normals):
            values[f"N_{k}"] = torch.randn(shape, generator=generator, dtype=self.dtype).to(kind)
        values |= self.outside.parameters(p, state.step, kind)
        if self.external:
            values["external"] = torch.zeros(shape, dtype=kind) if own is None else own.to(kind)
        delivered = stepper.deliver(**values)
        if (held := self._held(p, state)) is not None:
            for name in {*model.held} & {*delivered}:
                delivered[name] = torch.where(held, before[name], delivered[name])
        if model.start is not None:
            delivered[model.start] = (values | delivered)[model.states[0]]
        return values | delivered

    def _held(self, p: Population, state: NetworkState) -> Tensor | None:
        model = self.models[p.index]
        return (state.refractory[p.index] > 0) if model.held else None

    def _integrated(self, p: Population, state: NetworkState, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The variables at the step's end, before any reset."""
        model, before = self.models[p.index], state.variables[p.index]
        after = self.steppers[p.index].integrate(**values)
        after = {k: v.to(self.kinds[p.index]).expand(before[0].shape) for k, v in after.items()}
        if (held := self._held(p, state)) is not None:
            for k, name in enumerate(model.states):
                if name in model.held:
                    after[name] = torch.where(held, before[k], after[name])
        return after

    def _agree(
        self, constants: dict[str, Any], state: NetworkState, inputs: dict[int, dict[str, Tensor]]
    ) -> None:
        """Add the inputs by continuous synapses at both ends of the step, as the compiled engine does (`agreement`)."""
        begin = {k: values[self.models[k].states[0]] for k, values in inputs.items()}
        guess = dict(begin)
        batch = state.history.shape[1]
        change = torch.full((batch,), torch.inf, dtype=torch.float64)
        done = torch.zeros(batch, dtype=torch.bool)
        joined = constants["junctions"]
        current: Any = None if joined is None else joined.begin(begin, self._held_cells(state))
        share = torch.ones(batch, 1, dtype=torch.float64)
        for turn in range(LIMIT):
            for k, values in inputs.items():
                for port in self.models[k].coupled:
                    if isinstance(port.synapse, Electrical):
                        ends = current.ends(k, self.kinds[k])
                        values[port.input.name], values[port.end.name] = ends
                        continue
                    if turn == 0:
                        values[port.input.name] = self._coupled(port, self.net.populations[k], constants, begin)
                    values[port.end.name] = self._coupled(port, self.net.populations[k], constants, guess)
            if turn > 1 and done.all():
                return
            before, change = change, torch.zeros_like(change)
            for k in self.senders:
                model, values = self.models[k], inputs[k]
                top = self._integrated(self.net.populations[k], state, values)[model.states[0]]
                if model.ceiling is not None:
                    top = torch.minimum(top, self.steppers[k].ceiling(**values)["ceiling"])
                change = torch.maximum(change, (top - guess[k]).detach().abs().amax(1))
                guess[k] = torch.where(done[:, None], guess[k], top) if turn > 1 else top
            if current is not None:
                slow = turn > SLOW + 1
                share = torch.where((change > 0.99 * before)[:, None] & slow, (0.8 * share).clamp(min=LEAST), share)
                current = current.after(guess, share)
            ahead = torch.where(change < before, change * (change / (before - change)).clamp(min=1), change)
            if turn > 0:
                done = done | (ahead <= TOLERANCE) | ahead.isnan()
        warn_of_change(float(ahead[~done].max()), self.dt)

    def _held_cells(self, state: NetworkState) -> dict[int, Tensor]:
        """Of populations that gap junctions join, where V is held (B, n)."""
        fixed = [k for k, m in self.models.items() if m.states[0] in m.held]
        held = {p.index: self._held(p, state) if p.index in fixed else None
                for p in self.net.populations if p.index in self.models}  # fmt: skip
        return {k: torch.zeros_like(state.refractory[k], dtype=torch.bool) if h is None else h for k, h in held.items()}

    def _coupled(
        self, port: Port, p: Population, constants: dict[str, Any], voltages: dict[int, Tensor]
    ) -> Tensor:
        total = torch.zeros(len(next(iter(voltages.values()))), p.size, dtype=self.kinds[p.index])
        for projection in port.projections:
            for _, w, sources, targets in constants["weights"][projection.index]:
                sent = _transmitted(port, voltages[projection.source.index]).to(total.dtype)
                total = total + sent @ w if sources is None else total.index_add(1, targets, sent[:, sources] * w)
        return total

    def _population(
        self, p: Population, constants: dict[str, Any], state: NetworkState, values: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        stepper = self.steppers[p.index]
        model = stepper.model
        soma, left = model.states[0], state.refractory[p.index]
        after = self._integrated(p, state, values)
        shape = after[soma].shape
        values = values | after
        occurred = [holds(**values)["holds"].expand(shape) for holds, _ in stepper.events]
        spike = None
        if stepper.distance is not None:
            spike = self.surrogate(stepper.distance(**values)["distance"].to(self.dtype), stepper.strict).expand(shape)
            if model.refractory is not None:
                spike = torch.where(left > 0, torch.zeros_like(spike), spike)
                steps = constants["coefficients"][p.index]["refractory_steps"].expand(shape)
                left = torch.where(spike.detach() > 0, steps, (left - 1).clamp(min=0))
            # the reset is detached: its gradient would pull against the spike's own
            after |= _changed(stepper.reset(**values), spike.detach() > 0, after)
        for here, (_, statements) in zip(occurred, stepper.events, strict=True):
            after |= _changed(statements(**values | after), here, after)
        output = after[soma].to(self.dtype) if spike is None else spike
        return torch.stack([after[s] for s in model.states]), left, output

    def _input(
        self, port: Port, p: Population, constants: dict[str, Any], state: NetworkState, generator: Any
    ) -> Tensor:
        """What arrives by the port's synapses; of continuous ones, nothing before `_agree`."""
        batch = state.history.shape[1]
        if port.synapse.continuous:
            return torch.zeros(batch, p.size, dtype=self.kinds[p.index])
        total = torch.zeros(batch, p.size, dtype=self.dtype)
        for projection in port.projections:
            if projection.index in self.plastic:
                own = state.plastic[list(self.plastic).index(projection.index)]
                total = self.plastic[projection.index].deliver(own, state.history, total, generator)
                continue
            for delay, w, sources, targets in constants["weights"][projection.index]:
                sent = state.history[delay][:, projection.source.slice]
                if sources is None:
                    total = total + sent @ w
                else:
                    total = total.index_add(1, targets, sent[:, sources] * w)
        for b in port.backgrounds:
            mean = self.outside.mean(b.rate, state.step, f"the background of {p.name!r}").expand(batch, p.size)
            counts = torch.poisson(mean, generator=generator).to(self.dtype)
            total = total + counts * torch.as_tensor(b.weight, dtype=torch.float64).to(self.dtype)
        return total.to(self.kinds[p.index])


def _changed(values: dict[str, Tensor], where: Tensor, after: dict[str, Tensor]) -> dict[str, Tensor]:
    """New values of variables, there where they change."""
    return {name: torch.where(where, value.to(after[name].dtype), after[name]) for name, value in values.items()}


def _transmitted(port: Port, V: Tensor) -> Tensor:
    synapse = port.synapse
    if isinstance(synapse, Electrical | Proportional):
        return V
    if isinstance(synapse, Sigmoidal):
        return torch.sigmoid((V - synapse.V_half) / synapse.slope)
    raise TypeError(f"the continuous synapse is {synapse!r}; expected Electrical, Proportional or Sigmoidal")


def _delay_groups(p: Projection, dt: float) -> list[tuple[int, Tensor | None]]:
    steps = delay_steps(p, dt)
    if steps.ndim == 0:
        return [(int(steps), None)]
    all_steps = torch.from_numpy(steps)
    return [(int(d), (all_steps == d).nonzero()[:, 0]) for d in all_steps.unique()]


def _draw(law: Any, size: int, generator: torch.Generator) -> Any:
    seed = int(torch.randint(2**62, (), generator=generator))
    return law.draw(np.random.Generator(np.random.Philox(seed)), size)


__all__ = ["NetworkState", "TorchNetwork"]
