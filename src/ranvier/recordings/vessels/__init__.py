"""Vessels of whole brains as graphs in space: drawn, read, extracted from volumes; links and classes predicted
(Paetzold et al. 2021)."""

from ranvier.recordings.vessels.extraction import extract_vessels
from ranvier.recordings.vessels.graph import CUTS, VesselGraph, draw_vessels
from ranvier.recordings.vessels.links import LinkSplit, heuristics, link_auc, negatives, split_links
from ranvier.recordings.vessels.models import (
    GraphLayer,
    GraphNetwork,
    classify_vessels,
    predict_links,
    predict_links_seal,
)
from ranvier.recordings.vessels.reading import read_ogb, read_voreen

__all__ = [
    "CUTS",
    "GraphLayer",
    "GraphNetwork",
    "LinkSplit",
    "VesselGraph",
    "classify_vessels",
    "draw_vessels",
    "extract_vessels",
    "heuristics",
    "link_auc",
    "negatives",
    "predict_links",
    "predict_links_seal",
    "read_ogb",
    "read_voreen",
    "split_links",
]
