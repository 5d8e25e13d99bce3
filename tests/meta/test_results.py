"""Every result that a public function returns is shown in notebooks; those with rows are tables of pandas."""

import dataclasses
import inspect
import math
import re
import sys
from types import ModuleType

import numpy as np
import pandas
import pytest
import torch

import ranvier as rv
from ranvier._results import Columns, Fields, in_brief
from ranvier.engines.recording.weights import WeightTrace
from ranvier.nn.counting.counts import Counts
from ranvier.nn.counting.operations import Operations
from tests.laws.discovery import import_all, subclasses

HOSTILE = "<script>alert(1)</script>"

#: what public functions return that is no result: what a user describes, builds or goes on with
NO_RESULTS = {
    "CableBranch", "CablePopulations", "Morphology", "Library", "System", "Clamp", "StoredState", "Weights",
    "Parameter", "Edit", "UnitLayer", "MLP", "DynamicLens", "TimeSeries", "Population", "Background", "NCP",
    "Experiment", "Trace", "TripletSTDP", "Section", "Measured", "DataTable", "Value", "ComputationGraph",
    "NetworkUnderTest", "Property", "HebbianMemory", "SequenceState",
}  # fmt: skip


def public_objects():
    import_all()
    modules, public = [rv], {}
    for module in modules:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if isinstance(value, ModuleType) and value.__name__.startswith("ranvier") and value not in modules:
                modules.append(value)
            elif getattr(value, "__module__", "").startswith("ranvier."):
                public[id(value)] = value
    return list(public.values())


def returned_classes():
    """Classes of the package in the return annotations of public functions and methods; tuples and modules are shown
    as such."""
    functions, known, public = [], {}, public_objects()
    for module in [m for name, m in sys.modules.items() if name.startswith("ranvier") and m]:
        known.update({c.__name__: c for c in vars(module).values()
                      if inspect.isclass(c) and c.__module__.startswith("ranvier.")})  # fmt: skip
    for value in public:
        if inspect.isclass(value):
            members = [m.fget if isinstance(m, property) else getattr(m, "__func__", m)
                       for name, m in vars(value).items() if not name.startswith("_")]  # fmt: skip
            functions += [m for m in members if inspect.isfunction(m)]
        elif inspect.isfunction(value):
            functions.append(value)
    words = {w for f in functions for w in re.findall(r"\w+", str(inspect.unwrap(f).__annotations__.get("return", "")))}
    return [known[w] for w in sorted(words & known.keys())
            if not issubclass(known[w], tuple | torch.nn.Module) and not inspect.isabstract(known[w])
            and (dataclasses.is_dataclass(known[w]) or not hasattr(known[w], "equations"))]  # fmt: skip


def test_every_result_is_shown_in_notebooks():
    returned = returned_classes()
    assert len(returned) > 60
    bare = {c.__name__ for c in returned if not hasattr(c, "_repr_html_")} - NO_RESULTS
    models = {c.__name__ for c in returned if issubclass(c, rv.Neuron | rv.Synapse | rv.rules.Rule)}
    assert not bare - models, "results without _repr_html_: derive them from ranvier._results.Fields or Columns"


def signal():
    return rv.recordings.Signal([0.0, 10.0], [[1.0, 2.0], [3.0, 4.0]], unit=HOSTILE)


def monitored():
    model = rv.nn.Sequential()
    model.add_module("a", rv.nn.LIF(2, 2))
    with rv.nn.LayerMonitor(model) as monitor:
        model(torch.ones(3, 1, 2))
    return monitor


def swinging():
    net = rv.Network()
    net.add(rv.Poisson(), 2, name=HOSTILE, rate=rv.TimeSeries([5.0, 20.0], 10.0))
    return rv.predict(net)


def populations():
    net = rv.Network()
    net.add(rv.LIF(), 7, name=HOSTILE, drive=12.0, noise=4.0)
    return rv.theory.predict_populations(net)


