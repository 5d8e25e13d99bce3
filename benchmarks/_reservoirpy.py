"""ReservoirPy's side of `benchmarks.reservoirs`; runs in the peers' environment.

Says "ready", reads lines {"units": n, "rows": T, "inputs": d} and answers each with process-CPU seconds of fit and run.
"""

import json
import sys
import time

import numpy as np
import reservoirpy
from reservoirpy.nodes import Reservoir, Ridge

print('"ready"', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(request["rows"] + 1, request["inputs"]))
    shape = {"lr": 1.0, "sr": 0.9, "rc_connectivity": 0.1, "input_connectivity": 1.0, "seed": 1}
    (Reservoir(request["units"], **shape) >> Ridge(ridge=1e-6)).fit(x[:51], x[1:52])
    began = time.process_time()
    model = Reservoir(request["units"], **shape) >> Ridge(ridge=1e-6)
    model.fit(x[:-1], x[1:])
    fitted = time.process_time()
    model.run(x)
    ran = time.process_time()
    print(json.dumps({"version": reservoirpy.__version__, "fit": fitted - began, "run": ran - fitted}), flush=True)
