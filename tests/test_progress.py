"""The one progress bar: what a terminal gets, and that it gets nothing unless asked."""

from io import StringIO

from rich.console import Console

import ranvier as rv
from ranvier._progress import Progress, listening, reached


def shown(title, total, act, **options):
    """The last line that a terminal of 100 columns was given."""
    text = StringIO()
    console = Console(file=text, width=100, force_terminal=False)
    with Progress(title, total, console=console, **options) as bar:
        act(bar)
    return text.getvalue().rstrip().splitlines()[-1]


def test_amounts_have_their_total_unit_and_digits():
    assert "simulating" in (line := shown("simulating", 60.0, lambda bar: bar.to(31.25), unit="s", digits=1))
    assert "31.2/60.0 s" in line
    assert "7 examples" in shown("recording", None, lambda bar: (bar.advance(3), bar.advance(4)), unit="examples")


def test_a_stage_begins_where_it_stands_and_says_a_note():
    def act(bar):
        bar.begin("epoch 2 of 3", 10, 4)
        bar.advance(note="loss 0.25")

    line = shown("", 10, act)
    assert "epoch 2 of 3" in line and "5/10" in line and "loss 0.25" in line


def test_brackets_are_no_markup():
    assert "[bold]x[/bold]" in shown("[bold]x[/bold]", 1, lambda bar: bar.to(1))


def test_nothing_is_shown_unless_asked(capsys):
    with Progress("simulating", 10.0, show=False) as bar:
        bar.begin("more", 3)
        bar.to(5.0, "half")
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_a_prediction_says_where_it_is():
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(), 3, drive=10.0, noise=5.0)
    net.connect(cells, cells, weight=2.0, in_degree=1, synapse=rv.Exponential(tau=5.0))
    heard: list[str] = []
    reached("nobody listens")
    with listening(heard.append):
        rv.predict(net).spectrum([1.0, 10.0])
    reached("nobody listens again")
    for part in ("rates, step, 1", "inputs of like rates, step, 1", "frequencies, 0 of 2"):
        assert part in heard
    line = shown("predicting", 2, lambda bar: (bar.advance(), bar.note("rates, step, 3")))
    assert "1/2" in line and "rates, step, 3" in line
