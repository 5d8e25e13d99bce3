"""Neurons of many compartments: morphologies, channels, and the cable equation solved implicitly on the tree."""

from ranvier.cables.cell import CableCell
from ranvier.cables.channels import Channel, Leak, SquidPotassium, SquidSodium, TraubPotassium, TraubSodium
from ranvier.cables.layer import CableLayer
from ranvier.cables.morphology import CableBranch, Morphology
from ranvier.cables.population import CablePopulations, add_cells
from ranvier.cables.simulation import CableRecording, Current, SynapticInput, simulate
from ranvier.cables.swc import read_swc
from ranvier.cables.tree import tree_solve

__all__ = [
    "CableBranch", "CableCell", "CableLayer", "CablePopulations", "CableRecording", "Channel", "Current", "Leak",
    "Morphology", "SquidPotassium", "SquidSodium", "SynapticInput", "TraubPotassium", "TraubSodium", "add_cells",
    "read_swc", "simulate", "tree_solve",
]
