"""Rules one synapse at a time in plain Python, for lists of steps at which either side's spikes come."""

import math


def window(rule, n, dt, pre, post, w=0.5, modulator=lambda k: 0.0):
    """The weight after n steps. pre, post: sets of steps from 1 to n; of one step, pre comes first."""
    kind = type(rule).__name__
    p = rule.parameters
    x = y = x2 = y2 = c = d = 0.0
    for k in range(1, n + 1):
        tau = {"STDP": ("tau_plus", "tau_minus"), "TripletSTDP": ("tau_plus", "tau_minus"),
               "RewardSTDP": ("tau_plus", "tau_minus"), "InhibitorySTDP": ("tau", "tau")}[kind]  # fmt: skip
        x *= math.exp(-dt / p[tau[0]])
        y *= math.exp(-dt / p[tau[1]])
        if kind == "TripletSTDP":
            x2 *= math.exp(-dt / p["tau_x"])
            y2 *= math.exp(-dt / p["tau_y"])
        if kind == "RewardSTDP":
            c *= math.exp(-dt / p["tau_c"])
            d = d * math.exp(-dt / p["tau_d"]) + dt * modulator(k)
        near = getattr(rule, "pairs", "all") == "nearest"
        u = (w - p["w_min"]) / (p["w_max"] - p["w_min"]) if math.isfinite(p["w_max"]) else 0.0
        if k in pre:
            if kind == "STDP":
                w -= p["A_minus"] * y * max(u, 0.0) ** p["mu_minus"]
            elif kind == "TripletSTDP":
                w -= y * (p["A2_minus"] + p["A3_minus"] * x2)
            elif kind == "InhibitorySTDP":
                w += p["eta"] * (y - 2 * p["target"] / 1000 * p["tau"])
            else:
                c -= p["A_minus"] * y
            w = min(max(w, p["w_min"]), p["w_max"])
            x, x2 = (1.0, 1.0) if near else (x + 1, x2 + 1)
        if k in post:
            u = (w - p["w_min"]) / (p["w_max"] - p["w_min"]) if math.isfinite(p["w_max"]) else 0.0
            if kind == "STDP":
                w += p["A_plus"] * x * max(1 - u, 0.0) ** p["mu_plus"]
            elif kind == "TripletSTDP":
                w += x * (p["A2_plus"] + p["A3_plus"] * y2)
            elif kind == "InhibitorySTDP":
                w += p["eta"] * x
            else:
                c += p["A_plus"] * x
            w = min(max(w, p["w_min"]), p["w_max"])
            y, y2 = (1.0, 1.0) if near else (y + 1, y2 + 1)
        if kind == "RewardSTDP" and k % round(p["interval"] / dt) == 0:
            w = min(max(w + p["interval"] * c * (d + p["baseline"]), p["w_min"]), p["w_max"])
    return w
