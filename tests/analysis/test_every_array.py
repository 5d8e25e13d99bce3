"""Functions of arrays, found by themselves, answer or refuse in words of our own, whatever the arrays hold."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

from ranvier import analysis

RNG = np.random.default_rng(0)
CONTENTS = {
    "zeros": np.zeros,
    "constant": lambda shape: np.full(shape, 3.7),
    "NaN": lambda shape: np.full(shape, np.nan),
    "infinite": lambda shape: np.full(shape, np.inf),
    "large": lambda shape: RNG.normal(size=shape) * 1e300,
    "complex": lambda shape: RNG.normal(size=shape) + 1j,
    "text": lambda shape: np.full(shape, "a"),
}
SHAPES = [(0,), (1,), (5,), (0, 3), (1, 3), (5, 1), (5, 3), (2, 5, 3)]


def functions_of_arrays():
    """Those whose required arguments are all arrays."""
    result = {}
    for info in pkgutil.walk_packages(analysis.__path__, "ranvier.analysis."):
        if "._" in info.name or ".spikes" in info.name:
            continue
        module = importlib.import_module(info.name)
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isfunction(function):
                continue
            required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            if required and {str(p.annotation) for p in required} <= {"ArrayLike", "np.ndarray"}:
                result[name] = (function, len(required))
    return result


FUNCTIONS = functions_of_arrays()


def test_they_are_found():
    assert len(FUNCTIONS) > 20


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.filterwarnings("ignore:.*expected at least:UserWarning")
@pytest.mark.filterwarnings("ignore:.*trials a stimulus:UserWarning")
def test_arrays_of_every_content(name):
    """Warnings are errors in this suite: NumPy's own words are none of ours."""
    function, count = FUNCTIONS[name]
    for content, make in CONTENTS.items():
        for shape in SHAPES:
            try:
                function(*(make(shape) for _ in range(count)))
            except (ValueError, TypeError) as error:
                assert "expected" in str(error), (content, shape, str(error))


def test_arrays_where_results_of_other_functions_are_due_are_refused_by_name():
    from ranvier.analysis import decoding, filaments

    calls = {
        "Spikes": [
            lambda x: analysis.counts(x, 10.0), lambda x: analysis.covariance(x, 10.0), analysis.rates, analysis.cv,
            lambda x: analysis.correlation(x, 10.0), lambda x: analysis.fano(x, 10.0),
            lambda x: analysis.population_rate(x, 10.0), lambda x: analysis.spectrum(x, [1.0]),
            lambda x: analysis.cross_correlation(x, [0.0]),
        ],
        "TuningCurves": [
            lambda x: decoding.bayesian.posterior(x, x, 10.0), lambda x: decoding.bayesian.bayesian_decode(x, x, 10.0),
        ],
        "Overlaps": [filaments.match],
    }  # fmt: skip
    for expected, functions in calls.items():
        for function in functions:
            with pytest.raises(TypeError, match=f"is ndarray; expected {expected}: "):
                function(np.ones((20, 4)))
