"""Sparse coding: codes by LCA (rates or spikes), ISTA and FISTA; dictionaries learned from data.

A dictionary is (M, N), an atom a row; signals are (B, N), codes (B, M); x ≈ code @ dictionary.
"""

from ranvier.energies.sparse_coding._cost import Penalty, duality_gap, normalised, objective, threshold
from ranvier.energies.sparse_coding._dictionary import DictionaryLearning, SparseCoder, matched_cosines
from ranvier.energies.sparse_coding._images import patches, whitened
from ranvier.energies.sparse_coding._lca import SparseCode, lca
from ranvier.energies.sparse_coding._proximal import fista, ista
from ranvier.energies.sparse_coding._spiking import SpikingLCA, spiking_lca

__all__ = [
    "DictionaryLearning", "Penalty", "SparseCode", "SparseCoder", "SpikingLCA", "duality_gap", "fista", "ista", "lca",
    "matched_cosines", "normalised", "objective", "patches", "spiking_lca", "threshold", "whitened",
]  # fmt: skip
