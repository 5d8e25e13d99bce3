"""`ranvier read` as a user types it: the page, and mistakes in one line."""

from __future__ import annotations

import html
import json
import re

import pytest

from ranvier.cli.reads import RECORDED


@pytest.fixture
def call(call, monkeypatch, tmp_path):
    """`call` in a folder without the texts."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return call


@pytest.fixture
def data(tmp_path):
    """Two files of texts in words of the model."""
    for name, words in (("a", range(1, 12)), ("b", range(12, 23))):
        lines = [" ".join(f"w{words[(k * j + k) % 11]}" for j in range(3 + k % 4)) for k in range(12)]
        (tmp_path / f"{name}.txt").write_text("\n\n".join(lines))
    return tmp_path


def plain(page: str) -> str:
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S))


def test_a_page_with_texts_and_languages(folder, data, call):
    assert call("read", "tiny", "--data", f"one={data / 'a.txt'}", "--data", f"two={data / 'b.txt'}") == 0
    page = (data / "empty" / "out" / "tiny" / "report.html").read_text()
    text = plain(page)
    for title in ("Neurons in words", "What drives them", "Neurons of one language", "What was run"):
        assert f"<h2>{title}</h2>" in page
    assert "Of 24 texts" in text and "without those of" in text and "«w" in text
    assert 'src="http' not in page and page.count("data:image/svg") == 2
    manifest = json.loads((data / "empty" / "out" / "tiny" / "manifest.json").read_text())
    assert manifest["texts"] == {"one": 12, "two": 12}
    assert (data / "empty" / "out" / "tiny" / RECORDED).is_file()  # what an interrupted command goes on from


def test_ctrl_c_after_the_recording_says_that_it_goes_on(folder, data, call, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ranvier.interpret.exemplars", interrupted)
    assert call("read", "tiny", "--data", data / "a.txt") == 130
    assert capsys.readouterr().err.endswith("stopped; the same command goes on from here\n")


def test_the_words_are_the_decoded_ones(folder, call, data):
    from ranvier.interpret import feature_neurons, read_model

    assert call("read", folder, "--out", "here") == 0
    decoded = feature_neurons(read_model(folder)[0], "read")
    page = (data / "empty" / "here" / "report.html").read_text()
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    assert len(rows) == 4
    for layer, neuron, reads, _, _ in rows:
        tokens = decoded.tokens[int(layer)][int(neuron), :3].tolist()
        assert reads == " ".join(f"w{token}" for token in tokens)
    assert "Neurons of one language" not in page and "What drives them" not in page


def test_a_second_call_goes_on_from_the_recording(folder, data, call):
    for _ in range(2):
        assert call("read", "tiny", "--data", data / "a.txt", "--texts", 5) == 0
    assert "Of 5 texts" in (data / "empty" / "out" / "tiny" / "report.html").read_text()
    assert call("read", "tiny", "--data", data / "b.txt", "--texts", 5) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "model is 'nothing', but there is no such folder"),
        (("tiny", "--data", "none.txt"), "There is no file none.txt"),
        (("tiny", "--data", "a=../a.txt", "--data", "a=../b.txt"), "the language 'a' appears twice"),
        (("tiny", "--data", "../empty.txt"), "has no text; expected one a line"),
        (("tiny", "--texts", "1"), "Invalid value"),
        (("tiny", "--data", "x=../latin.txt"), "latin.txt"),
    ],
)
def test_mistakes_are_one_line(folder, data, call, capsys, arguments, message):
    (data / "empty.txt").write_text("\n \n")
    (data / "latin.txt").write_bytes(b"caf\xe9\n")
    assert call("read", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len([line for line in error.splitlines() if line.startswith("ranvier:")]) <= 1
    assert "Traceback" not in error
