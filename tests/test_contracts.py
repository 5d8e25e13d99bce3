"""docs/contracts.md says what is so: its examples run, and the names and signatures in it are the package's."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest
import torch

import ranvier as rv

TEXT = (Path(__file__).parents[1] / "docs" / "contracts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def described() -> rv.Network:
    """The network of the contract; its second population is left to the reader there."""
    names = {"rv": rv}
    exec(BLOCKS[0].replace("p = net", "inh = net.add(rv.LIF(), 20, 'inh')\np = net"), names)
    return names["net"]


def test_the_network_is_described_as_it_stands():
    net = described()
    assert [p.name for p in net.populations] == ["exc", "inh"] and len(net.projections) == 2
    listed = re.search(r"`Population`: (.*?)\n", TEXT)
    assert listed
    for name in ("name", "neuron", "size", "start", "index", "parameters", "initial", "positions", "classes", "names"):
        assert name in listed[1] and hasattr(net.populations[0], name)
    p = net.projections[0]
    for name in ("source", "target", "weight", "delay", "synapse", "wiring", "index", "size"):
        assert hasattr(p, name)
    sources, targets = p.edges()
    assert sources.dtype == targets.dtype == torch.int64 and bool((targets.diff() >= 0).all())
    assert p.matrix().shape == (p.target.size, p.source.size)  # [target, source]
    assert net.projections[1].delay == 1.0 and rv.Network(seed=0).add(rv.LIF(), 1).initial is not None


def test_simulate_has_the_signature_of_the_contract():
    promised = ast.parse(BLOCKS[1].split("->")[0].replace("simulate", "def simulate") + ": ...").body[0]
    assert isinstance(promised, ast.FunctionDef)
    real = inspect.signature(rv.simulate).parameters
    assert [a.arg for a in (*promised.args.args, *promised.args.kwonlyargs)] == list(real)
    for a, default in zip(promised.args.kwonlyargs, promised.args.kw_defaults, strict=True):
        assert default is not None and eval(ast.unparse(default), {"torch": torch}) == real[a.arg].default


def test_a_recording_is_asked_for_as_the_contract_says():
    net, names = described(), {"rv": rv}
    line = BLOCKS[1].split("-> Recording\n")[1].replace("exc or indices", "exc")
    line = line.replace("projection or background", "p")
    exec(line, names | {"exc": net.populations[0], "p": net.projections[0]}, names)
    recording = rv.simulate(net, 20.0, **{"record": names["record"][1]})
    assert recording.states["V"].values.shape == (20, 80)


@pytest.mark.parametrize("kind", [rv.Recording, rv.Prediction])
def test_both_answer_the_same_questions(kind):
    listed = TEXT.split("Both answer, as float64 torch tensors: ")[1].split("Each takes")[0]
    requested = re.findall(r"`(\w+)\(", listed)
    assert requested == ["rates", "cv", "covariance", "correlation", "cross_correlation", "spectrum"]
    for name in requested:
        assert "neurons" in inspect.signature(getattr(kind, name)).parameters


def test_the_table_of_synapses_names_their_parameters():
    rows = re.findall(r"^\| `(\w+\([^`]*\))`(?:, `(\w+\([^`]*\))`)? \|", TEXT.split("## Noise")[0], re.M)
    calls = [ast.parse(call).body[0].value for row in rows for call in row if call]  # type: ignore[attr-defined]
    assert len(calls) == 8
    for call in calls:
        real = inspect.signature(getattr(rv, call.func.id)).parameters
        inputs = [*(a.id for a in call.args), *(k.arg for k in call.keywords)]
        assert set(inputs) <= set(real) and {p.kind.name for p in real.values()} <= {"KEYWORD_ONLY"}, call.func.id
        for k in call.keywords:
            assert real[k.arg].default == ast.literal_eval(k.value)


@pytest.mark.parametrize("name", ["Experiment", "Claim"])
def test_records_have_the_fields_of_the_table(name):
    from ranvier import atlas

    row = re.search(rf"^\| `{name}` \| frozen: (.*) \|$", TEXT, re.M)
    assert row
    fields = set(re.findall(r"\w+", re.sub(r"\(.*?\)|-> dict of metrics|of the tolerance", "", row[1])))
    kind = getattr(atlas, name)
    assert fields <= {f.name for f in dataclasses.fields(kind)} and kind.__dataclass_params__.frozen
