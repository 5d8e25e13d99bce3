"""Trained layers as a chip's program, and a program as a network of the simulator."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import instance
from ranvier.hardware.emulator import input_spikes, run_float
from ranvier.hardware.program import NEURONS, STEP, ChipProgram, from_word

#: of |V|, whose words end below 128; the rest is for what rounds to words
LARGEST = 127.9

if TYPE_CHECKING:
    from torch import nn

    import ranvier as rv


def quantise(model: nn.Module, examples: np.ndarray | None = None, *, bits: int = 8, leak: float = 0.0) -> ChipProgram:
    """The program that runs a trained `rv.nn.LIF`, or an `rv.nn.Sequential` of them, on a NeuroCoreX.

    Layers must be what the chip can do: beta 1 (its leak is subtractive), reset "zero", no bias, no filter, adaptation
    or recurrence, 90 neurons together. The first layer's weights become feed-forward ones, the others' recurrent ones
    between blocks of neurons; `rv.hardware.run`'s last columns are the last layer. Spikes of layer k come 2 k − 1
    steps later than the model's, and what arrives in a spike's own step is lost.

    Parameters
    ----------
    examples : input spikes (examples, T, inputs) whose membranes shall stay within the chip's range, −128 to 128. None:
        no input whatever can leave it, which takes weights of 0 and above and no leak; otherwise membranes fall without
        bound, and wrap round.
    bits : of a weight, 2 to 8; all weights share one scale.
    leak : of all neurons, a step, in the model's units.

    Raises ValueError for a layer that the chip cannot be, for weights below 0 or a leak without examples, and where
    rounding leaves no weight.

    >>> model = rv.nn.LIF(1, 1, beta=1.0, reset="zero", bias=False)
    >>> _ = torch.nn.init.constant_(model.linear.weight, 0.5)
    >>> spikes = np.ones((10, 1), bool)
    >>> result = rv.hardware.run(rv.hardware.quantise(model, spikes[None]), spikes)
    >>> bool(result.spikes.any()), result.overflows
    (True, 0)
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; expected 2 to 8, as the chip's weights have")
    layers = list(_layers(model))
    sizes = [w.shape[0] for w, _ in layers]
    if sum(sizes) > NEURONS:
        raise ValueError(f"the layers have {sum(sizes)} neurons; expected at most {NEURONS}: make them smaller")
    largest = max(float(np.abs(w).max()) for w, _ in layers)
    if not 0 < largest < np.inf:
        raise ValueError(f"the largest weight is {largest}; expected a trained model, with finite weights")
    top = 2 ** (bits - 1) - 1
    unit = min(top / largest, 127.0 / max(float(t.max()) for _, t in layers))
    if examples is None:
        _require_bounded(layers, leak)
    widest = partial(_widest, None if examples is None else [np.asarray(x) for x in examples])
    reached = widest(_assemble(layers, sizes, 1.0, leak, rounded=False))
    unit = min(unit, LARGEST / reached) if reached > 0 else unit
    numbers = _assemble(layers, sizes, unit, leak, rounded=True)
    while widest(numbers) > LARGEST:  # rounding adds up over many weights
        unit *= 0.98
        numbers = _assemble(layers, sizes, unit, leak, rounded=True)
    program = ChipProgram(numbers[0], numbers[1], numbers[2], leak=numbers[3])
    if not (program.feed_forward.any() or np.any(program.recurrent)):
        raise ValueError(
            f"all weights round to 0 at a scale of {unit:.3g}; expected thresholds nearer to the weights: train with "
            "`quantise_in_training`"
        )
    return program


def _layers(model: nn.Module) -> Any:
    """(weights [target, source], thresholds) of every layer; ValueError for what the chip has not."""
    from ranvier.nn import LIF, Sequential

    members: list[Any] = list(model) if isinstance(model, Sequential) else [model]
    for k, layer in enumerate(members):
        if type(layer) is not LIF or layer.linear is None:
            raise ValueError(
                f"layer {k} is {type(layer).__name__}; expected rv.nn.LIF(in, out): the chip has nothing else"
            )
        beta: Any = layer.beta
        state = layer.init_state(1)
        described = {"reset": layer.reset, "bias": layer.linear.bias is not None, "states": sorted(state)}
        if state["v"].any():
            raise ValueError(f"layer {k} begins at {float(state['v'].max()):.3g}; expected 0, where the chip begins")
        if float(beta.min()) != 1.0 or described != {"reset": "zero", "bias": False, "states": ["v"]}:
            raise ValueError(
                f"layer {k} has beta {float(beta.min()):.3g} and {described}; expected beta 1, reset 'zero', no "
                "bias, and a membrane alone: the chip's leak is subtractive"
            )
        weight = layer.linear.weight.detach().double().cpu().numpy()
        limit: Any = layer.threshold
        threshold = limit.detach().double().cpu().numpy()
        yield weight, np.broadcast_to(threshold, (len(weight),))


