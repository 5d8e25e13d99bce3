"""Equations whose solution operators are learned: their solvers, and random examples of any number and size."""

from ranvier.operators.problems.burgers import burgers_examples, solve_burgers
from ranvier.operators.problems.darcy import darcy_examples, solve_darcy
from ranvier.operators.problems.helmholtz import helmholtz_examples, solve_helmholtz
from ranvier.operators.problems.random_fields import gaussian_field

__all__ = [
    "burgers_examples", "darcy_examples", "gaussian_field", "helmholtz_examples", "solve_burgers", "solve_darcy",
    "solve_helmholtz",
]  # fmt: skip
