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


def test_tables_are_searched_sorted_and_saved(page, report):
    page.goto(report.as_uri())
    neurons = page.locator("[data-table='0']")
    rows = neurons.locator("tbody tr")
    size = int(page.locator(".highlights dd").first.inner_text())
    assert neurons.get_by_role("status").inner_text() == f"1–{min(25, size)} of {size}"
    column = "rate (Hz)" if "spiking" in report.name else "voltage (mV)"
    place = neurons.locator("th").all_inner_texts().index(column)
    values = []
    for order in ("descending", "ascending"):
        neurons.get_by_role("button", name=column, exact=True).click()
        assert neurons.locator("th").nth(place).get_attribute("aria-sort") == order
        cells = rows.locator(f"td:nth-child({place + 1})").all_inner_texts()
        values.append([float(text.replace("−", "-")) for text in cells])
    assert values[0] == sorted(values[0], reverse=True) and values[1] == sorted(values[1])
    neurons.get_by_role("searchbox").fill("SENSORY excites")
    classes = rows.locator("td:nth-child(2)").all_inner_texts()
    assert classes and set(classes) == {"sensory"}
    with page.expect_download() as download:
        neurons.get_by_role("button", name="Save as CSV").click()
    text = download.value.path().read_text("utf-8").splitlines()
    assert download.value.suggested_filename == "neurons.csv"
    assert text[0].startswith("neuron,class,effect,inputs,outputs,")
    assert {line.split(",")[1] for line in text[1:]} == {"sensory"}
    neurons.get_by_role("searchbox").fill("zebra")
    assert rows.count() == 0 and neurons.get_by_text("no row has these words").is_visible()


def test_a_neuron_has_a_card(page, report):
    page.goto(report.as_uri())
    page.locator("[data-table='1'] button.name").first.click()
    card = page.get_by_role("dialog")
    first = card.get_by_role("heading", level=2).inner_text()
    assert card.get_by_text("Receives from").is_visible() and card.get_by_text("Correlated with").is_visible()
    card.locator("button.name").last.click()
    assert card.get_by_role("heading", level=2).inner_text() != first
    page.keyboard.press("Escape")
    assert card.count() == 0


def test_panels_say_what_is_pointed_at_and_are_enlarged(page, report):
    page.goto(report.as_uri())
    tip, canvases = page.locator(".tip"), page.locator("figure canvas")
    pointed_at = []
    for k in range(canvases.count()):
        canvas = canvases.nth(k)
        canvas.scroll_into_view_if_needed()
        page.mouse.move(1, 1)
        box = canvas.bounding_box()
        for part in (0.5, 0.62, 0.35, 0.45, 0.55):
            page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + part * box["height"])
            if tip.is_visible():
                pointed_at.append(tip.inner_text())
                break
    assert len(pointed_at) >= 8 and all(pointed_at)
    assert any("→" in text for text in pointed_at) and any("z = " in text for text in pointed_at)
    canvas = canvases.first
    canvas.scroll_into_view_if_needed()
    views = [canvas.get_attribute("data-view")]
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    views.append(canvas.get_attribute("data-view"))
    canvas.focus()
    page.keyboard.press("+")
    views.append(canvas.get_attribute("data-view"))
    assert len(set(views)) == 3
    page.keyboard.press("0")
    assert canvas.get_attribute("data-view") == views[0]
    widths = [[float(x) for x in view.split()] for view in views]
    assert widths[0][1] - widths[0][0] > widths[1][1] - widths[1][0] > widths[2][1] - widths[2][0]


@pytest.mark.parametrize("width", [640, 720])
def test_nothing_is_cut_off_in_print(page, report, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    ends = page.locator("main img:visible, main table").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert len(ends) > 8 and max(ends) <= width


def test_error_bars_and_remarks_are_whole(page, tmp_path):
    import numpy as np

    from ranvier.report import Column, DataTable
    from ranvier.report._page import write_sections
    from ranvier.report._parts import Picture, Section
    from ranvier.report._style import new
    from ranvier.report.explore import charts

    x, y, errors = np.arange(3.0), np.array([0.0, 5.0, 1.0]), np.array([4.0, 20.0, 1.0])
    panels = [
        charts.scatter_panel(x, y, ("x", "a long label of the vertical axis, longer than it"), errors=errors),
        charts.lines_panel(x, {"y": y}, ("x", "y"), errors=errors, dots=("y",)),
    ]
    words = ["single input of the second"] * 3
    columns = [Column("remark", "remark", words), *(Column("a long title", f"n{k}", x) for k in range(7))]
    parts = [Picture(new(3.0, 3.0), "Values with their errors.", panels=panels), DataTable("pairs", columns)]
    page.goto(write_sections(tmp_path / "errors.html", [Section("Errors", [], parts)], title="Errors").as_uri())
    for canvas in page.locator("canvas").all():
        low, high = map(float, canvas.get_attribute("data-view").split()[2:])
        assert low <= -15 and high >= 25
    assert page.locator(".scroll").last.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_pictures_stay_for_print_and_without_scripts(page, chromium, report):
    page.goto(report.as_uri())
    assert page.locator("figure img:visible").count() == 0
    page.emulate_media(media="print")
    assert page.locator("figure img:visible").count() >= 6 and page.locator("canvas:visible").count() == 0
    context = chromium.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(report.as_uri())
    assert still.locator("figure img:visible").count() >= 6 and still.locator("canvas").count() == 0
    assert still.locator("[data-table='0'] tbody tr").count() == 10
    context.close()
