"""A process with one simulator and one case: a line of JSON in, a line out, until its input ends."""

import dataclasses
import json
import os
import sys

from ._processes import answering


def main() -> None:
    request = json.loads(sys.argv[1])
    threads = str(request["threads"])
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = threads
    answer = answering()  # simulators print to the standard output
    from ._sides import SIDES
    from .cases import CASES

    try:
        case = CASES[request["case"]]
        side = SIDES[request["side"]](
            dataclasses.replace(case, dt=request.get("dt") or case.dt),
            request["duration"],
            request["threads"],
            request.get("skip", 0.0),
            request.get("rewire", False),
        )
        side.build()
        answer({"version": side.version(), "build_s": side.build_s})
        for line in sys.stdin:
            answer(side.measure(json.loads(line)["seed"]))
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        if "side" in locals() and hasattr(side, "close"):
            side.close()


if __name__ == "__main__":
    main()
