"""What is measured: a network, how long, at which step, and against whom."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Times are in ms of the network's life; `quick` is the duration of a quick run. `goals` says how many times
    faster than a peer one thread has to be; `peers` against whom it is timed. The oracles compare rates with
    all peers, over `oracle` ms without the first `skip` ms; where a step of `dt` has an error that shows, with
    NEST's adaptive one at our step `fine`.
    """

    name: str
    title: str
    module: str
    size: int
    duration: float
    quick: float
    dt: float = 0.1
    goals: Mapping[str, float] = field(default_factory=dict)
    peers: tuple[str, ...] = ("brian2", "nest")
    skip: float = 0.0
    oracle: float = 1000.0
    fine: float = 0.0

    def compared_at(self, peer: str) -> float:
        """Our step (ms) where rates are compared with this peer's."""
        return self.fine if peer == "nest" and self.fine else self.dt

    def load(self) -> ModuleType:
        return importlib.import_module(f"benchmarks.cases.{self.module}")


CUBA_GOALS = {"brian2": 1.5, "nest": 15.0}

# NEST's aeif_psc_delta and hh_cond_exp_traub step adaptively: their speed is no comparison, their rates are.
CASES = {
    case.name: case
    for case in (
        Case("cuba4000", "CUBA, 4000 neurons, 1 s", "cuba", 4000, 1000.0, 300.0, goals=CUBA_GOALS),
        Case("cuba16000", "CUBA, 16 000 neurons, 1 s", "cuba", 16000, 1000.0, 300.0, goals=CUBA_GOALS),
        Case(
            "brunel",
            "Brunel, 12 500 neurons, 15.6 M synapses, 1 s",
            "brunel",
            12500,
            1000.0,
            200.0,
            goals={"brian2": 7.0, "nest": 25.0},
        ),
        Case(
            "eif",
            "EIF Monte Carlo, 10 000 neurons, 1 s",
            "eif",
            10000,
            1000.0,
            200.0,
            dt=0.05,
            goals={"brian2": 6.0},
            peers=("brian2",),
        ),
        Case(
            "eif_net",
            "EIF network, 1000 neurons, 10 s",
            "eif_net",
            1000,
            10000.0,
            1000.0,
            dt=0.05,
            goals={"brian2": 6.0},
            peers=("brian2",),
            oracle=2000.0,
        ),
        Case(
            "cobahh",
            "COBAHH, 4000 neurons, 1 s",
            "cobahh",
            4000,
            1000.0,
            200.0,
            peers=("brian2",),
            skip=200.0,
            fine=0.0125,
        ),
    )
}
