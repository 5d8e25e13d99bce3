"""What every `Engine` must keep; give a `Case` for each one in tests/engines/test_every_engine.py."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

import ranvier as rv
import ranvier.engines
from ranvier.engines._prepare import ENGINES, engine_class
from ranvier.engines.protocol import Engine, EngineOptions, Segment
from ranvier.engines.recording.probes import resolve_probes
from ranvier.engines.step_model import step_models

DT, STEPS = 0.1, 204
#: what the protocol asks a class to offer; `step` and `threads` may be attributes of its objects
METHODS = {name for name, value in vars(Engine).items() if not name.startswith("_") and callable(value)} | {"prepare"}


@dataclass(frozen=True)
class Case:
    """An engine by the name that `simulate` knows, and the network that its laws are tried on: active, with noise,
    delays, a source of spikes, a series and synapses that learn. `threads`: how many it may use."""

    name: str
    network: Callable[[], rv.Network]
    threads: tuple[int, ...] = (1,)
    sets_weights: bool = True


def implementers() -> set[type]:
    """Every class of the package's engines that offers all that the protocol asks for."""
    out = set()
    for module in pkgutil.walk_packages(ranvier.engines.__path__, "ranvier.engines."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            complete = not getattr(cls, "_is_protocol", False) and set(dir(cls)) >= METHODS
            if complete and cls.__module__.startswith("ranvier.engines"):
                out.add(cls)
    return out


def require_cases(cases: list[Case]) -> None:
    """Each engine is known to `simulate` by a name, and has one case."""
    registered = {name: engine_class(name) for name in ENGINES}
    assert implementers() == set(registered.values()), "an engine is missing in ENGINES of engines/_prepare.py"
    assert sorted(case.name for case in cases) == sorted(registered), "each engine needs one Case"


def check_engine(case: Case) -> None:
    """All laws."""
    whole = run(case)
    assert len(whole.steps) > 100 and len(set(whole.neurons)) > 10, "give the network more drive"
    answers_are_of_the_declared_form(case, whole)
    the_same_seed_gives_the_same_run_and_another_another(case, whole)
    a_run_may_be_cut_and_joined(case, whole)
    a_state_is_all_that_the_future_depends_on(case, whole)
    a_state_is_adopted_and_set_as_it_was(case, whole)
    two_engines_do_not_meet(case, whole)
    threads_change_nothing(case, whole)
    probes_change_nothing(case, whole)
    weights_are_read_and_set(case)
    the_first_state_that_is_not_finite_is_named(case)
    degenerate_networks_run(case)


def options(net: rv.Network, **changes) -> EngineOptions:
    record = [rv.Probe("V", interval=0.3), rv.Probe("V", neurons="b", interval=DT, name="b")]
    probes = resolve_probes(record, net, step_models(net), DT)
    return replace(EngineOptions(DT, seed=4, dtype=torch.float64, probes=probes), **changes)


def make(case: Case, **changes) -> Engine:
    net = case.network()
    return engine_class(case.name).prepare(net, options(net, **changes))


def run(case: Case, **changes) -> Segment:
    return make(case, **changes).advance(STEPS)


def joined(segments: list[Segment]) -> Segment:
    samples = {
        name: tuple(np.concatenate([s.samples[name][k] for s in segments]) for k in (0, 1))
        for name in segments[0].samples
    }
    return Segment(
        np.concatenate([s.steps for s in segments]), np.concatenate([s.neurons for s in segments]), samples
    )


def require_same(one: Segment, other: Segment) -> None:
    assert np.array_equal(one.steps, other.steps) and np.array_equal(one.neurons, other.neurons)
    assert one.samples.keys() == other.samples.keys()
    for name, (steps, values) in one.samples.items():
        assert np.array_equal(steps, other.samples[name][0]) and np.array_equal(values, other.samples[name][1])


def copied(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in state.items()}


def answers_are_of_the_declared_form(case: Case, whole: Segment) -> None:
    net, engine = case.network(), make(case)
    assert engine.step == 0 and engine.threads == 1 and engine.options.dt == DT
    assert whole.steps.dtype == np.int64 and whole.neurons.dtype == np.int32
    assert whole.steps.min() > 0 and whole.steps.max() <= STEPS and whole.neurons.max() < net.size
    order = np.lexsort((whole.neurons, whole.steps))
    assert np.array_equal(order, np.arange(len(order))), "sorted by step, then neuron"
    steps, values = whole.samples["V"]
    assert np.array_equal(steps, np.arange(3, STEPS + 1, 3)) and values.dtype == np.float64
    assert values.shape == (STEPS // 3, sum(p.size for p in net.populations if p.name in ("a", "b")))


def the_same_seed_gives_the_same_run_and_another_another(case: Case, whole: Segment) -> None:
    require_same(run(case), whole)
    other = run(case, seed=5)
    assert not np.array_equal(other.steps, whole.steps)
    assert not np.array_equal(other.samples["V"][1], whole.samples["V"][1])


def a_run_may_be_cut_and_joined(case: Case, whole: Segment) -> None:
    engine, segments = make(case), []
    for last in (1, 2, 3, 50, 51, 133, STEPS):
        segments.append(engine.advance(last))
        assert engine.step == last
        engine.weights()  # to look changes nothing
        engine.state()
    require_same(joined(segments), whole)


def a_state_is_all_that_the_future_depends_on(case: Case, whole: Segment) -> None:
    for cut in (1, 7, 150):
        engine = make(case)
        first = engine.advance(cut)
        state = copied(engine.state())
        engine.advance(cut + 20)  # the state is a copy
        other = make(case)
        other.advance(20)  # whatever it has done before
        other.load(state)
        assert other.step == cut
        require_same(joined([first, other.advance(STEPS)]), whole)


def a_state_is_adopted_and_set_as_it_was(case: Case, whole: Segment) -> None:
    engine = make(case)
    first = engine.advance(57)
    other = engine_class(case.name).prepare(engine_network(engine), engine.options)
    other.adopt(engine)
    assert other.step == 57
    for p in engine_network(engine).populations:
        values = other.values(p)
        assert set(values) >= set(step_models(engine_network(engine))[p.index].states if values else ())
        assert all(v.shape == (p.size,) and v.dtype == np.float64 for v in values.values())
        if values:
            other.set_values(p, values)
    require_same(joined([first, other.advance(STEPS)]), whole)


def engine_network(engine: Engine) -> rv.Network:
    return engine.net if hasattr(engine, "net") else engine.program.net


def two_engines_do_not_meet(case: Case, whole: Segment) -> None:
    ours, theirs, segments = make(case), make(case, seed=9), []
    for last in (100, 122, STEPS):
        theirs.advance(last)
        segments.append(ours.advance(last))
    require_same(joined(segments), whole)


def threads_change_nothing(case: Case, whole: Segment) -> None:
    for threads in case.threads:
        engine = make(case, threads=threads)
        assert engine.threads == threads
        require_same(engine.advance(STEPS), whole)


def probes_change_nothing(case: Case, whole: Segment) -> None:
    bare = run(case, probes=())
    assert np.array_equal(bare.steps, whole.steps) and np.array_equal(bare.neurons, whole.neurons)
    assert bare.samples == {}


def weights_are_read_and_set(case: Case) -> None:
    net, engine = case.network(), make(case)
    plastic = [p for p in net.projections if p.plasticity is not None]
    before = {index: w.copy() for index, w in engine.weights().items()}
    assert sorted(before) == [p.index for p in plastic] and len(before) > 0
    for p in plastic:
        assert np.allclose(before[p.index], np.broadcast_to(np.asarray(p.weight), p.size))
    engine.advance(STEPS)
    after = engine.weights([plastic[0].index])
    assert list(after) == [plastic[0].index] and not np.allclose(after[plastic[0].index], before[plastic[0].index])
    values = np.linspace(*np.clip(plastic[0].plasticity.bounds, 0, 1), plastic[0].size)
    if case.sets_weights:
        engine.set_weights(plastic[0].index, values)
        assert np.allclose(engine.weights()[plastic[0].index], values)


class Square(rv.Neuron):
    """x' = x²: infinite at t = 1/x(0)."""

    equations = rv.Equations("dx/dt = x**2 + 0*I : mV")


def the_first_state_that_is_not_finite_is_named(case: Case) -> None:
    net = rv.Network()
    net.add(rv.LIF(), 3, "calm")
    net.add(Square(), 5, "loud", initial={"x": torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0])})
    engine = engine_class(case.name).prepare(net, EngineOptions(DT, dtype=torch.float64))
    assert engine.first_bad() is None
    for step in range(1, 41):
        if engine.first_bad() is None:
            engine.advance(step)
    assert engine.first_bad() == ("loud", 3, "x")


