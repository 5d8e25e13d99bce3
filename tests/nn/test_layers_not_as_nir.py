"""What NIR cannot hold of layers, and layers of NIR, is refused by name; whatever a foreign file holds."""

from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ranvier as rv
from ranvier.nn import LIF, Delay, Sequential, from_nir, to_nir, write_nir


def lif(*sizes, **options):
    return LIF(*sizes, **{"reset": "zero", "threshold": 0.5, **options})


def learned(steps):
    return Delay(4, torch.full((4,), steps), learn=True, longest=3)


class Backwards(nn.AvgPool2d):
    """A module of the user's, which may do anything."""


BAD = {
    "adaptation": (lambda: lif(4, adaptation=(0.9, 0.1)), "the adaptation of a LIF"),
    "subtract": (lambda: LIF(4), "reset='subtract'"),
    "delayed": (lambda: LIF(4, reset="delayed"), "reset='delayed'"),
    "neuron": (lambda: rv.nn.from_neuron(rv.LIF(), 4, dt=0.1), "the layer NeuronLayer"),
    "cell": (lambda: rv.nn.CfC(4, 5), "the module CfC"),
    "synapses": (lambda: rv.nn.DelayedLinear(4, 3, 2), "synapses have individual delays"),
    "fraction": (lambda: learned(1.5), "not all of which are whole"),
    "function": (lambda: nn.ReLU(), "the module ReLU"),
    "norm": (lambda: nn.BatchNorm1d(4), "BatchNorm1d"),
    "whole batch": (lambda: nn.Flatten(0), "the module Flatten"),
    "whole batch, from behind": (lambda: nn.Flatten(-2), "the module Flatten"),
    "some leak": (lambda: lif(4, beta=torch.tensor([1.0, 0.9, 0.9, 0.9])), "beta = 1 of some"),
    "current stays": (lambda: lif(4, alpha=1.0), "alpha = 1 of some"),
    "nothing": (lambda: Sequential(nn.Identity()), "a model without parts"),
}
BAD_IMAGES = {
    "groups": (lambda: nn.Conv2d(2, 2, 3, groups=2), "groups"),
    "oblong": (lambda: nn.Conv2d(2, 2, (3, 2)), "not square"),
    "mirror": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "padding other than"),
    "ceiling": (lambda: nn.AvgPool2d(2, ceil_mode=True), "ceil_mode"),
    "margins": (lambda: nn.AvgPool2d(2, padding=1, count_include_pad=False), "count_include_pad"),
    "maximum": (lambda: nn.MaxPool2d(2), "the module MaxPool2d"),
    "own": (lambda: Backwards(2), "the module Backwards"),
    "last axis": (lambda: nn.Linear(6, 3), "on the last axis"),
}


@pytest.mark.parametrize("name", [*BAD, *BAD_IMAGES])
def test_what_nir_cannot_hold_is_refused_by_name(name, tmp_path):
    make, message = (BAD | BAD_IMAGES)[name]
    with pytest.raises(ValueError, match=f"(?s)NIR cannot hold .*{message}.*ranvier.nn.to_nir"):
        write_nir(make(), tmp_path / "x.nir", input_shape=(4,) if name in BAD else (2, 6, 6))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lif(4, beta=0.0), "beta = 0 of"),
        (lambda: lif(4, 3, alpha=0.5), "the bias of 'linear_0' into the synaptic current of 'lif_0'"),
        (lambda: Sequential(nn.Linear(4, 3), Delay(3), lif(beta=torch.tensor([0.1, 0.2, 0.3]))), "different time"),
    ],
)
def test_what_exact_decay_cannot_hold(make, message):
    to_nir(make())
    with pytest.raises(ValueError, match=message):
        to_nir(make(), decay="exponential")


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected input_shape=, the shape"):
        to_nir(nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match="decay is 'exact'; expected one of euler, exponential"):
        to_nir(lif(4), decay="exact")
    with pytest.raises(ValueError, match="dt"):
        to_nir(lif(4), 0.0)
    with pytest.raises(ValueError, match="reset is 'soft'; expected None or one of zero"):
        from_nir(to_nir(lif(4)), reset="soft")
    with pytest.raises(TypeError, match="NIRGraph"):
        from_nir(3)


def cell(kind=nir.LIF, n=2, **change):
    values = {"tau": 0.01, "r": 100.0, "v_leak": 0.0}
    if kind in (nir.CubaLIF, nir.CubaLI):
        values = {"tau_mem": 0.01, "tau_syn": 0.01, "r": 100.0, "v_leak": 0.0}
    if kind in (nir.LIF, nir.CubaLIF):
        values |= {"v_threshold": 1.0, "v_reset": 0.0}
    return kind(**{k: np.full(n, v) for k, v in (values | change).items()})


