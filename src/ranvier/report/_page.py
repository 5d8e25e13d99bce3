"""One self-contained page about a network and a run of it: every picture inline, nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ranvier._text import printable
from ranvier.files.atomic import require_writable, write_atomic
from ranvier.files.pages import page_environment
from ranvier.report._activity import ActivitySummary
from ranvier.report._comparison import Comparison
from ranvier.report._pair_sections import correlation_section, pairs_section, typical_error
from ranvier.report._parts import Picture, Section, count, number, of_finite, plural
from ranvier.report._sections import activity_section, numbers_table, spectrum_section, wiring_section
from ranvier.report._wiring import WiringSummary
from ranvier.report.explore import charts
from ranvier.report.explore.findings import findings
from ranvier.report.explore.measured import PAIRS_ON_A_PAGE, Measured, measure
from ranvier.report.explore.packing import block
from ranvier.report.explore.tables import DataTable

OWN_CITATION = "Ranvier: networks of neurons, described once. Software, Apache-2.0."


def page(
    network: Any,
    recording: Any,
    *,
    title: str,
    summary: str = "",
    notes: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    cautions: Sequence[str] = (),
    citations: Sequence[str] = (),
    manifest: Mapping[str, Any] | None = None,
    facts: Callable[[NDArray[Any]], Mapping[str, str]] | None = None,
    classes: Sequence[str] = (),
    glossary: str = "",
    window: float = 100.0,
    comparison: Comparison | None = None,
    sections: Sequence[Section] = (),
    measured: Measured | None = None,
) -> str:
    """The HTML of a report.

    Parameters
    ----------
    network, recording
        a `Network` and a `Recording` of it (spikes, or all neurons' V for graded neurons)
    title, summary
        what it is, and in a sentence what was run
    notes, assumptions, cautions, citations
        one sentence each: what was left out when the wiring was read, shown on top; what the model takes for
        granted; of that, what the findings hang on, shown on top too; what to cite
    manifest
        what was run, shown whole
    facts
        a function of the mean rates (Hz) or voltages (mV), (N,), that gives further lines of the table of
        numbers, name -> text
    classes, glossary
        the order in which classes are shown, and a sentence that explains their names
    window
        ms, of the spike counts that are correlated
    comparison
        of the recording with a prediction (`compare`): its section, and its values in the tables
    sections
        further parts, put before the table of numbers
    measured
        what `report.measure` gave for the same network, recording and comparison, where it is at hand

    Raises
    ------
    ValueError
        where the recording is shorter than twenty windows.

    Examples
    --------
    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 3)
    >>> recording = rv.simulate(net, 3000.0, dt=1.0, engine="torch")
    >>> "<title>Three trains" in rv.report.page(net, recording, title="Three trains")
    True
    """
    if measured is None:
        measured = measure(network, recording, comparison, classes=classes, window=window)
    activity = measured.activity
    parts = [
        wiring_section(measured, glossary),
        activity_section(measured),
        correlation_section(measured),
        pairs_section(measured),
        *tables_sections(measured),
        spectrum_section(measured),
        *([] if measured.comparison is None else [measured.comparison.section(own=measured.whole)]),
        *sections,
        Section("In numbers", (), [numbers_table(measured, dict(facts(activity.level)) if facts else {})]),
    ]
    part = measured.part
    return render(
        "report.html",
        title=title,
        summary=summary,
        highlights=highlights(measured.wiring, activity),
        sections=parts,
        findings=findings(measured),
        notes=notes,
        assumptions=assumptions,
        cautions=cautions,
        citations=[*citations, OWN_CITATION],
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
        about={
            "neurons": charts.neurons(part),
            "edges": charts.edges(part.weights, part.unit),
            "junctions": charts.edges(part.junctions, "nS") if part.junctions.nnz else None,
        },
    )


def tables_sections(measured: Measured) -> list[Section]:
    """The neurons and the pairs, to search, sort and save."""
    few, total = len(measured.few), measured.wiring.size
    part = f"{count(few)} of {plural(total, 'neuron')}, taken evenly from the classes"
    words = "All neurons" if measured.whole else part
    neurons = replace(
        measured.neurons(measured.few), caption=f"{words}. A neuron's name shows what it receives and what it reaches."
    )
    out = [Section("Neurons", (), [neurons])]
    pairs = measured.pairs(PAIRS_ON_A_PAGE)
    if pairs.size:
        every = few * (few - 1) // 2
        words = "All pairs" if pairs.size == every else plural(pairs.size, "pair")
        caption = (
            f"{words}, the strongest first. z: the correlation in its standard errors; →, ←: weight of the direct "
            "connection from the first to the second, and back; path: synapses on the shortest path."
        )
        if measured.comparison is not None and math.isinf(measured.comparison.predicted_window):
            caption += " Predictions are those of long windows."
        out.append(Section("Pairs", (), [replace(pairs, caption=caption)]))
    return out


def render(template: str, **content: Any) -> str:
    """A page of `templates` with this content; panels and tables of the sections go into its block of data."""
    environment = page_environment("ranvier.report")
    environment.filters["source"] = inline
    environment.filters["options"] = options_as_code
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    environment.tests["data_table"] = lambda part: isinstance(part, DataTable)
    sections = [*content.get("sections", ()), *content.get("after", ())]
    parts = [part for section in sections for part in section.parts]
    figures = [part for part in parts if isinstance(part, Picture) and part.panels]
    tables = [part for part in parts if isinstance(part, DataTable)]
    places = {id(part): k for kind in (figures, tables) for k, part in enumerate(kind)}
    environment.globals["place_of"] = lambda part: places.get(id(part))
    data = {
        **content.pop("about", {}),
        "figures": [list(part.panels) for part in figures],
        "tables": [table.data() for table in tables],
    }
    explored = block(data) if figures or tables else ""
    return environment.get_template(template).render(**content, explored=explored)


def write_sections(
    path: str | Path,
    sections: Sequence[Section],
    *,
    title: str,
    summary: str = "",
    highlights: Sequence[tuple[str, str]] = (),
    citations: Sequence[str] = (),
    manifest: Mapping[str, Any] | None = None,
) -> Path:
    """Write a page of these sections alone, atomically; highlights are pairs (value, name), the rest as of `page`.

    Examples
    --------
    >>> import ranvier as rv
    >>> section = rv.report.Section("Rates", ["All neurons fire at 5 Hz."])
    >>> rv.report.write_sections("page.html", [section], title="A page").name
    'page.html'
    """
    text = render(
        "report.html",
        title=title,
        summary=summary,
        sections=sections,
        highlights=highlights,
        findings=(),
        notes=(),
        assumptions=(),
        cautions=(),
        citations=[*citations, OWN_CITATION],
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
    )
    return write_atomic(path, text)


def write(path: str | Path, network: Any, recording: Any, **options: Any) -> Path:
    """Write `page(...)` to a file, atomically; OSError, at once, where that cannot be.

    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 3)
    >>> recording = rv.simulate(net, 3000.0, dt=1.0, engine="torch")
    >>> rv.report.write("trains.html", net, recording, title="Three trains").name
    'trains.html'
    """
    require_writable(path)
    return write_atomic(path, page(network, recording, **options))


def highlights(wiring: WiringSummary, activity: ActivitySummary) -> list[tuple[str, str]]:
    """The few numbers at the top: value and name."""
    upper = activity.correlation[np.triu_indices(len(activity.correlation), k=1)]
    spiking, error = activity.kind == "spikes", typical_error(activity)
    return [
        (count(wiring.size), "neurons"),
        (count(wiring.weights.nnz), "connected pairs"),
        *([(count(wiring.junctions.nnz // 2), "by gap junctions")] if wiring.junctions.nnz else []),
        (f"{activity.recording.duration / 1000:g} s", "of activity read"),
        (
            number(activity.level.mean(), 1) + (" Hz" if spiking else " mV"),
            f"mean {'rate' if spiking else 'voltage'}",
        ),
        (_or_dash(of_finite(np.mean, upper), 4), "mean correlation"),
        ("± " * (error is not None) + _or_dash(error, 3), "chance, one pair"),
    ]


def _or_dash(value: float | None, digits: int) -> str:
    return "–" if value is None else number(value, digits)


def options_as_code(text: str) -> Markup:
    """Escaped text with command-line options such as --gain set as code, so that they do not break."""
    return Markup(re.sub(r"(--[a-z]+)", r"<code>\1</code>", str(escape(printable(text)))))


def inline(picture: Picture) -> str:
    """A figure as a data URI: SVG, or PNG for images and rasters."""
    from matplotlib import rc_context

    from ranvier.report._style import RC

    kind = "png" if picture.heavy else "svg"
    buffer = BytesIO()
    with rc_context(RC), warnings.catch_warnings():
        # a name in a script that the font lacks, and panels too small for their labels: nothing a user can mend
        warnings.filterwarnings("ignore", r"(?s).*(Glyph|constrained_layout|tight_layout|Tight layout)", UserWarning)
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        picture.figure.savefig(
            buffer, format=kind, dpi=170, metadata=metadata, bbox_inches="tight", pad_inches=0.03
        )
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{'png' if kind == 'png' else 'svg+xml'};base64,{data}"