T, A = torch.tensor, np.array
#: a result, and a column of its table
TABLES = {
    "Branch": lambda: (rv.theory.Branch(T([1.0, 2.0]), T([[3.0], [4.0]]), T([True, False]), []), "rate_0", [3.0, 4.0]),
    "CableRecording": lambda: (
        rv.cables.CableRecording(T([]), T([]), T([]), T([1.0, 2.0]), {"V": T([[[-65.0]], [[-64.0]]])}),
        "V", [-65.0, -64.0],
    ),
    "ConversionLoss": lambda: (rv.nn.ConversionLoss((1, 2), (0.5, 0.75), 1.0, {}, {}), "loss", [0.5, 0.25]),
    "DescentResult": lambda: (
        rv.energies.Descent(rv.energies.Hopfield(T([[0.0, 1.0], [1.0, 0.0]]))).settle(T([[1.0, 1.0]])), "energy", [-1.0]
    ),
    "Epochs": lambda: (rv.recordings.Epochs([0.0], [1.0], {HOSTILE: A([HOSTILE])}), HOSTILE, [HOSTILE]),
    "Evolution": lambda: (rv.theory.Evolution(T([0.1]), T([[5.0]]), T([[0.0]]), T([]), T([])), "rate_0", [5.0]),
    "Followers": lambda: (rv.brains.Followers(A([3.0, 0.0]), A([0]), 0.0), "driven", [True, False]),
    "History": lambda: (rv.learners.History([{HOSTILE: 2.0}, {HOSTILE: 1.0}]), HOSTILE, [2.0, 1.0]),
    "LayerMonitor": lambda: (monitored(), "layer", ["a"]),
    "Neurons": lambda: (rv.recordings.Neurons((HOSTILE, "b")), "name", [HOSTILE, "b"]),
    "Operations": lambda: (Operations([Counts(HOSTILE, 3)]), "synops", [3]),
    "PopulationPrediction": lambda: (populations(), "neurons", [7]),
    "QuantisationLoss": lambda: (
        rv.hardware.QuantisationLoss((2, 4), (0.5, 0.75), 1.0, {HOSTILE: (0.1, 0.01)}), "loss", [0.5, 0.25]
    ),
    "SwimmerEpisode": lambda: (
        rv.bodies.SwimmerEpisode(0.5, A([0.05, 0.0]), np.zeros((2, 2)), np.zeros((2, 3, 2))), "reward", [0.5, 0.0]
    ),
    "WeightTrace": lambda: (WeightTrace(T([1.0, 2.0]), T([4]), T([[0.5], [0.25]])), "4", [0.5, 0.25]),
    "EdgeList": lambda: (rv.EdgeList.build([HOSTILE, "b"], [0], [1], [3.0], delays=[2.0]), "source", [HOSTILE]),
    "Session": lambda: (
        rv.recordings.Session.from_times([5.0, 12.0], [1, 0], duration=20.0, name=HOSTILE), "time", [5.0, 12.0]
    ),
    "Session of activity": lambda: (
        rv.recordings.Session(activity=signal(), neurons=rv.recordings.Neurons(("AVA", ""))), "AVA", [1.0, 3.0]
    ),
    "Signal": lambda: (signal(), "value_1", [2.0, 4.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_hold_the_values(name):
    result, column, expected = TABLES[name]()
    table = result.to_pandas()
    assert isinstance(table, pandas.DataFrame) and table[column].tolist() == pytest.approx(expected)
    html = result._repr_html_()
    assert "<script" not in html and name.split()[0] in html


#: what `rv.plot.overview` draws, beside networks, recordings and their predictions: the words on the first axes
DRAWN = {
    "Branch": ("parameter", "rate (Hz)"), "CableRecording": ("time (ms)", "V (mV)"),
    "ConversionLoss": ("steps", "accuracy"), "Evolution": ("time (ms)", "rate (Hz)"),
    "LayerMonitor": ("call", "spikes a step and neuron"), "PopulationPrediction": ("", "rate (Hz)"),
    "QuantisationLoss": ("bits", "score"), "Session": ("time (ms)", "neuron"), "WeightTrace": ("time (ms)", "weight"),
    "Session of activity": ("time (ms)", "neuron"), "Signal": ("time (ms)", HOSTILE),
    "SwimmerEpisode": ("step", "speed (m/s)"), "History": ("epoch", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_overviews_draw_results(name):
    result = TABLES[name]()[0]
    ax = rv.plot.overview(result, f=[1.0, 10.0]).axes[0]
    assert ax.get_xlabel() == DRAWN[name][0] and ax.get_ylabel().startswith(DRAWN[name][1])
    if hasattr(result, "_curves"):
        drawn = result._curves()
        for line, values in zip(ax.lines, drawn.y.values(), strict=True):
            assert np.allclose(line.get_ydata(), np.asarray(values), equal_nan=True)


def test_overviews_of_results_without_lines_say_so():
    with pytest.raises(ValueError, match="expected them: settle"):
        rv.plot.overview(TABLES["DescentResult"]()[0])
    with pytest.raises(TypeError, match="expected a result with curves"):
        rv.plot.curves(rv.Network())


def test_every_table_has_a_case():
    assert {c.__name__ for c in subclasses(Columns)} == TABLES.keys() - {"EdgeList", "Session", "Session of activity",
                                                                        "Signal"}  # fmt: skip


def test_rates_in_time_have_a_row_a_neuron_and_time():
    prediction = swinging()
    table = prediction.to_pandas([5.0, 15.0])
    assert table.time.tolist() == [5.0, 5.0, 15.0, 15.0] and table.rate.tolist() == [5.0, 5.0, 20.0, 20.0]
    assert table.neuron.tolist() == [0, 1, 0, 1] and set(table.population) == {HOSTILE}
    html = prediction._repr_html_()
    assert "&lt;script&gt;" in html and "<td>12.5</td><td>5</td><td>20</td>" in html


def test_fields_are_shown_by_shape_and_range():
    html = rv.recordings.LeakReport(0.25, math.nan, 3)._repr_html_()
    assert "<td>train</td><td>0.25</td>" in html and "<td>nan</td>" in html
    assert in_brief(T([[1.0, 2.0], [math.inf, 4.0]])) == "2 × 2, 1 to 4"
    assert in_brief(A([True, False])) == "2, 1 true" and in_brief(T([1j])) == "1" and in_brief(()) == "none"
    assert in_brief(list(range(9))) == "0, 1, 2, 3, 4, 5, 6, 7, … (9)"
    assert "&lt;script&gt;" in rv.interpret.Description((HOSTILE,), 1.0)._repr_html_()
    assert issubclass(rv.theory.Stationary, Fields)
