"""Stochastic networks of binary units: Ising spins and Boltzmann machines, and how they are sampled."""
