"""What columns of types, transmitters and signs say of an edge."""

from __future__ import annotations

import re

ELECTRICAL = frozenset("electrical electric gap gapjunction gapjunctions junction ej gj elec".split())  # noqa: SIM905
CHEMICAL = frozenset("chemical chem synapse synaptic chemicalsynapse s sp send sendjoint sendpoly nmj".split())  # noqa: SIM905
#: the same synapses, counted from the receiving cell
RECEIVED = frozenset("r rp receive receivejoint receivepoly".split())  # noqa: SIM905
INHIBITORY = frozenset("gaba gabaergic glycine glycinergic gly inhibitory inh inhibit".split())  # noqa: SIM905
EXCITATORY = frozenset(
    "acetylcholine ach cholinergic glutamate glut glutamatergic glu excitatory exc excite".split()  # noqa: SIM905
)
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


def sign_of(text: str) -> int:
    """-1 or 1 of a sign, or of a transmitter or a word for its effect; 0 where it is not known."""
    if text.strip() in _SIGNS:
        return _SIGNS[text.strip()]
    word = plain(text)
    return -1 if word in INHIBITORY else 1 if word in EXCITATORY else 0


__all__ = ["kind_of", "plain", "sign_of"]
