"""Motions and what they conserve: integrators of known order, the number of first integrals, and first integrals."""

from ranvier.dynamics import systems
from ranvier.dynamics.integrators import integrate, leapfrog
from ranvier.dynamics.invariants import Invariants, field_invariants, gradient_rank, trajectory_invariants
from ranvier.dynamics.manifold import Denoiser, ManifoldDimension, manifold_dimension
from ranvier.dynamics.monomials import Library, functions, monomials
from ranvier.dynamics.networks import NetworkInvariants, network_invariants

__all__ = [
    "Denoiser", "Invariants", "Library", "ManifoldDimension", "NetworkInvariants", "field_invariants", "functions",
    "gradient_rank", "integrate", "leapfrog", "manifold_dimension", "monomials", "network_invariants", "systems",
    "trajectory_invariants",
]  # fmt: skip
