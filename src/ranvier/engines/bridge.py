"""`threshold="bridge"`: whether V crossed the threshold within a step, drawn from the Brownian bridge.

A path that white noise of variance S² a step takes from V to V' has the maximum M with P(M > m) =
exp(-2 (m - V)(m - V')/S²) (Karatzas & Shreve 1991, eq. 4.3.40; Gobet 2000, Stoch. Proc. Appl. 87:167), that is
M = (V + V' + √((V' - V)² + 2 S² E))/2 with E exponential of mean 1. 2 E is the sum of two squared normal numbers.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from ranvier.equations import Equations, symbol
from ranvier.equations.integrators import Scheme, normal

#: V at the step's start, once what arrives has come
START = symbol("start_0")


def bridged(scheme: Scheme, equations: Equations, ceiling: object, name: str) -> tuple[Scheme, sp.Basic]:
    """The scheme with two more normal numbers a step, and the threshold as a condition on the largest V within it.

    Raises ValueError, naming the population, unless its V is linear, has white noise and is reset to a number at a
    threshold V >= V_th.
    """
    soma = equations.names[0]
    V, k = symbol(soma), scheme.normals
    if ceiling is None or equations.threshold is None or equations.reset[soma].has(V):
        raise ValueError(
            f"the threshold of {name} is {equations.threshold_text!r} and its reset {equations.reset_text!r}; expected "
            f"'{soma} >= ...' and a reset to a number for threshold='bridge': use threshold='step'"
        )
    if scheme.linear is None or soma not in scheme.linear.names:
        raise ValueError(
            f"{name} is not linear in its variables; expected neurons whose noise carries them over a hard threshold, "
            "such as LIF, for threshold='bridge' (an upstroke needs none): use threshold='step'"
        )
    variance = sp.Add(*(sp.diff(scheme.result[soma], normal(i)) ** 2 for i in range(k)))
    if variance == 0:
        raise ValueError(
            f"{name} has no white noise of its own; expected some for threshold='bridge', which draws how far that "
            "carries V within a step: give it noise > 0, or use threshold='step'"
        )
    rise = (V - START) ** 2 + variance * (normal(k) ** 2 + normal(k + 1) ** 2)
    threshold = equations.threshold.xreplace({V: (V + START + sp.sqrt(rise)) / 2})
    return replace(scheme, normals=k + 2), threshold
