"""The page about a recording in a browser: light, dark, narrow; the manifold turns by keys and by dragging."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 390)])
def test_the_manifold_turns(page, tmp_path, scheme, width):
    from ranvier.recordings import Session, Signal
    from ranvier.report.session_page import write_session_page

    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 8)).cumsum(0)
    path = write_session_page(tmp_path / "page.html", Session(activity=Signal(np.arange(300) * 500.0, x)))
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    cloud = page.locator("#cloud")
    turns = [cloud.get_attribute("data-turn")]
    cloud.focus()
    page.keyboard.press("ArrowRight")
    turns.append(cloud.get_attribute("data-turn"))
    cloud.scroll_into_view_if_needed()
    box = cloud.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 120)
    page.mouse.up()
    turns.append(cloud.get_attribute("data-turn"))
    assert len(set(turns)) == 3
    rows = page.locator("[data-table='0'] tbody tr")
    assert rows.count() == 8
    page.locator("[data-table='0']").get_by_role("searchbox").fill("neuron 3")
    assert rows.count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pixels = "[...document.getElementById('cloud').getContext('2d').getImageData(0, 0, 1400, 960).data]"
    assert page.evaluate(f"{pixels}.filter(v => v).length") > 1000
