"""A network as an HTML table, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranvier._html import paragraph, table
from ranvier._text import plural

if TYPE_CHECKING:
    from ranvier.networks._network import Network


def network(net: Network) -> str:
    """Populations, projections and background as tables; all text escaped."""
    parts = [paragraph("Network", f"of {plural(net.size, 'neuron')}, wiring seed {net.seed}")]
    rows: list[tuple[Any, ...]] = [
        (p.name, type(p.neuron).__name__, p.size, f"{p.start}–{p.start + p.size - 1}",
         ", ".join(f"{key} {_short(value)}" for key, value in p.parameters.items()))
        for p in net.populations
    ]  # fmt: skip
    parts.append(table(("population", "model", "size", "indices", "parameters"), rows))
    if net.projections:
        rows = [
            (f"{p.source.name} → {p.target.name}", p.synapse, _wiring(p.wiring), _learned(p), _short(p.delay))
            for p in net.projections
        ]
        parts.append(table(("projection", "synapse", "wiring", "weight", "delay / ms"), rows))
    if net.backgrounds:
        rows = [(b.target.name, b.synapse, _short(b.rate), _short(b.weight)) for b in net.backgrounds]
        parts.append(table(("background of", "synapse", "rate / Hz", "weight"), rows))
    return "".join(parts)


def _learned(p: Any) -> str:
    weight = _short(p.weight)
    return weight if p.plasticity is None else f"{weight}, learns by {type(p.plasticity).__name__}"


def _wiring(value: Any) -> Any:
    return f"Edges({len(value.sources)})" if hasattr(value, "sources") and hasattr(value, "order") else value


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if hasattr(value, "interval"):
        return f"series of {len(value.values)} every {value.interval:g} ms"
    if value.numel() == 0:
        return "none"
    plain = value.detach()
    return f"{plain.min().item():g} … {plain.max().item():g} ({len(plain)} values)"
