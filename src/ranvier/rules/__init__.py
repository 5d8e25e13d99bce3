"""Rules: local plasticity, each defined once, for dense layers and for the engines' sparse networks."""

from ranvier.rules._base import Rule
from ranvier.rules._law import Coincidence, Eligibility, Trace
from ranvier.rules.inhibitory import InhibitorySTDP
from ranvier.rules.rates import BCM, Hebb, Oja
from ranvier.rules.reward import RewardSTDP
from ranvier.rules.short_term import StochasticRelease, TsodyksMarkram
from ranvier.rules.stdp import STDP
from ranvier.rules.triplet import TripletSTDP
from ranvier.rules.voltage import Clopath

__all__ = [
    "BCM",
    "STDP",
    "Clopath",
    "Coincidence",
    "Eligibility",
    "Hebb",
    "InhibitorySTDP",
    "Oja",
    "RewardSTDP",
    "Rule",
    "StochasticRelease",
    "Trace",
    "TripletSTDP",
    "TsodyksMarkram",
]  # fmt: skip
