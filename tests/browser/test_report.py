"""The report in a browser: read, clicked and photographed, on wide and small screens."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["spiking", "graded"])
def report(request, tmp_path_factory):
    from ranvier.report import write
    from tests.report import synthetic

    if request.param == "spiking":
        net = synthetic.network()
        recording = net, synthetic.recording(net, seconds=20.0)
    else:
        recording = synthetic.graded(seconds=10.0)
    path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    return write(path, *recording, title="A network", manifest={"seed": 7})


def test_pictures_links_and_manifest(page, report, tmp_path):
    page.goto(report.as_uri())
    widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 6 and min(widths) > 150
    page.get_by_role("link", name="Strongest pairs").click()
    assert page.evaluate("location.hash") == "#s4"
    assert not page.get_by_text('"seed": 7').is_visible()
    page.get_by_text("Manifest").click()
    assert page.get_by_text('"seed": 7').is_visible()
    assert page.screenshot(path=tmp_path / "report.png", full_page=True).startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [340, 800, 1600])
def test_no_sideways_scrolling(page, report, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
