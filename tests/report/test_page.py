"""The page is whole, self-contained, escaped and light."""

from __future__ import annotations

import base64
import re

import pytest

from ranvier.report import Section, Table, measure, page, write

IMAGE = re.compile(r'src="data:image/(png|svg\+xml);base64,([^"]+)"')


@pytest.fixture(scope="module")
def html(spiking):
    net, recording = spiking
    table = Table(("pair", "predicted", "simulated"), [("a, b", "0.1", "0.2")])
    return page(
        net,
        recording,
        title="Sixty <neurons>",
        summary="Trains with one planted pair.",
        assumptions=["Every neuron is alike <so far>: --gain."],
        citations=["Nobody (2000). Nothing."],
        manifest={"seed": 3},
        facts=lambda level: {"spectral radius": "0.42", "neurons seen": str(len(level))},
        sections=[Section("Predicted beside simulated", ["As the theory says."], [table])],
    )


def test_sections_in_order(html):
    titles = re.findall(r"<h2>([^<]+)</h2>", html)
    assert titles == [
        "Wiring", "Activity", "Correlations", "Strongest pairs", "Neurons", "Pairs", "Rhythms",
        "Predicted beside simulated",
        "In numbers", "Assumptions", "What was run", "How to cite",
    ]  # fmt: skip


def test_every_picture_is_inline_and_whole(html):
    pictures = IMAGE.findall(html)
    assert len(pictures) == html.count("<img ") == 7
    for kind, data in pictures:
        raw = base64.b64decode(data)
        assert raw.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
        assert len(raw) > 3000
    assert len(html) < 2_000_000


def test_nothing_from_elsewhere_and_all_escaped(html):
    bare = IMAGE.sub("", html)
    assert not re.search(r"(src|href)=\"(?!#)", bare)
    assert not re.search(r"https?:|url\(|@import", bare)
    assert bare.count("<script") == bare.count("</script") == 2
    assert "Sixty &lt;neurons&gt;" in bare and "<neurons>" not in bare


def test_it_says_what_was_given_and_measured(html):
    for words in (
        "alike &lt;so far&gt;: <code>--gain</code>.", "Nobody (2000). Nothing.", "&#34;seed&#34;: 3", "0.42",
        "As the theory says.",
        "N0000 left (sensory)", "N0001 left (sensory)", "1 pair stands out",
    ):  # fmt: skip
        assert words in html, words
    assert html.index("N0001 left (sensory)") < html.index("N0000 left (sensory)")  # the leader is first


def test_graded_page_shows_voltages(graded):
    html = page(*graded, title="Worm")
    assert "mean voltage" in html and "Voltages of" in html
    prose = re.sub(r"data:image[^\"]+|<style>.*?</style>|<script.*?</script>", "", html, flags=re.S)
    assert "spike" not in prose and "24 pairs are coupled by gap junctions" in prose
    assert "gap junction, 0.5\u00a0nS" in html


def test_one_class_and_no_standing_pair(tmp_path):
    from ranvier.networks import Network
    from ranvier.neurons import EIF
    from tests.report import synthetic

    net = Network()
    net.add(EIF(), 5, name="alone")
    html = write(tmp_path / "r.html", net, synthetic.recording(net, seconds=3.0), title="Alone").read_text()
    assert "No pair stands out of the sampling error; simulate longer." in html
    assert "5 neurons in 1 class" in html


def test_too_short_a_recording_is_refused(spiking):
    from tests.report import synthetic

    net = spiking[0]
    with pytest.raises(ValueError, match="simulate longer"):
        page(net, synthetic.recording(net, seconds=1.5), title="Short")


def test_a_large_network_is_compared_in_part(spiking):
    html = page(*spiking, title="Many", measured=measure(*spiking, most=30))
    assert "30 of 60 neurons, taken evenly from the classes" in html
    assert "for all 435 pairs of 30 neurons, taken evenly from the classes" in html
    assert ">60<" in html and "60 neurons in 3 classes" in html
