"""Bounds that are never wrong: what a network may do over whole sets of inputs, and proofs of its properties."""

from ranvier.verify.bounding import Bounds, bounds
from ranvier.verify.graph import Graph
from ranvier.verify.networks import NetworkUnderTest, load, wrap
from ranvier.verify.onnx_files import from_onnx
from ranvier.verify.properties import Case, Property, Unsafe
from ranvier.verify.search import VerificationResult, verify
from ranvier.verify.torch_modules import from_module
from ranvier.verify.vnnlib import parse_vnnlib, read_vnnlib

__all__ = [
    "Bounds", "Case", "Graph", "NetworkUnderTest", "Property", "Unsafe", "VerificationResult", "bounds", "from_module",
    "from_onnx", "load", "parse_vnnlib", "read_vnnlib", "verify", "wrap",
]  # fmt: skip
