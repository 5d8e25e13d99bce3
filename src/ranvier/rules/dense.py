"""A rule in torch: on dense layers, and, for the torch engine, on any list of synapses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier._steps import rounded_steps, whole_steps
from ranvier.equations import draws_in
from ranvier.equations.printing import torch_function
from ranvier.rules._law import MODULATOR, WEIGHT, Law
from ranvier.rules.precision import warn_of_losses

if TYPE_CHECKING:
    from ranvier.rules._base import Rule, State

Lift = Callable[[Tensor], Tensor]
Shape = tuple[int, ...]


def init_state(rule: Rule, weight: Tensor, batch: int) -> State:
    """See `Rule.init_state`."""
    _check_weight(weight, batch)
    posts, pres = weight.shape[-2:]
    return fresh(rule, weight, (batch, pres), (batch, posts), (batch, posts, pres))


def fresh(rule: Rule, like: Tensor, pre: Shape, post: Shape, edge: Shape) -> State:
    """Zeros of these shapes, of the dtype and device of `like`; without past values, for which the step is needed."""
    state = {name: like.new_zeros(shape) for name, shape in _shapes(rule.law, pre, post, edge).items()}
    return state | {"clock": torch.zeros((), dtype=torch.int64, device=like.device)}


def with_pasts(rule: Rule, state: State, dt: float) -> State:
    """The state with room for the past values of traces that are read late, newest first, if it has none yet."""
    out = dict(state)
    for name, delay in rule.law.delays:
        late = int(rounded_steps(rule.parameters[delay], dt))
        if late and past(name) not in out:
            out[past(name)] = state[name].new_zeros((late, *state[name].shape))
    return out


def past(name: str) -> str:
    """The entry of a state with the past values of a trace, (steps, B, N_post)."""
    return f"{name}_past"


def _shapes(law: Law, pre: Shape, post: Shape, edge: Shape) -> dict[str, Shape]:
    shapes = {t.name: pre for t in law.pre} | {t.name: post for t in (*law.post, *law.modulator)}
    return shapes | {e.name: edge for e in law.eligibilities}


def step(
    rule: Rule, state: State, weight: Tensor, pre: Tensor, post: Tensor, modulator: Tensor | None, dt: float,
    target: Mapping[str, Tensor] | None = None,
) -> tuple[State, Tensor]:
    """See `Rule.step`."""
    if pre.ndim != 2:
        raise ValueError(f"pre has shape {tuple(pre.shape)}; expected (B, N_pre)")
    batch = len(pre)
    _check_weight(weight, batch)
    posts, pres = weight.shape[-2:]
    if pre.shape != (batch, pres) or post.shape != (batch, posts):
        raise ValueError(
            f"pre has shape {tuple(pre.shape)} and post {tuple(post.shape)} for weights {tuple(weight.shape)}; "
            f"expected ({batch}, {pres}) and ({batch}, {posts})"
        )
    if modulator is not None:
        if modulator.shape not in ((batch,), (batch, posts)):
            raise ValueError(
                f"modulator has shape {tuple(modulator.shape)}; expected ({batch},) or ({batch}, {posts})"
            )
        modulator = modulator.reshape(batch, -1).expand(batch, posts)
    if rule.dendritic_delay:
        raise ValueError(
            f"dendritic_delay of {type(rule).__name__} is {rule.dendritic_delay:g} ms; expected 0 in a dense layer: "
            "delay post before it"
        )
    if not 0 < dt < math.inf:
        raise ValueError(f"dt is {dt}; expected a time in ms above 0")
    for name, values in (("pre", pre), ("post", post), ("modulator", modulator)):
        if values is not None and not bool(torch.isfinite(values).all()):
            raise ValueError(f"values in {name} are not finite; expected spikes, rates or a modulator")
    variables = _target_values(rule, target, (batch, posts), weight)
    expected = _shapes(rule.law, (batch, pres), (batch, posts), (batch, posts, pres)) | {"clock": ()}
    pasts = {past(name) for name, _ in rule.law.delays}
    if {name: tuple(value.shape) for name, value in state.items() if name not in pasts} != expected:
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        raise ValueError(f"state is {shapes}; expected {expected}: that of init_state(weight, batch)")
    if int(state["clock"]) == 0:
        largest = float(weight.detach().abs().max()) if weight.numel() else 0.0
        warn_of_losses(rule, largest, dt, weight.dtype, level=3)
    full = weight.expand(batch, posts, pres)
    state, new = advance(
        rule, state, full, pre.to(weight.dtype), post.to(weight.dtype), modulator, dt,
        lambda x: x[:, None, :], lambda y: y[:, :, None], target=variables,
    )  # fmt: skip
    change = new - full
    return state, change if weight.ndim == 3 else change.mean(0)


def _target_values(
    rule: Rule, target: Mapping[str, Tensor] | None, shape: Shape, like: Tensor
) -> dict[str, Tensor]:
    """What a rule reads of the target, checked."""
    out = {}
    for name in rule.law.reads:
        value = (target or {}).get(name)
        if value is None:
            raise ValueError(
                f"{type(rule).__name__} reads the target's {name}, but target has none; expected "
                f"target={{{name!r}: ...}} of shape {shape}"
            )
        if value.shape != shape or not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"the target's {name} has shape {tuple(value.shape)} or is not finite; expected finite values {shape}"
            )
        out[name] = value.to(like.dtype)
    return out


def advance(
    rule: Rule,
    state: State,
    w: Tensor,
    pre: Tensor | Sequence[Tensor],
    post: Tensor,
    modulator: Tensor | None,
    dt: float,
    at_source: Lift,
    at_target: Lift,
    generator: torch.Generator | None = None,
    target: Mapping[str, Tensor] | None = None,
) -> tuple[State, Tensor]:
    """The new state and weights; `at_source` and `at_target` spread neurons' values over the synapses.

    Several `pre` are arrivals within the step that act one after the other. Random numbers come from `generator`, by
    default torch's own. target: the variables that the rule reads.
    """
    law = rule.law
    if law.uses_modulator and modulator is None:
        raise ValueError(f"{type(rule).__name__} has no modulator; expected one: give modulator=")
    every = steps_of(rule, dt)
    functions = _functions(law)
    low, high = rule.bounds
    parameters: dict[str, Any] = rule.parameters
    variables = dict(target or {})
    state = with_pasts(rule, state, dt)
    late = {name: state[past(name)][-1] for name, _ in law.delays if past(name) in state}
    new: dict[str, Tensor] = {
        name: state[name] if name in law.follows else state[name] * rule.remaining(tau, dt) for name, tau in law.decays
    }
    for t in law.modulator:
        new[t.name] = new[t.name] + dt * modulator  # type: ignore[operator]

    def changes_now(which: str, chances: dict[str, Tensor]) -> dict[str, Tensor]:
        function, read = functions[which]
        values = parameters | {WEIGHT: w} | {t.name: at_source(new[t.name]) for t in law.pre if t.name in read}
        behind = variables | {t.name: late.get(t.name, new[t.name]) for t in (*law.post, *law.modulator)}
        values |= {name: at_target(value) for name, value in behind.items() if name in read}
        values |= {e.name: new[e.name] for e in law.eligibilities}
        if modulator is not None and MODULATOR in read:
            values[MODULATOR] = at_target(modulator)
        return function(**values, **chances)

    arrivals = (pre,) if isinstance(pre, Tensor) else pre
    events = [("pre", spikes, at_source) for spikes in arrivals] + [("post", post, at_target)]
    for side, spikes, spread in events:
        arrived = spread(spikes)
        changes = changes_now(side, drawn(law.chances, w, generator))
        w = torch.clamp(w + arrived * changes.pop(WEIGHT), low, high)
        for name, size in changes.items():
            new[name] = new[name] + arrived * size
        jumps = _jumps(law, parameters, new) if side == "pre" else {}
        for t in getattr(law, side):
            if t.name not in law.follows:
                size = jumps.get(t.name, 1.0)
                new[t.name] = new[t.name] * (1 - spikes) + spikes if t.nearest else new[t.name] + spikes * size
    clock = state["clock"] + 1
    plain = parameters | variables | {t.name: new[t.name] for t in law.post}
    goals = functions["follows"][0](**plain) if law.follows else {}
    if law.joint is not None and int(clock) > 1:  # in the first step no voltage was filtered yet
        w = torch.clamp(w + dt * at_source(new[law.joint.name]) * changes_now("coincidence", {})[WEIGHT], low, high)
    for name, goal in goals.items():
        left = rule.remaining(next(t.tau for t in law.post if t.name == name), dt)
        begins = name in law.follows_target and int(clock) == 1
        new[name] = goal.expand(state[name].shape) if begins else goal + (state[name] - goal) * left
        if past(name) in state:
            before = state[past(name)]
            new[past(name)] = (new[name].expand(before.shape) if begins
                               else torch.cat([state[name][None], before[:-1]]))  # fmt: skip
    if law.drift != 0 and int(clock) % every == 0:
        w = torch.clamp(w + rule.interval * changes_now("drift", {})[WEIGHT], low, high)
    return new | {"clock": clock}, w


def drawn(names: Sequence[str], like: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
    """New random numbers by name, one a synapse."""
    draw = {True: torch.randn, False: torch.rand}
    return {
        name: draw[name.startswith("randn")](like.shape, generator=generator, dtype=like.dtype, device=like.device)
        for name in names
    }


def transmit(
    rule: Rule,
    state: State,
    w: Tensor,
    arrivals: Sequence[Tensor],
    dt: float,
    at_source: Lift,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What arrivals (each of sources) deliver by synapses of weight w, before `advance` takes them in; what is left to
    chance is drawn from `generator`."""
    law = rule.law
    if not law.short_term:
        total = at_source(arrivals[0])
        for spikes in arrivals[1:]:
            total = total + at_source(spikes)
        return total * w
    (transmitted, _), parameters = _functions(law)["transmitted"], rule.parameters
    now = {t.name: state[t.name] * rule.remaining(t.tau, dt) for t in law.pre}
    chances, total = draws_in(law.transmitted), torch.zeros_like(w)
    for spikes in arrivals:
        lifted = {name: at_source(x) for name, x in now.items()}
        lifted |= drawn(chances, w, generator)
        total = total + at_source(spikes) * transmitted(**parameters, **lifted, **{WEIGHT: w})[WEIGHT]
        jumps = _jumps(law, parameters, now)
        for t in law.pre:
            size = jumps.get(t.name, 1.0)
            now[t.name] = now[t.name] * (1 - spikes) + spikes if t.nearest else now[t.name] + spikes * size
    return total