def row(*nodes):
    return nir.NIRGraph.from_list(*nodes)


EYE = np.eye(2)
NUMBERS = st.sampled_from([-1.0, 0.0, 1e-5, 1e-4, 2e-3, 1.0, 1e4, np.inf, np.nan])
SHAPES = st.sampled_from([(), (2,), (3,), (2, 2)])
ARRAYS = st.tuples(NUMBERS, SHAPES).map(lambda pair: np.full(pair[1], pair[0]))


@st.composite
def any_node(draw):
    """A node as no type check would pass it."""
    kind = draw(st.sampled_from([nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, nir.IF, nir.I, nir.Linear, nir.Affine,
                                 nir.Delay, nir.Flatten, nir.Scale, nir.SumPool2d]))  # fmt: skip
    if kind in (nir.Linear, nir.Affine):
        weight = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (2, 2, 2)]).map(np.ones))
        return kind(weight) if kind is nir.Linear else kind(weight, draw(ARRAYS))
    if kind is nir.SumPool2d:
        return kind(*np.array(draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))).reshape(3, 2))
    if kind is nir.Flatten:
        return kind(None, draw(st.integers(-2, 2)), draw(st.integers(-2, 2)))
    shape = draw(SHAPES)
    names = [name for name in kind.__dataclass_fields__ if name not in ("input_type", "output_type", "metadata")]
    return kind(**{name: np.full(shape, draw(NUMBERS)) for name in names})


@settings(max_examples=150, deadline=None)
@given(st.lists(any_node(), max_size=3), st.booleans(), st.sampled_from(["euler", "exponential"]))
def test_a_foreign_graph_is_a_model_or_an_error_that_says_why(nodes, loop, decay):
    named = {f"n{k}": node for k, node in enumerate(nodes)}
    ends = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    way = ["input", *named, "output"]
    edges = [*pairwise(way), *([("n1", "n0")] if loop and len(nodes) > 1 else [])]
    graph = nir.NIRGraph(named | ends, edges, type_check=False)
    try:
        model = from_nir(graph, decay=decay)
    except ValueError as error:
        assert "ranvier.nn.to_nir" in str(error) or "expect" in str(error)
    else:
        assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


def graph_of(nodes, edges):
    ends = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    return nir.NIRGraph(ends | nodes, edges)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: row(cell(v_reset=1.1)), "v_reset of 'lif', not below its threshold"),
        (lambda: row(cell(v_leak=2.0, v_reset=2.0)), "the threshold of 'lif', not above"),
        (lambda: row(cell(r=-1.0)), "r of 'lif' that is not positive"),
        (lambda: row(cell(tau=0.0)), "tau of 'lif', not all"),
        (lambda: row(cell(r=np.inf)), "r of 'lif', not all"),
        (lambda: row(cell(tau=5e-5)), "tau of 'lif' of 0.05 ms, shorter than the step of 0.1 ms"),
        (lambda: row(nir.Delay(np.array([1e-4, 1.5e-4])), cell()), "the delay 'delay' of 1.5 steps of 0.1 ms"),
        (lambda: row(nir.Scale(np.array([1.0, np.nan])), cell()), "scale of 'scale', not all"),
        (lambda: row(nir.Threshold(np.array([1.0, np.inf]))), "threshold of 'threshold', not all"),
        (lambda: graph_of({"a": cell(), "b": nir.Affine(EYE, np.ones(2))},
                          [("input", "a"), ("a", "b"), ("b", "a"), ("a", "output")]),
         "the bias on the way of 'a' back to itself, without weights"),
        (lambda: nir.NIRGraph({"i": nir.Input(np.array([2])), "a": cell()}, [("i", "a")], type_check=False),
         "a graph without an Output"),
    ],
)  # fmt: skip
def test_what_layers_cannot_hold_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=f"A model of layers here cannot hold ({message})"):
        from_nir(make())


@pytest.mark.parametrize(
    ("kind", "shape", "space"),
    [(nir.Conv1d, (1, 3), 5), (nir.Conv2d, (1, 3, 3), (5, 5)), (nir.Conv2d, (0, 1, 3, 3), (5, 5))],
)
def test_weights_of_convolutions_have_all_their_axes(kind, shape, space):
    node = kind(space, np.ones((1, 1, 3, 3)[: 3 if kind is nir.Conv1d else 4]), 1, 0, 1, 1, np.zeros(1))
    node.weight = np.ones(shape)
    size = np.array([1, 5] if kind is nir.Conv1d else [1, 5, 5])
    ends = {"input": nir.Input(size), "output": nir.Output(size)}
    edges = [("input", "c"), ("c", "output")]
    with pytest.raises(ValueError, match=r"weights of 'c' have shape \(.*\); expected [34] axes"):
        from_nir(nir.NIRGraph(ends | {"c": node}, edges, type_check=False))
