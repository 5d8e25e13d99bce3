"""What NIR, the neuromorphic intermediate representation (Pedersen et al. 2024), and a network have in common."""

from __future__ import annotations

from typing import NoReturn

MS = 1e-3  # s


def refuse(way: str, what: str, remedy: str = "") -> NoReturn:
    """Raise ValueError: `way` is "to" NIR or "from" it."""
    holder = "NIR cannot hold" if way == "to" else "A network here cannot hold"
    raise ValueError(f"{holder} {what}; expected what ganglion.networks.to_nir lists. {remedy}".strip())
