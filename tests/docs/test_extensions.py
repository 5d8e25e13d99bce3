"""The documentation's build: docstrings, equations, and the checks of built pages, each with what it must notice."""

from pathlib import Path

import pytest
from docs._extensions import docstrings, mathml

pytest.importorskip("bs4")
from docs._extensions import checks

DOCSTRING = """A neuron with `tau` and x* (Smith et al.).

    v = a*b   indented

Parameters
----------
tau : ms, of the membrane
size
    how many, a_ or |b|

Examples
--------
>>> 1 + 1
2
""".splitlines()


def test_a_docstring_keeps_its_parts():
    text = "\n".join(docstrings.convert(DOCSTRING, lambda name: {"tau": "a.tau"}.get(name, "")))
    assert text.startswith("A neuron with :py:obj:`tau <a.tau>` and x\\* (Smith et al.).")
    assert ".. code-block:: text\n\n   v = a*b   indented" in text  # an equation is no markup
    assert "``tau``\n   ms, of the membrane" in text and "``size``\n   how many, a\\_ or \\|b\\|" in text
    assert ".. rubric:: Examples\n\n.. code-block:: pycon\n\n   >>> 1 + 1\n   2" in text
    assert "Parameters" not in "\n".join(docstrings.convert(DOCSTRING, leave_out=("Parameters",)))


def test_an_equation_becomes_mathml():
    tex = mathml.upright(r"\dot{V} &= \frac{E_{L} + noise}{\tau_{m}} \\ V > V_{th} &: V \to V_{reset}")
    assert tex.count(r"\mathrm{") == 3 and r"E_{L}" in tex
    block = mathml.display(tex)
    assert block.startswith("<math") and block.count("<mtr>") == 2 and "<mi>reset</mi>" in block


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="other.html#there">x</a>', ""),
        ('<a href="https://example.org/">x</a>', ""),
        ('<a href="none.html">x</a>', "leads to no file"),
        ('<a href="other.html#nowhere">x</a>', "leads to no place"),
        ('<img src="a.png" alt="A raster of spikes">', ""),
        ('<img src="a.png" alt="">', "expected what it shows"),
        ('<img src="a.png">', "expected what it shows"),
        ('<script src="https://cdn.example.org/x.js"></script>', "it fetches"),
    ],
)
def test_a_wrong_page_is_noticed(body: str, problem: str, tmp_path: Path):
    (tmp_path / "other.html").write_text('<p id="there">x</p>')
    page = tmp_path / "page.html"
    page.write_text(f"<html><body>{body}</body></html>")
    wrong = checks.complaints(page)
    assert (len(wrong) == 1 and problem in wrong[0]) if problem else not wrong
    assert checks.main(tmp_path) == int(bool(problem))
