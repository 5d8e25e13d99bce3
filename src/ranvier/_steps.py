"""Times as whole numbers of steps."""

from __future__ import annotations


def whole_steps(ms: float, dt: float, what: str) -> int:
    """How many steps of dt make `ms`, at least one. Raises ValueError, which begins with `what`, where none do."""
    steps = round(ms / dt)
    if steps < 1 or abs(steps * dt - ms) > 1e-6 * dt + 1e-14 * ms:
        raise ValueError(f"{what}; expected a multiple of the step dt = {dt:g} ms")
    return steps
