"""Bounds that are never wrong: what a network may do over whole sets of inputs, and proofs of its properties."""

from ranvier.verify import functions
from ranvier.verify.attractors import (
    Contraction,
    continuous_basin,
    contraction,
    hopfield_radius,
    modern_basin,
    tanh_gains,
)
from ranvier.verify.bounding import Bounds, bounds
from ranvier.verify.branch_and_bound.search import VerificationResult, verify
from ranvier.verify.cells import SpikeCertificate, certified_radius, spike_certificate, tube
from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.graphs.onnx_files import from_onnx
from ranvier.verify.graphs.torch_modules import from_module
from ranvier.verify.networks import NetworkUnderTest, load, wrap
from ranvier.verify.properties import Case, Property, Unsafe
from ranvier.verify.vnnlib import parse_vnnlib, read_vnnlib

__all__ = [
    "Bounds",
    "Case",
    "ComputationGraph",
    "Contraction",
    "NetworkUnderTest",
    "Property",
    "SpikeCertificate",
    "Unsafe",
    "VerificationResult",
    "bounds",
    "certified_radius",
    "continuous_basin",
    "contraction",
    "from_module",
    "from_onnx",
    "functions",
    "hopfield_radius",
    "load",
    "modern_basin",
    "parse_vnnlib",
    "read_vnnlib",
    "spike_certificate",
    "tanh_gains",
    "tube",
    "verify",
    "wrap",
]  # fmt: skip
