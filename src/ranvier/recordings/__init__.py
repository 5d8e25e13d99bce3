"""Recorded brains as data: sessions of spikes or continuous activity with names, behaviour, stimuli and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier._lazy import attributes

if TYPE_CHECKING:
    from ranvier.recordings.challenges import ChallengeSubject, leaderboard, read_challenge, write_submission
    from ranvier.recordings.coupling import CoupledGLM, fit_coupled_glm, partial_correlation
    from ranvier.recordings.epochs import Epochs
    from ranvier.recordings.forecasts import GraphForecast, fit_forecast, shuffled_graph, skill
    from ranvier.recordings.leaks import LeakReport, check_leaks
    from ranvier.recordings.neurons import Neurons
    from ranvier.recordings.preparation import Normaliser, causal_zscore, resample, smooth, stretches
    from ranvier.recordings.readers.arrays import read_arrays
    from ranvier.recordings.readers.nwb import read_nwb
    from ranvier.recordings.readers.objects import from_neo, from_pynapple
    from ranvier.recordings.readers.tables import read_table
    from ranvier.recordings.reading import read_session
    from ranvier.recordings.session import Session
    from ranvier.recordings.signals import Signal
    from ranvier.recordings.splits import Split, blocked, by_trial, grouped, hold_out
    from ranvier.recordings.worms.activity import homogenise, identified, suspect
    from ranvier.recordings.worms.connectomes import Connectome, built_in_wiring, consensus, wiring_of
    from ranvier.recordings.worms.names import canonical_label, canonical_names
    from ranvier.recordings.worms.tables import WormTables
    from ranvier.recordings.worms.wiring_files import read_wiring

_HOMES = {
    "": ["neuroformer", "vessels"],
    "ranvier.recordings.challenges": ["ChallengeSubject", "leaderboard", "read_challenge", "write_submission"],
    "ranvier.recordings.coupling": ["CoupledGLM", "fit_coupled_glm", "partial_correlation"],
    "ranvier.recordings.epochs": ["Epochs"],
    "ranvier.recordings.forecasts": ["GraphForecast", "fit_forecast", "shuffled_graph", "skill"],
    "ranvier.recordings.leaks": ["LeakReport", "check_leaks"],
    "ranvier.recordings.neurons": ["Neurons"],
    "ranvier.recordings.preparation": ["Normaliser", "causal_zscore", "resample", "smooth", "stretches"],
    "ranvier.recordings.readers.arrays": ["read_arrays"],
    "ranvier.recordings.readers.nwb": ["read_nwb"],
    "ranvier.recordings.readers.objects": ["from_neo", "from_pynapple"],
    "ranvier.recordings.readers.tables": ["read_table"],
    "ranvier.recordings.reading": ["read_session"],
    "ranvier.recordings.session": ["Session"],
    "ranvier.recordings.signals": ["Signal"],
    "ranvier.recordings.splits": ["Split", "blocked", "by_trial", "grouped", "hold_out"],
    "ranvier.recordings.worms.activity": ["homogenise", "identified", "suspect"],
    "ranvier.recordings.worms.connectomes": ["Connectome", "built_in_wiring", "consensus", "wiring_of"],
    "ranvier.recordings.worms.names": ["canonical_label", "canonical_names"],
    "ranvier.recordings.worms.tables": ["WormTables"],
    "ranvier.recordings.worms.wiring_files": ["read_wiring"],
}  # fmt: skip

__all__ = [
    "ChallengeSubject",
    "Connectome",
    "CoupledGLM",
    "Epochs",
    "GraphForecast",
    "LeakReport",
    "Neurons",
    "Normaliser",
    "Session",
    "Signal",
    "Split",
    "WormTables",
    "blocked",
    "built_in_wiring",
    "by_trial",
    "canonical_label",
    "canonical_names",
    "causal_zscore",
    "check_leaks",
    "consensus",
    "fit_coupled_glm",
    "fit_forecast",
    "from_neo",
    "from_pynapple",
    "grouped",
    "hold_out",
    "homogenise",
    "identified",
    "leaderboard",
    "partial_correlation",
    "read_arrays",
    "read_challenge",
    "read_nwb",
    "read_session",
    "read_table",
    "read_wiring",
    "resample",
    "shuffled_graph",
    "skill",
    "smooth",
    "stretches",
    "suspect",
    "wiring_of",
    "write_submission",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__, __dir__ = attributes(__name__, _HOMES)
