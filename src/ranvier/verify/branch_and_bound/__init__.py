"""Branch and bound: the search, attacks, and how domains are split."""
