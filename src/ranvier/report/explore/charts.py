"""Panels that the page's script draws in the place of a picture: what is pointed at is said, and can be enlarged.

Each function returns a panel as JSON-able data; the picture itself stays for print and without scripts.
Neurons are places among those that the page's block of data names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.report._wiring import WiringSummary
from ranvier.report.explore.packing import packed, scaled

Array = NDArray[Any]
Panel = dict[str, Any]
MAX_EDGES = 150_000
MAX_SPIKES = 100_000


def neurons(wiring: WiringSummary) -> dict[str, Any]:
    """Names, classes and order of the neurons that the page's panels and cards are about."""
    return {
        "names": list(wiring.names),
        "classes": list(wiring.classes),
        "of": packed(wiring.of, "index"),
        "signs": packed(wiring.signs, "i1"),
        "order": packed(wiring.order, "index"),
    }


def edges(matrix: Any, unit: str) -> dict[str, Any]:
    """Connections by target: `counts` (N,) of a row's entries, their sources and weights; at most MAX_EDGES, the
    strongest, of `total`."""
    from scipy.sparse import coo_array, csr_array

    whole = coo_array(matrix)
    total = len(whole.data)
    if total > MAX_EDGES:
        saved = np.sort(np.argpartition(-np.abs(whole.data), MAX_EDGES)[:MAX_EDGES])
        rows, columns = whole.coords
        whole = coo_array((whole.data[saved], (rows[saved], columns[saved])), shape=whole.shape)
    rows = csr_array(whole)
    return {
        "counts": packed(np.diff(rows.indptr), "index"),
        "sources": packed(rows.indices, "index"),
        "weights": packed(rows.data, "f4"),
        "total": total,
        "unit": unit,
    }


def wiring_panel(which: str, title: str, label: str) -> Panel:
    """Who reaches whom, drawn from the page's `edges` or `junctions`."""
    return {"kind": "edges", "which": which, "title": title, "label": label}


def matrix_panel(
    image: Array, title: str, label: str, colours: str, *, z: Array | None = None, blank: float = 0.0,
    names: Sequence[str] | None = None, size: int = 0, axes: tuple[str, str] = ("", ""),
) -> Panel:  # fmt: skip
    """A matrix (P, P), with each pixel's standard scores `z` beside its value where there are any; those within `blank`
    are not coloured.

    Its rows are `names`, or `size` neurons in the page's order, several a pixel. colours: weights or correlation.
    """
    panel = {
        "kind": "matrix", "title": title, "label": label, "colours": colours, "side": len(image),
        "values": scaled(image), "size": size or len(image), "axes": list(axes),
    }  # fmt: skip
    if z is not None:
        panel |= {"z": scaled(z), "blank": blank}
    if names is not None:
        panel["names"] = list(names)
    return panel


def density_panel(x: Array, y: Array, labels: tuple[str, str], bins: int = 80) -> Panel:
    """How many points (x, y) lie in each of bins × bins fields; the line where both are equal is drawn."""
    spans = [_span(values) for values in (x, y)]
    counts = np.histogram2d(x, y, bins, spans)[0].T
    return {"kind": "density", "title": "all pairs", "side": bins, "counts": packed(counts, "u4"),
            "x": spans[0], "y": spans[1], "labels": list(labels)}  # fmt: skip


def scatter_panel(
    x: Array, y: Array, labels: tuple[str, str], *, title: str = "", errors: Array | None = None,
    names: Sequence[str] | None = None, own: bool = False,
) -> Panel:  # fmt: skip
    """Points (x, y) with error bars; `own`: each is a neuron of the page."""
    panel: Panel = {"kind": "scatter", "title": title, "x": packed(x), "y": packed(y), "labels": list(labels),
                    "own": own}  # fmt: skip
    if errors is not None:
        panel["errors"] = packed(errors)
    if names is not None:
        panel["names"] = list(names)
    return panel


def raster_panel(times: Array, rows: Array, window: tuple[float, float], dt: float) -> Panel:
    """Spikes: times in ms as whole steps of dt, rows: neurons of the page."""
    if len(times) > MAX_SPIKES:
        window = (window[0], float(np.sort(times)[MAX_SPIKES]))
        within = times <= window[1]
        times, rows = times[within], rows[within]
    return {"kind": "raster", "title": "", "dt": dt, "start": window[0], "stop": window[1],
            "steps": packed(np.rint((times - window[0]) / dt), "index"), "rows": packed(rows, "index")}  # fmt: skip


def lines_panel(
    x: Array, curves: Mapping[str, Array], labels: tuple[str, str], *, title: str = "", band: Array | None = None,
    errors: Array | None = None, colours: Mapping[str, str] | None = None, log: str = "",
    reference: float | None = None, zero: bool = False, dots: Sequence[str] = (),
) -> Panel:  # fmt: skip
    """Curves (name -> values) over x, with a band ± about 0; those in `dots` have `errors`; log: "x", "y" or "xy";
    zero: y begins at 0."""
    panel: Panel = {
        "kind": "lines", "title": title, "x": packed(x), "labels": list(labels), "log": log, "zero": zero,
        "curves": [{"name": name, "y": packed(y), "colour": (colours or {}).get(name, "ink"), "dots": name in dots}
                   for name, y in curves.items()],
    }  # fmt: skip
    if band is not None:
        panel["band"] = packed(band)
    if errors is not None:
        panel["errors"] = packed(errors)
    if reference is not None:
        panel["reference"] = reference
    return panel


def traces_panel(times: Array, values: Array, chosen: Array) -> Panel:
    """Voltages (T, n) of neurons of the page over time in s, each about its mean, stacked."""
    centred = values - values.mean(axis=0)
    return {"kind": "traces", "title": "", "x": packed(times), "neurons": packed(chosen, "index"),
            "y": [scaled(column) for column in centred.T], "means": packed(values.mean(axis=0))}  # fmt: skip


def ridges_panel(values: Sequence[Array], classes: Sequence[str], signs: Sequence[int], label: str) -> Panel | None:
    """A histogram a class, with its median; None where there is nothing finite."""
    every = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.zeros(0)
    if not len(every):
        return None
    low, high = float(every.min()), float(np.quantile(every, 0.998))
    if high - low < 1e-6 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    bins = np.linspace(low, high, 49)
    rows = []
    for name, mine, sign in zip(classes, values, signs, strict=True):
        mine = mine[np.isfinite(mine)]
        counts = np.histogram(np.clip(mine, low, high), bins)[0]
        rows.append({"name": name, "count": len(mine), "sign": int(sign), "counts": counts.tolist(),
                     "median": float(np.median(mine)) if len(mine) else None})  # fmt: skip
    return {"kind": "ridges", "title": "", "label": label, "low": low, "high": high, "rows": rows}


def boxes_panel(groups: Mapping[str, Array], noise: float, labels: tuple[str, str]) -> Panel | None:
    """The spread of each group: 2.5, 25, 50, 75, 97.5 % and the mean, beside a band of ± 2 `noise`."""
    if not groups:
        return None
    rows = [
        {"name": name, "count": len(v), "mean": float(v.mean()),
         "quantiles": np.quantile(v, (0.025, 0.25, 0.5, 0.75, 0.975)).tolist()}
        for name, v in groups.items()
    ]  # fmt: skip
    return {"kind": "boxes", "title": "", "rows": rows, "noise": float(noise), "labels": list(labels)}


def _span(values: Array) -> list[float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.02 * (high - low) or 1e-6
    return [low - pad, high + pad]
