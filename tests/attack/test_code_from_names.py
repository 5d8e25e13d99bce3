"""No name and no text from a file runs: payloads that would create a file, in every place that a file has."""

import dataclasses
import json
import os

import pytest

import ranvier as rv
from ranvier._names import identifier
from ranvier.codegen.kernel_text import require_kernel
from ranvier.equations import Equations, parse, symbol
from ranvier.equations.printing import torch_function
from ranvier.networks import read_network, write_network
from ranvier.rules import Rule, Trace
from ranvier.rules._law import Eligibility
from tests.attack.payloads import leaves, payloads, replaced


class Neuron(rv.Neuron):
    equations = Equations("dV/dt = (drive + I - w + a)/tau_m : mV\na = 2*V\ndw/dt = -w/tau_w",
                          threshold="V >= V_th", reset="V = V_reset; w = w + b", refractory="t_ref")  # fmt: skip
    initial = {"V": "V_reset", "w": 0.5}
    tau_m: float = 10.0
    tau_w: float = 20.0
    V_th: float = 1.0
    V_reset: float = 0.0
    t_ref: float = 1.0
    b: float = 0.1


class Synapse(rv.Synapse):
    equations = Equations("ds/dt = -s/tau : mV")
    jumps = {"s": "1/tau"}
    current = "2*s"
    tau: float = 50.0


class Own(Rule):
    traces = (Trace("x", "pre", "tau"), Trace("y", "post", "tau", nearest=True))
    eligibilities = (Eligibility("e", "tau", on_post="x"),)
    on_post = "A*x"
    drift = "A*e"
    tau: float = 12.0
    A: float = 0.1


def network():
    net = rv.Network(seed=3)
    a = net.add(Neuron(), 3, "a", names=["p", "q", "r"], classes=["k", "k", "l"], initial={"V": rv.Uniform(-1.0, 0.0)})
    b = net.add(rv.LIF(), 2, "b", drive=rv.TimeSeries([1.0, 2.0], 1.0), noise=[1.0, 2.0])
    net.connect(a, b, weight=1.0, in_degree=2, synapse=Synapse(), plasticity=Own())
    net.connect(b, a, weight=[1.0, 2.0], edges=([0, 1], [2, 0]), synapse=rv.Exponential(tau=2.0))
    net.connect(b, b, weight=1.0, in_degree=1, plasticity=rv.rules.STDP())
    net.background(a, rate=1.0, weight=0.1)
    return net


def use(net):
    """What makes code of a network: the printed function, the compiled one is made of the same text."""
    for population in net.populations:
        if (equations := getattr(population.neuron, "equations", None)) is not None:
            equations.torch()
            equations.latex()
        repr(population.neuron)
    for projection in net.projections:
        repr(projection.synapse)
        if projection.plasticity is not None:
            assert projection.plasticity.law
    net._repr_html_()


def test_the_first_payload_is_live(tmp_path):
    """It ran: as a field's name, which `dataclass` compiles. Without this the tests below would show nothing."""
    canary = tmp_path / "ran"
    fields = {"__annotations__": {"V": float, payloads(canary)[0]: float}}
    with pytest.raises(TypeError):
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(type("A", (), fields))(V=1.0)
    assert canary.exists()


def test_no_place_in_a_networks_file_runs(tmp_path):
    """Every key and every value of network.json, replaced by every payload."""
    folder, canary = write_network(network(), tmp_path / "net"), tmp_path / "ran"
    file = folder / "network.json"
    value = json.loads(file.read_text())
    places = list(leaves(value))
    assert len(places) > 150
    texts = payloads(canary)
    accepted = []
    for k, (path, key) in enumerate(places):
        # the first, which is known to run, everywhere; of the others three each, in turn
        for text in {texts[0], *texts[1 + k % 9 :: 9]}:
            file.write_text(json.dumps(replaced(value, path, text, key)))
            try:
                net = read_network(folder)
            except (ValueError, FileNotFoundError) as error:
                assert len(str(error)) > 20
            else:
                use(net)
                accepted += [] if key else [path]
            assert not canary.exists(), f"{text!r} ran at {path}"
    # plain text stays where the value is one that is only shown, or a switch that any text turns on
    odd = {p for p in accepted if not {"name", "names", "classes", "weight_unit", "gradient"} & set(p)}
    assert not odd


