"""Neuromorphic chips: emulated to the bit, programmed over their wire, trained for their numbers."""

from ranvier.hardware.emulator import ChipRun, run, run_float
from ranvier.hardware.export import quantise, to_network
from ranvier.hardware.link import Board, Link, LinkError
from ranvier.hardware.program import ChipProgram, from_word, to_word
from ranvier.hardware.training import FixedPointRounding, quantise_in_training

__all__ = [
    "Board",
    "ChipProgram",
    "ChipRun",
    "FixedPointRounding",
    "Link",
    "LinkError",
    "from_word",
    "quantise",
    "quantise_in_training",
    "run",
    "run_float",
    "to_network",
    "to_word",
]  # fmt: skip
