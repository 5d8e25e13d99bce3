"""Words in a page's figures can be read: no mathematics in raw form, though the report draws names as they are."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import ranvier as rv
from ranvier.report import compare, page


@pytest.fixture
def words(monkeypatch):
    """The words of every figure that is saved."""
    drawn_words = []
    save = Figure.savefig

    def saved(figure, *args, **options):
        save(figure, *args, **options)
        drawn_words.extend(text.get_text() for text in figure.findobj(Text) if text.get_visible())

    monkeypatch.setattr(Figure, "savefig", saved)
    return drawn_words


@pytest.mark.parametrize("graded", [True, False])
def test_ticks_of_logarithmic_axes_are_numbers(words, graded):
    net = rv.Network(seed=1)
    if graded:
        cells = net.add(rv.Graded(tau_m=50.0), 6, noise=5.0)
        net.connect(cells, cells, weight=0.5, probability=0.5, synapse=rv.Sigmoidal())
        run = rv.simulate(net, 20_000.0, dt=1.0, record=[rv.Probe("V", interval=5.0)])
    else:
        cells = net.add(rv.LIF(), 6, drive=15.0, noise=5.0)
        net.connect(cells, cells, weight=0.5, probability=0.5, synapse=rv.Delta())
        run = rv.simulate(net, 4000.0)
    page(net, run, title="A", sections=[compare(run, rv.predict(net)).section()])
    assert len(words) > 50
    assert not [text for text in words if "$" in text or "\\" in text]
    powers = [text for text in words if text.startswith("10⁻")]
    assert bool(powers) == graded and all(np.isin(list(p[2:]), list("⁻⁰¹²³⁴⁵⁶⁷⁸⁹")).all() for p in powers)