@pytest.mark.parametrize("way", ["parameter", "state", "helper", "noise", "refractory", "trace", "eligibility", "jump"])
def test_names_reach_no_code(tmp_path, way):
    canary = tmp_path / "ran"
    for text in payloads(canary):
        with pytest.raises((ValueError, TypeError)):
            match way:
                case "parameter":
                    torch_function({"x": symbol(text)})
                case "state":
                    Equations(f"d{text}/dt = 1/tau")
                case "helper":
                    Equations(f"dV/dt = 1/tau\n{text} = 2")
                case "noise":
                    Equations(f"dV/dt = 1/tau + xi_{text.replace(':', '')}!")
                case "refractory":
                    Equations("dV/dt = 1/tau", refractory=text)
                case "trace":
                    space = {"traces": (Trace(text, "pre", "tau"),), "tau": 1.0, "__annotations__": {"tau": float}}
                    type("R", (Rule,), space)()
                case "eligibility":
                    space = {"eligibilities": (Eligibility(text, "tau"),), "drift": "1", "tau": 1.0,
                             "__annotations__": {"tau": float}}  # fmt: skip
                    type("R", (Rule,), space)()
                case "jump":
                    type("S", (rv.Synapse,), {"jumps": {text: "1"}})
        assert not canary.exists(), text


@pytest.mark.parametrize("base", [rv.Neuron, rv.Synapse, Rule])
def test_models_are_made_without_code_from_text(tmp_path, base, monkeypatch):
    """Nothing is compiled when a model's class and its objects are made: `exec` and `eval` are not called."""
    import builtins

    called = []
    monkeypatch.setattr(builtins, "exec", lambda *a: called.append(a))
    monkeypatch.setattr(builtins, "eval", lambda *a: called.append(a))
    space = {"__annotations__": {"tau": float}, "tau": 3.0}
    if base is rv.Neuron:
        space["equations"] = Equations("dV/dt = -V/tau")
    model = type("Model", (base,), space)
    repr(model(tau=4.0)), model(tau=4.0) == model(tau=4.0), hash(model(tau=4.0))
    dataclasses.replace(model(tau=4.0), tau=5.0)
    assert not called and model(tau=4.0).tau == 4.0 and model().tau == 3.0
    for text in payloads(tmp_path / "ran"):
        with pytest.raises((ValueError, TypeError)):
            type("Model", (base,), {**space, "__annotations__": {"tau": float, text: float}})
        with pytest.raises(TypeError, match="no parameter"):
            model(**{text: 1.0})
    assert not (tmp_path / "ran").exists() and not called


@pytest.mark.parametrize(
    "text",
    ["().__class__", "a.b", "a[0]", "f'{a}'", "(a:=1)", "lambda: 0", "[a for a in b]", "*a", "a if b",
     "print(1)", "a()", "exp(x, __import__)", "__import__('os')", "exp.__class__", "'a'", "b'a'", "...", "True", "1j",
     "a @ b", "~a", "not a", "await a", "yield", "a == b", "a in b", "a, b", "{a}", "{a: b}", "a; b", "a\nb", "é",
     "9**9**9", "exp(exp(exp(9)))",
     "1/(exp(exp(exp(20)))-exp(exp(exp(20))+1))", "1e999", "(" * 5000 + "a" + ")" * 5000, "-" * 50_000 + "a"],
)  # fmt: skip
def test_expressions_are_arithmetic_and_end(text):
    with pytest.raises(ValueError, match=r"found|expected|nested|unknown|too"):
        parse(text)


def test_helpers_that_double_at_every_use_are_refused_before_they_grow():
    lines = ["dV/dt = a0", *(f"a{i} = exp(a{i + 1})*sin(a{i + 1})" for i in range(60)), "a60 = V"]
    with pytest.raises(ValueError, match="more than 5000 terms"):
        Equations("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    ["import os", "from os import system", "kernel = __import__('os')", "def kernel(x):\n    exec('1')", "print(1)",
     "def kernel(x):\n    return x.__class__", "from . import a", "while True:\n    pass",
     "def kernel(x):\n    open('a')"],
)  # fmt: skip
def test_a_kernels_text_holds_arithmetic_alone(text):
    with pytest.raises(ValueError, match="kernel's text"):
        require_kernel(text)


@pytest.mark.parametrize("name", ["V", "tau_m", "x1", "A_plus", "Delta_T"])
def test_ordinary_names_are_let_through(name):
    assert identifier(name) == name


def test_a_text_that_shows_another_is_no_name():
    class Two(str):
        def __repr__(self):
            return "x'); __import__('os'); ('"

    with pytest.raises(ValueError, match="expected a name"):
        identifier(Two("V"))
    assert os.name
