"""One self-contained page about a network and a run of it: every picture inline, nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ranvier._text import printable
from ranvier.files.atomic import write_atomic
from ranvier.files.pages import page_environment
from ranvier.report._activity import ActivitySummary, activity_of
from ranvier.report._pair_sections import correlation_section, pairs_section, typical_error
from ranvier.report._parts import Picture, Section, count, number, of_finite
from ranvier.report._sections import activity_section, numbers_table, spectrum_section, wiring_section
from ranvier.report._wiring import WiringSummary, distances, wiring_of

MAX_COMPARED = 4000  # neurons whose pairs are compared: their matrices then take some 2 GB
OWN_CITATION = "Ranvier: networks of neurons, described once. Software, Apache-2.0."


def page(
    network: Any,
    recording: Any,
    *,
    title: str,
    summary: str = "",
    notes: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    citations: Sequence[str] = (),
    manifest: Mapping[str, Any] | None = None,
    facts: Callable[[NDArray[Any]], Mapping[str, str]] | None = None,
    classes: Sequence[str] = (),
    glossary: str = "",
    window: float = 100.0,
    sections: Sequence[Section] = (),
) -> str:
    """The HTML of a report.

    Parameters
    ----------
    network, recording
        a `Network` and a `Recording` of it (spikes, or all neurons' V for graded neurons)
    title, summary
        what it is, and in a sentence what was run
    notes, assumptions, citations
        one sentence each: what was left out when the wiring was read, shown on top; what the model takes for
        granted; what to cite
    manifest
        what was run, shown whole
    facts
        a function of the mean rates (Hz) or voltages (mV), (N,), that gives further lines of the table of
        numbers, name -> text
    classes, glossary
        the order in which classes are shown, and a sentence that explains their names
    window
        ms, of the spike counts that are correlated
    sections
        further parts, put before the table of numbers: predictions beside the simulation, for one

    Raises
    ------
    ValueError
        where the recording is shorter than twenty windows.
    """
    wiring = wiring_of(network, classes)
    few = wiring.sample(MAX_COMPARED)
    activity = activity_of(recording, window, neurons=few)
    steps = distances(wiring, few)
    compared = wiring.part(few), activity.among(), steps
    parts = [
        wiring_section(wiring, glossary),
        activity_section(wiring, activity),
        correlation_section(*compared, total=wiring.size),
        pairs_section(*compared),
        spectrum_section(wiring, activity),
        *sections,
        Section(
            "In numbers", (), [numbers_table(wiring, activity, dict(facts(activity.level)) if facts else {})]
        ),
    ]
    return render(
        "report.html",
        title=title,
        summary=summary,
        highlights=highlights(wiring, activity),
        sections=parts,
        notes=notes,
        assumptions=assumptions,
        citations=[*citations, OWN_CITATION],
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
    )


def render(template: str, **content: Any) -> str:
    """A page of `templates` with this content."""
    environment = page_environment("ranvier.report")
    environment.filters["source"] = inline
    environment.filters["options"] = options_as_code
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    return environment.get_template(template).render(**content)


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
    """Write a page of these sections alone, atomically; highlights are pairs (value, name), the rest as of `page`."""
    text = render(
        "report.html",
        title=title,
        summary=summary,
        sections=sections,
        highlights=highlights,
        notes=(),
        assumptions=(),
        citations=[*citations, OWN_CITATION],
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
    )
    return write_atomic(path, text)


def write(path: str | Path, network: Any, recording: Any, **options: Any) -> Path:
    """Write `page(...)` to a file, atomically."""
    return write_atomic(path, page(network, recording, **options))


def highlights(wiring: WiringSummary, activity: ActivitySummary) -> list[tuple[str, str]]:
    """The few numbers at the top: value and name."""
    upper = activity.correlation[np.triu_indices(len(activity.correlation), k=1)]
    spiking, error = activity.kind == "spikes", typical_error(activity)
    return [
        (count(wiring.size), "neurons"),
        (count(wiring.weights.nnz + wiring.junctions.nnz // 2), "connected pairs"),
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
