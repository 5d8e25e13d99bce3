"""The page about a recording, from planted head-direction cells to the command line."""

import re

import numpy as np
import pytest

from ranvier.recordings import Neurons, Session, Signal
from ranvier.report._session_measures import binned_activity, decode, loops_of, spectrum_of, strongest_pairs
from ranvier.report.session_page import session_page, write_session_page


@pytest.fixture(scope="module")
def session():
    rng = np.random.default_rng(0)
    angle = np.cumsum(rng.normal(0, 0.25, 1500)) % (2 * np.pi)
    rates = 1 + 40 * np.exp(4 * (np.cos(angle[:, None] - np.arange(16) * np.pi / 8) - 1))
    t = (np.arange(1500) + 0.5) * 100.0
    behaviour = {"angle": Signal(t, angle, "rad", period=2 * np.pi), "noise": Signal(t, rng.standard_normal(1500))}
    return Session.from_counts(rng.poisson(rates * 0.1), bin=100.0, behaviour=behaviour, name="<b>ring</b>",
                               neurons=Neurons([f"cell {k}" for k in range(16)]))  # fmt: skip


def test_what_was_planted_is_measured(session):
    pytest.importorskip("ripser")
    activity = binned_activity(session)
    assert activity.x.shape == (1500, 16) and activity.width == 100.0
    shares, chance, ratio, _, place = spectrum_of(activity)
    assert 2 < ratio < 8 and shares[0] > 2 * chance[0] and place.shape == (1500, 3)
    angle, noise = decode(session, activity)
    assert angle.circular and angle.score.value < 15 < 60 < angle.score.chance and angle.score.p <= 0.05
    assert noise.score.value < 0.02
    assert loops_of(activity)[0] == (1, 1)
    a, b, r = strongest_pairs(session, activity, 1)[0]
    assert abs(int(a[5:]) - int(b[5:])) in (1, 8, 15) and abs(r) > 0.2


def test_the_page_is_whole_and_names_are_text(session, tmp_path):
    html = write_session_page(tmp_path / "page.html", session).read_text("utf-8")
    assert "&lt;b&gt;ring&lt;/b&gt;" in html and "<b>ring" not in html
    for title in ("Activity", "Behaviour", "Dimension", "Manifold", "Decoding", "Strongest pairs"):
        assert f"<h2>{title}</h2>" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    points, hues = (re.search(f'data-{name}="([^"]*)"', html)[1].split() for name in ("points", "hues"))
    assert len(points) == 3 * len(hues) == 4500
    assert max(abs(int(p)) for p in points) <= 1500 and 0 <= min(map(int, hues)) <= max(map(int, hues)) < 360


def test_calcium_with_holes_and_without_behaviour_has_a_page():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 5)).cumsum(0)
    x[:, 1] = np.nan
    x[10:15, 2] = np.nan
    x[:, 3] = 4.0
    html = session_page(Session(activity=Signal(5e8 + np.arange(300) * 500.0, x)))
    assert "rarely measured: 2 neurons." in html and "<h2>Decoding</h2>" not in html


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.ones((300, 3)), "0 neurons change"), (np.random.default_rng(0).random((10, 3)), "at least 20 bins"),
     (np.zeros((1, 1)), "fewer than two samples; expected at least 20 bins")],
)
def test_what_has_no_page_is_named(values, words):
    with pytest.raises(ValueError, match=words):
        session_page(Session(activity=Signal(np.arange(len(values)) * 500.0, values)))


def test_the_command_line_writes_it(call, tmp_path, capsys):
    rng = np.random.default_rng(2)
    np.savez("worm.npz", traces=rng.standard_normal((200, 6)), time_s=np.arange(200) * 0.5, speed=rng.random(200))
    assert call("look", "worm.npz", "--behaviour", "speed") == 0 and (tmp_path / "worm.html").is_file()
    for arguments, words in (
        (["absent.npz"], "There is no file absent.npz"),
        (["worm.npz", "--activity", "trace"], "did you mean 'traces'"),
        (["worm.npz", "--circular", "spead"], "did you mean 'speed'"),
        (["worm.npz", "--counts", "traces", "--bin", "5"], "no counts"),
    ):
        code, error = call("look", *arguments), capsys.readouterr().err
        assert code == 2 and words in error and "Traceback" not in error
