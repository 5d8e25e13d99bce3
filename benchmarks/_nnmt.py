"""NNMT's side of `benchmarks.theory` and of the stored reference; runs in the peers' environment.

Reads {"neurons": {...}, "frequencies": [...], "repeat": n} and prints rates, transfer functions (white noise,
no refractoriness: NNMT leaves it out of the transfer function) and process-CPU seconds, as JSON. NNMT has s, V
and the noise sigma_B = sqrt(2) sigma.
"""

import json
import statistics
import sys
import time

import nnmt
import numpy as np
from nnmt.lif import delta, exp


def clock(run, repeat):
    took = []
    for _ in range(repeat):
        began = time.process_time()
        value = run()
        took.append(time.process_time() - began)
    return value, statistics.median(took)


def main():
    request = json.load(sys.stdin)
    p = {name: np.array(value, float) for name, value in request["neurons"].items()}
    mu, sigma = p["mu"] / 1000, p["sigma"] / 1000 * 2**0.5
    tau, t_ref = p["tau_m"] / 1000, p["t_ref"] / 1000
    V_0, V_th = p["V_reset"] / 1000, p["V_th"] / 1000
    rates, rates_s = clock(
        lambda: delta._firing_rates_for_given_input(mu, sigma, V_0, V_th, tau, t_ref), request["repeat"]
    )
    few, omega = request["few"], 2 * np.pi * np.array(request["frequencies"])
    answer = {"version": nnmt.__version__, "rates": rates.tolist(), "rates_s": rates_s}
    for name, function in (("shift", exp._transfer_function_shift), ("taylor", exp._transfer_function_taylor)):
        def run(function=function):
            none, tiny = np.zeros(few), np.full(few, 1e-18)
            return function(
                mu[:few], sigma[:few], tau[:few], tiny, none, V_th[:few], V_0[:few], omega, synaptic_filter=False
            )

        value, answer[f"{name}_s"] = clock(run, request["repeat"])
        answer[name] = [value.real.tolist(), value.imag.tolist()]
    print(json.dumps(answer))


main()
