"""Stimuli that tell kinds of neurons apart: digital twins, clusters and stimuli optimised together, typing of new cells
(Burg et al. 2024)."""

from ranvier.analysis.stimuli.cell_types import CellTypes, fit_types, presentations_needed
from ranvier.analysis.stimuli.clusters import StimulusClusters, cluster_by_stimuli, normalise_responses
from ranvier.analysis.stimuli.twins import Twins, fit_twins

__all__ = [
    "CellTypes",
    "StimulusClusters",
    "Twins",
    "cluster_by_stimuli",
    "fit_twins",
    "fit_types",
    "normalise_responses",
    "presentations_needed",
]