def _assemble(layers: Any, sizes: list[int], unit: float, leak: float, *, rounded: bool) -> Any:
    """(feed_forward, recurrent, threshold, leak) of the whole program times `unit`, weights rounded or not."""
    total, place = sum(sizes), np.cumsum([0, *sizes])
    forward, recurrent = np.zeros((total, layers[0][0].shape[1])), np.zeros((total, total))
    threshold = np.concatenate([t for _, t in layers])
    for k, (w, _) in enumerate(layers):
        rows = slice(place[k], place[k + 1])
        if k == 0:
            forward[rows] = w
        else:
            recurrent[rows, place[k - 1] : place[k]] = w
    forward, recurrent = forward * unit, recurrent * unit
    if rounded:
        forward, recurrent = np.rint(forward), np.rint(recurrent)
    return forward, recurrent, threshold * unit, leak * unit


def _require_bounded(layers: Any, leak: float) -> None:
    lowest = min(float(w.min()) for w, _ in layers)
    if lowest < 0 or leak > 0:
        raise ValueError(
            f"the lowest weight is {lowest:.3g} and the leak {leak:g} without examples; expected examples: what falls "
            "without bound wraps round on the chip"
        )


def _widest(examples: list[np.ndarray] | None, numbers: Any) -> float:
    """The largest |V| under the examples; without them, that of any input: below its threshold a neuron receives all of
    its weights at once."""
    if examples is None:
        forward, recurrent, threshold, _ = numbers
        return float((threshold + forward.sum(1) + recurrent.sum(1)).max())
    return max(_range(numbers, x) for x in examples)


def _range(numbers: Any, inputs: np.ndarray) -> float:
    """The largest |V| that these inputs lead to."""
    forward, recurrent, threshold, leak = numbers
    V, before, widest = np.zeros(len(threshold)), np.zeros(len(threshold)), 0.0
    for row in inputs:
        now = threshold <= V
        V = np.where(now, 0.0, V - leak + recurrent @ before + forward @ row)
        before, widest = now.astype(float), max(widest, float(np.abs(V).max()))
    return widest


def to_network(program: ChipProgram, inputs: np.ndarray) -> rv.Network:
    """The program and its input spikes (T, inputs) as a network for `rv.simulate(net, duration, dt=0.96,
    dtype=torch.float64)`: perfect integrators, delta synapses. A spike of the chip's step k is the
    simulator's at (k + 2) · .96 ms. ValueError for refractory neurons, which integrate on the chip only, and for
    plastic ones.

    >>> program = rv.hardware.ChipProgram(np.array([[2]]), threshold=5.0)  # its spike comes in step 3
    >>> net = rv.hardware.to_network(program, np.ones((5, 1)))
    >>> recording = rv.simulate(net, 9.6, dt=0.96, dtype=torch.float64, engine="torch")
    >>> (recording.times[recording.neurons == 0] / 0.96).round().tolist()
    [5.0]
    """
    import torch

    import ranvier as rv
    from ranvier.hardware._integrator import Integrator

    instance(program, ChipProgram, "program", "a ChipProgram")
    if np.any(program.refractory) or np.any(program.learn_feed_forward) or np.any(program.learn_recurrent):
        raise ValueError("the program has refractory neurons or learns; expected neither: the simulator's differ there")
    spikes = input_spikes(program, inputs)
    net = rv.Network()
    step, source = np.nonzero(spikes)
    threshold, bias, leak = (from_word(np.asarray(x)) for x in (program.threshold, program.bias, program.leak))

    drive = torch.from_numpy(bias - leak)
    model = Integrator(V_th=torch.from_numpy(threshold - bias))  # type: ignore[arg-type]
    cells = net.add(model, program.neurons, drive=drive, initial={"V": -2 * drive})
    wiring: Any
    if step.size:
        # the simulator emits from the end of its first step on, and delivers one later: everything is two steps late
        stimulus = net.add(
            rv.SpikeTimes(torch.from_numpy((step + 1.0) * STEP), torch.from_numpy(source)), program.inputs
        )
        wiring = np.nonzero(program.feed_forward)
        weight = program.feed_forward[wiring].astype(float) * program.scale
        net.connect(stimulus, cells, weight=torch.from_numpy(weight), delay=STEP, edges=(wiring[1], wiring[0]))
    wiring = np.nonzero(np.asarray(program.recurrent))
    if len(wiring[0]):
        weight = np.asarray(program.recurrent)[wiring].astype(float)
        net.connect(cells, cells, weight=torch.from_numpy(weight), delay=STEP, edges=(wiring[1], wiring[0]))
    return net


__all__ = ["quantise", "run_float", "to_network"]
