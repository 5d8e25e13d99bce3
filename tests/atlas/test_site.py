"""The site says what the results say, escapes what it is given and needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

import ranvier
from ranvier.atlas import run
from ranvier.atlas.site import build
from ranvier.atlas.site._build import figures, year


@pytest.fixture
def site(demo, tmp_path):
    list(run([demo], tmp_path / "results"))
    return build(
        [demo, replace(demo, name="later", title="Not run")], tmp_path / "results", tmp_path / "site"
    ).parent


def test_index_counts_verdicts(site):
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", "", (site / "index.html").read_text(encoding="utf-8")))
    assert "2 systems" in text
    assert "3 reproduced 0 ours 1 refuted 6 untested" in text
    assert "A Poisson process &amp; its counts" in text


def test_values_of_our_own_are_shown_and_counted_apart(demo, tmp_path):
    claims = (replace(demo.claims[0], ours=True), replace(demo.claims[4], only="full size"))
    entry = replace(demo, claims=claims, pictures={})
    list(run([entry], tmp_path / "results"))
    site = build([entry], tmp_path / "results", tmp_path / "site").parent
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", "", (site / "index.html").read_text("utf-8")))
    assert "0 reproduced 1 ours 0 refuted 1 untested" in text
    page = re.sub(r"\s+", " ", (site / "demo.html").read_text("utf-8"))
    assert "The expected value is ours, from earlier runs." in page
    assert "The tests do not measure this claim: it takes full size." in page


def test_a_page_says_when_by_which_version_and_on_which_processor(demo, tmp_path):
    list(run([demo], tmp_path / "results"))
    path = tmp_path / "results" / "demo" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    assert manifest["processor"] and manifest["ranvier"] == ranvier.__version__
    path.write_text(json.dumps(manifest | {"written": "2031-05-06T07:08:09", "processor": "Abacus 9 <&>"}), "utf-8")
    page = (build([demo], tmp_path / "results", tmp_path / "site").parent / "demo.html").read_text("utf-8")
    words = f"Last run on 2031-05-06 by Ranvier {ranvier.__version__} on Abacus 9 &lt;&amp;&gt;"
    assert words in re.sub(r"\s+", " ", page)


def test_system_page_shows_both_values(site):
    page = (site / "demo.html").read_text(encoding="utf-8")
    assert page.count("fails, as it must") == 4
    assert "≥ 1" in page and "≤ 50" in page and "four standard errors" in page
    assert "Spike counts in windows of 1 s &lt;b&gt;" in page
    assert "https://doi.org/10.0000/demo" in page
    assert "&#34;seed&#34;: 0" in page


def test_everything_is_local(site):
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        targets = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert targets
        for target in targets:
            assert (site / target).is_file(), target
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
        assert not re.search(r"url\(|@import|https?:", style)


def test_timeline_links_year_source_and_code(demo, tmp_path):
    older = replace(demo, name="older", paper="G. W. Leibniz (1676), memoir; J. Child (1920).")
    undated = replace(demo, name="undated", paper="no year <i>at all</i>")
    site = build([undated, demo, older], tmp_path / "results", tmp_path / "site").parent
    rows = re.findall(r"<tr>\s*<td>(.*?)</td>\s*<td><a href=\"(.*?)\"", (site / "timeline.html").read_text("utf-8"))
    assert [name for _, name in rows] == ["older.html", "demo.html", "undated.html"]
    assert rows[0][0] == "1676" and rows[2][0] == "–"
    page = (site / "timeline.html").read_text("utf-8")
    assert "no year &lt;i&gt;" in page and "Leibniz (1676), memoir" in page
    for code in re.findall(r'href="(code/[^"]+)"', page):
        assert "def measure" in (site / code).read_text("utf-8")
    assert page.count('href="code/') == 3
    assert 'href="timeline.html"' in (site / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("paper", "expected"),
    [
        ("F. Rosenblatt (1958). Psychol. Rev.; A. Novikoff (1962)", 1958),
        ("arXiv 2401.05342", None), ("(12345)", None),
        ("", None), ("K. Fukushima (1979). (1980)", 1979),
    ],
)  # fmt: skip
def test_years(paper, expected):
    assert year(paper) == expected


def test_a_system_not_run_is_untested(site):
    page = (site / "later.html").read_text(encoding="utf-8")
    assert page.count('<article class="claim untested">') == 5
    assert "Not run yet" in page


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pictures", 0, "file"), "../../secret.txt"), (("pictures", 0, "file"), "/etc/passwd"),
        (("pictures", 0, "file"), "1.svg\n"), (("pictures", 0), "1.svg"), (("pictures",), None), (("claims",), {}),
        (("claims", 0, "verdict"), "true"), (("claims", 0, "measured"), {"a": 1}), (("claims", 0, "text"), None),
        (("claims", 0), {}), (("seed",), "<b>"), (("seconds",), [1]), (("size",), "large"),
    ],
)  # fmt: skip
def test_a_result_of_somebody_elses_leads_nowhere(demo, tmp_path, path, value):
    """A picture's name is one of ours, and all that is shown is of its kind; nothing is written otherwise."""
    (tmp_path / "secret.txt").write_text("secret")
    list(run([demo], tmp_path / "results"))
    file = tmp_path / "results" / "demo" / "result.json"
    result = json.loads(file.read_text())
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"result\.json.*expected|result\.json.*Known"):
        build([demo], tmp_path / "results", tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-1.23456, "−1.235"), (23, "23"), ("not finite", "not finite")],
)
def test_figures(value, text):
    assert figures(value) == text
