"""The atlas's site in a browser: searched, filtered, clicked through and photographed."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory, request):
    from ranvier.atlas import run
    from ranvier.atlas.site import build
    from tests.atlas.demo_experiment import DEMO

    folder = tmp_path_factory.mktemp("atlas")
    list(run([DEMO], folder / "results"))
    chosen = [DEMO, replace(DEMO, name="later", title="Never run", paper="Nobody (2000).")]
    return build(chosen, folder / "results", folder / "site")


def test_search_filter_and_click(page, site, tmp_path):
    page.goto(site.as_uri())
    systems = page.locator("#systems li:visible")
    assert systems.count() == 2
    page.get_by_role("searchbox").fill("poisson 1837")
    assert systems.count() == 1
    page.get_by_role("searchbox").fill("zebra")
    assert systems.count() == 0 and page.get_by_text("No system matches.").is_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="refuted").click()
    assert systems.count() == 1
    page.get_by_role("button", name="all").click()
    assert systems.count() == 2
    page.get_by_role("link", name="A Poisson process").click()
    assert page.get_by_role("heading", level=1).inner_text() == "A Poisson process & its counts"
    assert page.locator("article.claim").count() == 5
    assert page.locator("figure img").evaluate("image => image.naturalWidth") > 100
    page.get_by_text("Manifest").click()
    assert page.get_by_text('"ranvier":').is_visible()
    assert page.screenshot(path=tmp_path / "system.png", full_page=True).startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_no_sideways_scrolling(page, site, width):
    page.set_viewport_size({"width": width, "height": 800})
    for name in ("index.html", "demo.html"):
        page.goto((site.parent / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