def steps_of(rule: Rule, dt: float) -> int:
    """Steps between two applications of the drift. Raises ValueError where the interval is no multiple of dt."""
    if rule.law.drift == 0:
        return 1
    what = f"{type(rule).__name__} changes weights every interval = {rule.interval:g} ms"
    return whole_steps(rule.interval, dt, what)


def _jumps(law: Law, parameters: dict[str, Any], traces: dict[str, Tensor]) -> dict[str, Any]:
    """What a spike adds to those of the source's traces whose jump is not 1."""
    if not law.jumps:
        return {}
    return _functions(law)["jumps"][0](**parameters, **{t.name: traces[t.name] for t in law.pre})


@cache
def _functions(law: Law) -> dict[str, tuple[Callable[..., dict[str, Tensor]], frozenset[str]]]:
    """Functions by what they are of, each with the names that it reads."""
    at = [
        {WEIGHT: change} | {name: marks[k] for name, marks in law.marks.items()}
        for k, change in enumerate((law.on_pre, law.on_post))
    ]
    sources = {"pre": at[0], "post": at[1], "drift": {WEIGHT: law.drift}, "follows": law.follows}
    sources |= {"coincidence": {WEIGHT: law.coincidence}} if law.joint is not None else {}
    sources |= {"jumps": law.jumps, "transmitted": {WEIGHT: law.transmitted}}
    return {
        name: (torch_function(each), frozenset(s.name for e in each.values() for s in e.free_symbols))
        for name, each in sources.items()
        if each
    }


def _check_weight(weight: Tensor, batch: int) -> None:
    if not weight.is_floating_point():
        raise ValueError(f"weights are {weight.dtype}; expected floating point")
    if weight.ndim not in (2, 3) or (weight.ndim == 3 and len(weight) != batch):
        raise ValueError(
            f"weights have shape {tuple(weight.shape)}; expected (N_post, N_pre) or ({batch}, N_post, N_pre)"
        )


__all__ = ["advance", "fresh", "init_state", "step", "steps_of", "transmit", "with_pasts"]