def degenerate_networks_run(case: Case) -> None:
    """No spike, one neuron, no edges, sources alone, a projection without edges, one that learns without edges."""
    none = torch.zeros(0)
    silent, lonely, sources, unwired = rv.Network(), rv.Network(), rv.Network(), rv.Network()
    silent.add(rv.LIF(), 5)
    lonely.add(rv.LIF(), 1, drive=20.0)
    sources.add(rv.Poisson(rate=0.0), 3)
    sources.add(rv.SpikeTimes(none, none.long()), 1)
    a = unwired.add(rv.LIF(), 2, drive=20.0)
    empty = np.zeros(0, np.int64)
    unwired.connect(a, a, weight=1.0, edges=(empty, empty))
    unwired.connect(a, a, weight=torch.zeros(0), delay=torch.zeros(0), edges=(empty, empty), plasticity=rv.rules.STDP())
    for net, spikes in ((silent, False), (lonely, True), (sources, False), (unwired, True)):
        engine = engine_class(case.name).prepare(net, EngineOptions(DT))
        segment = engine.advance(300)
        assert (len(segment.steps) > 0) == spikes and engine.first_bad() is None
        other = engine_class(case.name).prepare(net, EngineOptions(DT))
        other.load(copied(engine.state()))
        assert np.array_equal(other.advance(330).steps, engine.advance(330).steps)
        assert [len(w) for w in engine.weights().values()] == [0] * len(engine.weights())
