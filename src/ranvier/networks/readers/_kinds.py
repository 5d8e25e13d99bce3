"""What columns of types, transmitters and signs say of an edge."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ranvier._text import plural

ELECTRICAL = frozenset("electrical electric gap gapjunction gapjunctions junction ej gj elec".split())  # noqa: SIM905
CHEMICAL = frozenset("chemical chem synapse synaptic chemicalsynapse s sp send sendjoint sendpoly nmj".split())  # noqa: SIM905
#: the same synapses, counted from the receiving cell
RECEIVED = frozenset("r rp receive receivejoint receivepoly".split())  # noqa: SIM905
INHIBITORY = frozenset("gaba gabaergic glycine glycinergic gly inhibitory inh inhibit".split())  # noqa: SIM905
EXCITATORY = frozenset(
    "acetylcholine ach cholinergic glutamate glut glutamatergic glu excitatory exc excite".split()  # noqa: SIM905
)
GLUTAMATE = frozenset(("glutamate", "glut", "glutamatergic", "glu"))
_SIGNS = {"-1": -1, "−1": -1, "-": -1, "1": 1, "+1": 1, "+": 1, "-1.0": -1, "1.0": 1}


def plain(text: str) -> str:
    """Lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def kind_of(text: str) -> str:
    """ "electrical", "chemical", "received", or "" for what is none of them."""
    word = plain(text)
    for name, words in (("electrical", ELECTRICAL), ("chemical", CHEMICAL), ("received", RECEIVED)):
        if word in words:
            return name
    return ""


def transmitter_signs(signs: Mapping[str, int] | None) -> dict[str, int]:
    """Signs by transmitter as a user gives them, by plain words. Raises ValueError for what is no sign."""
    for name, sign in (signs or {}).items():
        if sign not in (-1, 1):
            raise ValueError(f"signs has {sign!r:.40} for {name!r:.60}; expected 1 (excites) or -1 (inhibits).")
    return {plain(name): sign for name, sign in (signs or {}).items()}


def is_glutamate(text: str) -> bool:
    """Whether a transmitter's name is one of glutamate's."""
    return plain(text) in GLUTAMATE


def glutamate_in_words(neurons: int, edges: int | None = None) -> list[str]:
    """What is to be said where glutamate was taken to excite; nothing where there is none."""
    if not neurons:
        return []
    what = plural(neurons, "neuron") + ("" if edges is None else f" ({plural(edges, 'edge')})")
    return [
        f"The glutamate of {what} was taken to excite, as in vertebrates; in insects and nematodes it often inhibits, "
        "by chloride channels: signs={'glutamate': -1} (--signs glutamate=-1) turns it."
    ]


def sign_of(text: str, signs: Mapping[str, int] | None = None) -> int:
    """-1 or 1 of a sign, or of a transmitter or a word for its effect; 0 where it is not known.

    signs: of transmitters, by plain words, before the usual ones; where they name glutamate, by any of its names.
    """
    if text.strip() in _SIGNS:
        return _SIGNS[text.strip()]
    word = plain(text)
    if signs:
        alike = GLUTAMATE if word in GLUTAMATE else {word}
        if chosen := [signs[name] for name in signs if name in alike]:
            return chosen[0]
    return -1 if word in INHIBITORY else 1 if word in EXCITATORY else 0


__all__ = ["glutamate_in_words", "is_glutamate", "kind_of", "plain", "sign_of", "transmitter_signs"]
