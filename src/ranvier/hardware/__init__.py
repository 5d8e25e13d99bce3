"""Neuromorphic chips: emulated to the bit, programmed over their wire, trained for their numbers."""

from ranvier.hardware._integrator import Integrator
from ranvier.hardware.emulator import ChipRun, run, run_float
from ranvier.hardware.export import quantise, to_network
from ranvier.hardware.link import Board, Link, LinkError
from ranvier.hardware.lowering import from_network
from ranvier.hardware.program import ChipProgram, from_word, to_word
from ranvier.hardware.published import run_published
from ranvier.hardware.quantisation import QuantisationLoss, quantisation_loss, quantise_weights
from ranvier.hardware.training import FixedPointRounding, FixedPointStates, quantise_in_training

__all__ = [
    "Board",
    "ChipProgram",
    "ChipRun",
    "FixedPointRounding",
    "FixedPointStates",
    "Integrator",
    "Link",
    "LinkError",
    "QuantisationLoss",
    "from_network",
    "from_word",
    "quantisation_loss",
    "quantise",
    "quantise_in_training",
    "quantise_weights",
    "run",
    "run_float",
    "run_published",
    "to_network",
    "to_word",
]  # fmt: skip
