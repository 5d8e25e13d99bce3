"""What only a long time shows: a day of biological time, and ten thousand networks made, run and dropped.

python -m tests.attack.long day | python -m tests.attack.long rebuilds N: prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def day() -> dict[str, Any]:
    """24 h of biological time at steps of 0.5 ms: the last spike of a regular train comes when it must."""
    import torch

    import ranvier as rv

    net, length = rv.Network(), 86_400_000.0
    net.add(rv.SpikeTimes(torch.tensor([0.5, length]), torch.tensor([0, 0])), 1, "ends")
    cell = net.add(rv.LIF(tau_m=20.0, E_L=0.0, V_th=10.0, V_reset=0.0, t_ref=0.0), 1, "cell", drive=20.0)
    began = time.perf_counter()
    run = rv.simulate(net, length, dt=0.5, seed=0)
    first = float(run.times[run.neurons == cell.start][0])
    times = run.times[run.neurons == cell.start].double()
    exact = bool((times == first * torch.arange(1, len(times) + 1, dtype=torch.float64)).all())
    ends = run.times[run.neurons == 0].tolist()
    row = (f"a day of biological time: {len(times)} spikes every {first} ms, all on their step: {exact}; given spikes "
           f"at {ends} ms; {time.perf_counter() - began:.0f} s")  # fmt: skip
    return {"row": row, "good": exact and ends == [0.5, length] and len(times) == int(length // first)}


def rebuilds(count: int) -> dict[str, Any]:
    """Memory over networks that are made, run and dropped."""
    import ranvier as rv

    sizes, began = [], time.perf_counter()
    for k in range(count):
        net = rv.Network(seed=k)
        cells = net.add(rv.LIF(), 50, drive=20.0, noise=2.0)
        net.connect(cells, cells, weight=0.1, probability=0.1)
        rv.simulate(net, 5.0, seed=k)
        if k in (count // 10, count - 1):
            sizes.append(_resident())
    row = (f"{count} networks made, run and dropped: resident memory {sizes[0]:.0f} -> {sizes[-1]:.0f} MB from the "
           f"{count // 10 + 1}th to the last; {time.perf_counter() - began:.0f} s")  # fmt: skip
    return {"row": row, "good": sizes[-1] - sizes[0] < 20.0}


def _resident() -> float:
    """MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    print(json.dumps(day() if sys.argv[1] == "day" else rebuilds(int(sys.argv[2]))))
