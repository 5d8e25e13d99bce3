"""What motions conserve, and what changes nothing: first integrals, generators, permutations."""
