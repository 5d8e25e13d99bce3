"""Pages under their content-security policy: names that attack stay text, and nothing is run, fetched or violated."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

import ranvier

pytestmark = pytest.mark.browser

HOSTILE = [
    "<script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "</style><style>body{display:none}</style>",
    "\"><svg/onload=document.title='broken'>",
    "{{ 7*7 }}{% raw %}",
    "$\\frac{broken",
    "javascript:document.title='broken'",
    "bell\x07 nul\x00 escape\x1b[31m \u202eturned",
    "&lt;b&gt;&#x3c;script&#x3e;",
    "\U0001f9e0 brain \u795e\u7d4c",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory, request):
    from ranvier.networks import Network
    from ranvier.neurons import EIF
    from ranvier.report import write
    from tests.report import synthetic

    size = len(HOSTILE)
    net = Network()
    cells = net.add(EIF(), size, name="cells")
    object.__setattr__(cells, "names", tuple(HOSTILE))  # as a file may have them, whatever a reader refuses
    object.__setattr__(cells, "classes", tuple(HOSTILE[(n + 1) // 2 % size] for n in range(size)))
    path = tmp_path_factory.mktemp("report") / "hostile.html"
    return write(
        path, net, synthetic.recording(net, seconds=20.0), title=HOSTILE[0], summary=HOSTILE[1], notes=HOSTILE,
        assumptions=HOSTILE, citations=HOSTILE, glossary=HOSTILE[2], manifest={name: name for name in HOSTILE},
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory, request):
    from ranvier.atlas import run
    from ranvier.atlas.site import build
    from tests.atlas.demo_experiment import DEMO

    folder = tmp_path_factory.mktemp("site")
    claims = tuple(replace(claim, text=name, source=name, origin=name) for claim, name in zip(DEMO.claims, HOSTILE))
    hostile = replace(DEMO, title=HOSTILE[0], paper=HOSTILE[1], summary=HOSTILE[3], claims=claims)
    list(run([hostile], folder / "results"))
    return build([hostile], folder / "results", folder / "site")


def policy_of(text: str) -> dict[str, str]:
    (content,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    content = content.replace("&#39;", "'")
    return {name: value for name, _, value in (part.strip().partition(" ") for part in content.split(";"))}


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("which", ["report", "index", "demo"])
def test_the_policy_names_what_the_page_holds(which, request):
    path = request.getfixturevalue("report") if which == "report" else request.getfixturevalue("site")
    text = path.with_name(f"{which}.html" if which != "report" else path.name).read_text("utf-8")
    policy = policy_of(text)
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["style-src"] == " ".join(digest(style) for style in re.findall(r"<style>(.*?)</style>", text, re.S))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert policy["script-src"] == (" ".join(map(digest, scripts)) or "'none'") and len(scripts) == (which != "demo")
    assert policy["img-src"] == ("data:" if which == "report" else "'self' file: data:")
    assert text.index("Content-Security-Policy") < text.index("<style") < text.index("<body")
    assert not re.search(r"<[^>]+\s(on\w+|style)=", text) and "\x00" not in text and "\x1b" not in text


@pytest.fixture
def watched(page):
    """A page that notes violations of its policy besides the console's errors."""
    page.add_init_script(
        "window.violations = []; document.addEventListener('securitypolicyviolation', "
        "(e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI))"
    )
    return page


def intact(page) -> None:
    assert page.evaluate("window.violations") == []
    assert "broken" not in page.title().replace(HOSTILE[0], "")
    assert page.locator("script:not([type])").count() <= 1 and page.locator("style").count() == 1


def test_hostile_names_are_text_in_a_report(watched, report):
    watched.goto(report.as_uri())
    intact(watched)
    assert watched.get_by_role("heading", level=1).inner_text() == HOSTILE[0]
    shown = watched.locator("body").inner_text()
    for name in HOSTILE[:7]:
        assert name in shown
    assert "bell\\x07 nul\\x00 escape\\x1b[31m \\u202eturned" in shown
    assert watched.locator("img[src='x']").count() == 0
    widths = watched.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 5 and min(widths) > 100


def test_hostile_names_are_text_in_the_atlas(watched, site):
    watched.goto(site.as_uri())
    intact(watched)
    watched.get_by_role("searchbox").fill("document")
    watched.get_by_role("searchbox").press("Enter")
    assert watched.locator("#systems li:visible").count() == 1 and "?" not in watched.url
    watched.locator("#systems a").first.click()
    intact(watched)
    assert watched.get_by_role("heading", level=1).inner_text() == HOSTILE[0]
    assert watched.locator("figure img").evaluate("image => image.naturalWidth") > 100


@pytest.mark.parametrize("which", ["report", "site"])
def test_a_planted_script_is_stopped_by_the_policy(chromium, which, request, tmp_path):
    """The policy works where escaping would fail: a script and a style written into the file do nothing."""
    text = request.getfixturevalue(which).read_text("utf-8")
    planted = "<script>document.title='broken'</script><style>body{color:rgb(1, 2, 3)}</style>"
    (tmp_path / "planted.html").write_text(text.replace("<main>", f"{planted}<main>"), "utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "planted.html").as_uri())
    assert page.title() != "broken"
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(1, 2, 3)"
    page.close()


CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


@pytest.mark.parametrize("which", ["report", "site", "demo"])
@pytest.mark.parametrize("scheme, width", [("dark", 340), ("dark", 1100), ("light", 1100)])
def test_pages_are_readable(chromium, which, scheme, width, request, tmp_path):
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    path = request.getfixturevalue("report" if which == "report" else "site")
    page.goto((path.with_name("demo.html") if which == "demo" else path).as_uri())
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", paper))) < 40 if scheme == "dark" else paper == "rgb(255, 255, 255)"
    measured = page.evaluate(CONTRAST)
    assert measured["count"] > 20 and measured["faint"] == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.screenshot(path=tmp_path / "page.png", full_page=True).startswith(b"\x89PNG")
    context.close()


def test_a_faint_text_is_noticed(page):
    page.set_content("<p style='color: #777'>faint</p><p style='color: #767676'>readable</p>")
    assert [text for _, text in page.evaluate(CONTRAST)["faint"].values()] == ["faint"]


@pytest.mark.parametrize("sheet", ["report/templates/report.css", "atlas/site/templates/atlas.css"])
def test_colours_of_marks_stand_out_from_the_page(page, sheet):
    """What figures are drawn in, and verdicts: as text would, though marks need 3."""
    text = (Path(ranvier.__file__).parent / sheet).read_text("utf-8")
    for scheme in re.findall(r":root \{(.*?)\}", text, re.S):
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        paper = colours["paper"]
        names = sorted(set(colours) - {"paper", "wash", "line"})
        lines = [f"<p style='color: {colours[name]}'>{name}</p>" for name in names]
        page.set_content(f"<body style='background: {paper}'>{''.join(lines)}")
        assert page.evaluate(CONTRAST) == {"count": len(names), "faint": {}}
