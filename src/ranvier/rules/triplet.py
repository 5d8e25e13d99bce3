"""Triplets of spikes: how plasticity depends on frequency."""

from __future__ import annotations

from typing import Any, Literal

from ranvier.equations import option, parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Trace


class TripletSTDP(Rule):
    """Triplets (Pfister & Gerstner 2006, J. Neurosci. 26:9673, eqs. 3 and 4).

    A spike that arrives adds −y (A2_minus + A3_minus x2), one of the target x (A2_plus + A3_plus y2); x2 and y2
    are read just before that spike. The defaults are the minimal model of the visual cortex, all pairs.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rules.TripletSTDP(pairs="nearest").parameters["tau_y"]
    114.0
    """

    tau_plus: float = parameter(16.8, "ms", "potentiation", above=0)
    tau_minus: float = parameter(33.7, "ms", "depression", above=0)
    tau_x: float = parameter(101.0, "ms", "slow trace of the source", above=0)
    tau_y: float = parameter(114.0, "ms", "slow trace of the target", above=0)
    A2_plus: float = parameter(0.0, "weight", "potentiation a pair")
    A2_minus: float = parameter(7.1e-3, "weight", "depression a pair")
    A3_plus: float = parameter(6.5e-3, "weight", "potentiation a triplet")
    A3_minus: float = parameter(0.0, "weight", "depression a triplet")
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(1.0, "weight", "upper bound", finite=False)
    pairs: Literal["all", "nearest"] = option("all", "nearest")

    on_pre = "-y*(A2_minus + A3_minus*x2)"
    on_post = "x*(A2_plus + A3_plus*y2)"

    @property
    def traces(self) -> tuple[Trace, ...]:
        near = self.pairs == "nearest"
        return (
            Trace("x", "pre", "tau_plus", near),
            Trace("x2", "pre", "tau_x", near),
            Trace("y", "post", "tau_minus", near),
            Trace("y2", "post", "tau_y", near),
        )

    @classmethod
    def fitted(
        cls, data: str = "visual", *, pairs: Literal["all", "nearest"] = "all", minimal: bool = True, **changes: Any
    ) -> TripletSTDP:
        """The parameters that Pfister & Gerstner fitted (their tables 3 and 4).

        data: "visual" (cortex, Sjöström et al. 2001) or "hippocampus" (culture, Wang et al. 2005); `minimal`:
        the model without A3_minus (and, in the visual cortex, A2_plus). `changes` are other parameters. Raises
        ValueError for other data or pairings.
        """
        if (data, pairs, minimal) not in _FITS:
            raise ValueError(f"data is {data!r}, pairs is {pairs!r}; expected 'visual' or 'hippocampus', "
                             "'all' or 'nearest'")  # fmt: skip
        names = ("A2_plus", "A3_plus", "A2_minus", "A3_minus", "tau_x", "tau_y")
        values = dict(zip(names, _FITS[data, pairs, minimal], strict=True))
        return cls(**({"tau_plus": 16.8, "tau_minus": 33.7, "pairs": pairs} | values | changes))


# tau_x of the minimal models has no effect, since A3_minus is 0
_FITS = {
    ("visual", "all", False): (5e-10, 6.2e-3, 7e-3, 2.3e-4, 101.0, 125.0),
    ("visual", "all", True): (0.0, 6.5e-3, 7.1e-3, 0.0, 101.0, 114.0),
    ("visual", "nearest", False): (8.8e-11, 5.3e-2, 6.6e-3, 3.1e-3, 714.0, 40.0),
    ("visual", "nearest", True): (0.0, 5e-2, 8e-3, 0.0, 714.0, 40.0),
    ("hippocampus", "all", False): (6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946.0, 27.0),
    ("hippocampus", "all", True): (5.3e-3, 8e-3, 3.5e-3, 0.0, 946.0, 40.0),
    ("hippocampus", "nearest", False): (4.6e-3, 9.1e-3, 3e-3, 7.5e-9, 575.0, 47.0),
    ("hippocampus", "nearest", True): (4.6e-3, 9.1e-3, 3e-3, 0.0, 575.0, 48.0),
}

__all__ = ["TripletSTDP"]
