"""Rules: local plasticity, each defined once, for dense layers and for the engines' sparse networks."""

from ganglion.rules._base import Rule
from ganglion.rules._law import Eligibility, Trace
from ganglion.rules.inhibitory import InhibitorySTDP
from ganglion.rules.rates import BCM, Hebb, Oja
from ganglion.rules.reward import RewardSTDP
from ganglion.rules.stdp import STDP
from ganglion.rules.triplet import TripletSTDP

__all__ = [
    "BCM",
    "STDP",
    "Eligibility",
    "Hebb",
    "InhibitorySTDP",
    "Oja",
    "RewardSTDP",
    "Rule",
    "Trace",
    "TripletSTDP",
]  # fmt: skip
