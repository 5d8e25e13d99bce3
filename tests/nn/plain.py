"""Oracle of cells: every cell's equations once more, by the plainest means: NumPy, float64, one number after another
where it helps."""

import math

import numpy as np


def numbers(cell):
    """Parameters and buffers by name."""
    return {k: v.detach().double().numpy() if v.is_floating_point() else v.numpy() for k, v in
            [*cell.named_parameters(), *cell.named_buffers()]}  # fmt: skip


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lif(cell, x):
    """All variants of LIF; recurrent spikes travel one step."""
    p, T, B = numbers(cell), *x.shape[:2]
    v = np.zeros((B, cell.out_features))
    i, a, y, out = v, v, v, []
    v = v + p.get("initial", 0.0)
    for t in range(T):
        current = x[t] if "linear.weight" not in p else x[t] @ p["linear.weight"].T + p["linear.bias"]
        if "recurrent" in p:
            current = current + y @ p["recurrent"].T
        if "alpha" in p:
            i = p["alpha"] * i + current
            current = i
        u = p["beta"] * v + current
        y = (u >= p["threshold"] + p.get("kappa", 0.0) * a).astype(float)
        zero = u - p.get("reset_to", 0.0)
        taken = {"subtract": p["threshold"], "zero": zero, "delayed": p["threshold"] / p["beta"]}[cell.reset]
        v = u - taken * y
        a = p.get("rho", 0.0) * a + y
        out.append(y)
    return np.array(out)


def li(cell, x):
    p, u, out = numbers(cell), np.zeros((x.shape[1], cell.out_features)), []
    for row in x:
        u = p["beta"] * u + row @ p["linear.weight"].T + p["linear.bias"]
        out.append(u)
    return np.array(out)


def spiking_lstm(cell, x):
    p = numbers(cell)
    rest = np.zeros((x.shape[1], cell.out_features))
    return gated(x, rest, p["threshold"], lambda x: x @ p["linear.weight"].T + p["linear.bias"],
                 lambda v: v @ p["recurrent.weight"].T)  # fmt: skip


def gated(x, rest, threshold, drive, feedback):
    """An LSTM with spikes, by what inputs and membranes give to its four gates."""
    v, c, out = rest, rest, []
    for row in x:
        i, f, g, o = np.split(drive(row) + feedback(v), 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        u = sigmoid(o) * np.tanh(c)
        y = (u >= threshold).astype(float)
        v = u - threshold * y
        out.append(y)
    return np.array(out)


def conv(x, weight, bias=0.0):
    """Correlation of maps (B, C, H, W) with kernels (M, C, k, k), zeros around."""
    k = weight.shape[-1]
    around = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (k, k), (2, 3))
    return np.einsum("bchwij,mcij->bmhw", windows, weight) + np.reshape(bias, (-1, 1, 1))


def spiking_conv_lstm(cell, x):
    p = numbers(cell)
    rest = np.zeros((x.shape[1], cell.out_channels, *cell.size))
    return gated(x, rest, p["threshold"], lambda x: conv(x, p["conv.weight"], p["conv.bias"]),
                 lambda v: conv(v, p["recurrent.weight"]))  # fmt: skip


def psn(cell, x):
    p, out = numbers(cell), np.zeros_like(x)
    for t in range(len(x)):
        h = sum(p["weight"][t, s] * x[s] for s in range(t + 1))
        out[t] = h >= p["threshold"][t]
    return out


def convolved_back(graph, x):
    """LIF neurons alone, and their last spikes through a convolution."""
    p, cell = numbers(graph), graph.nodes["cell"][0]
    v, back, out = np.zeros(x.shape[1:]), 0.0, []  # nothing, not even a bias, before the first step
    for row in x:
        u = cell.beta.item() * v + row + back
        y = (u >= cell.threshold.item()).astype(float)
        v = u - cell.threshold.item() * y
        back = conv(y, p["nodes.feedback.0.weight"], p["nodes.feedback.0.bias"])
        out.append(y)
    return np.array(out)


def sliding_psn(cell, x):
    p, out = numbers(cell), np.zeros_like(x)
    for t in range(len(x)):
        h = sum(p["kernel"][i] * x[t - i] for i in range(cell.order) if t >= i)
        out[t] = h >= p["threshold"]
    return out


def threshold_norm(cell, x):
    p = numbers(cell)
    scaled = cell.scale * cell.threshold * (x - p["running_mean"]) / np.sqrt(p["running_var"] + cell.eps)
    return p["weight"] * scaled + p["bias"]


def norm_through_time(cell, x):
    p = numbers(cell)
    rows = ((row - m) / np.sqrt(v + cell.eps) for row, m, v in zip(x, p["running_mean"], p["running_var"], strict=True))
    return np.array([w * row for w, row in zip(p["weight"], rows, strict=True)])


def neuron(cell, x):
    """rv.LIF under a current held over each step, solved: V relaxes to E_L + drive + I."""
    p, B = numbers(cell), x.shape[1]
    V, left, out = np.full((B, x.shape[2]), p["V_reset"]), np.zeros((B, x.shape[2])), []
    steps = round(float(p["t_ref"]) / cell.dt)
    for row in x:
        end = p["E_L"] + p["drive"] + row
        free = end + (V - end) * np.exp(-cell.dt / p["tau_m"])
        V = np.where(left > 0, V, free)
        y = (p["V_th"] <= V) & (left <= 0)
        V = np.where(y, p["V_reset"], V)
        left = np.where(y, steps, np.maximum(left - 1, 0))
        out.append(y.astype(float))
    return np.array(out)


def ltc(cell, x):
    """Matrix form, units by units; the parameters of absent synapses are those of w = 0."""
    p, n = numbers(cell), cell.units
    positive = {k: np.log1p(np.exp(p[k])) for k in ("gleak", "cm", "w", "sensory_w")}

    def dense(synapses, values, rows):
        matrix = np.zeros((rows, n))
        matrix[synapses.sources, synapses.targets] = values
        return matrix

    tables = {}
    for prefix, synapses, rows in (("", cell.wiring.recurrent, n), ("sensory_", cell.wiring.sensory, cell.in_features)):
        values = {k: p[prefix + k] for k in ("sigma", "mu", "erev")} | {"w": positive[prefix + "w"]}
        tables[prefix] = {k: dense(synapses, v, rows) for k, v in values.items()}

    def conductance(pre, t):
        open_ = t["w"] * sigmoid(t["sigma"] * (pre[:, :, None] - t["mu"]))
        return (open_ * t["erev"]).sum(1), open_.sum(1)

    v, out = np.zeros((x.shape[1], n)), []
    for row in x:
        by_input = conductance(row * p["input_w"] + p["input_b"], tables["sensory_"])
        for _ in range(cell.unfolds):
            reverse, total = conductance(v, tables[""])
            c = positive["cm"] * cell.unfolds
            above = c * v + positive["gleak"] * p["vleak"] + reverse + by_input[0]
            v = above / (c + positive["gleak"] + total + by_input[1] + cell.epsilon)
        out.append(v[:, : cell.wiring.outputs] * p["output_w"] + p["output_b"])
    return np.array(out)


def cfc(cell, x):
    p, h, out = numbers(cell), np.zeros((x.shape[1], cell.units)), []
    for row in x:
        z = np.concatenate([row, h], 1)
        z = 1.7159 * np.tanh(0.666 * (z @ p["layers.0.backbone.0.weight"].T + p["layers.0.backbone.0.bias"]))
        heads = z @ p["layers.0.heads.weight"].T + p["layers.0.heads.bias"]
        f, g, a, b = np.split(heads, 4, 1)
        gate = sigmoid(a + b)
        h = np.tanh(f) * (1 - gate) + np.tanh(g) * gate
        out.append(h)
    return np.array(out)


def elm(cell, x):
    p, B = numbers(cell), x.shape[1]
    kappa, kappa_s = np.exp(-cell.dt / cell.tau_m.detach().numpy()), math.exp(-cell.dt / 5.0)
    traces, m, out = np.zeros((B, *p["synapses"].shape)), np.zeros((B, cell.memory)), []
    for row in x:
        traces = kappa_s * traces + np.maximum(p["synapses"], 0) * row[:, p["indices"]]
        z = np.concatenate([traces.sum(2), kappa * m], 1)
        z = np.maximum(z @ p["mlp.0.weight"].T + p["mlp.0.bias"], 0) @ p["mlp.1.weight"].T + p["mlp.1.bias"]
        m = kappa * m + cell.lam * (1 - kappa) * 1.7159 * np.tanh(2 / 3 * z)
        out.append(m @ p["readout.weight"].T + p["readout.bias"])
    return np.array(out)


def astrocyte(cell, x):
    p, (B, n) = numbers(cell), (x.shape[1], cell.out_features)
    v, y, c, out = np.zeros((B, n)), np.zeros((B, n)), np.zeros((B, cell.astrocytes)), []
    release = sigmoid(p["alpha_logit"])
    for row in x:
        z, squared = np.concatenate([row, y], 1), np.repeat(c**2 / (1 + c**2), n // cell.astrocytes, 1)[:, :, None]
        current = (p["weight"] * ((1 - squared) * 0.5 + squared * release) * z[:, None]).sum(2)
        c = p["kappa"] * c + row @ np.maximum(p["sensing"], 0).T
        u = cell.beta * v + current + p["bias"]
        y = (u >= 1).astype(float)
        v = u - y
        out.append(y)
    return np.array(out)


def segments(cell, row):
    """Which neurons have a segment that matches: row (inputs,)."""
    p, result = numbers(cell), np.zeros(cell.neurons)
    for synapses, weights, owner in zip(p["synapses"], p["weight"], p["owner"], strict=True):
        total = sum(w * row[k] for k, w in zip(synapses, weights, strict=True) if k >= 0)
        result[owner] = max(result[owner], float(total >= cell.threshold))
    return result


def dendrites(cell, x):
    out = np.zeros((*x.shape[:2], cell.neurons))
    for b in range(x.shape[1]):
        v = np.zeros(cell.neurons)
        for t in range(len(x)):
            v = np.maximum(segments(cell, x[t, b]), cell.decay * v)
            out[t, b] = v
    return out


def sequence_recall(cell, x):
    out = np.zeros_like(x)
    for b in range(x.shape[1]):
        predicted = np.zeros((cell.in_features, cell.cells))
        for t in range(len(x)):
            active = np.zeros_like(predicted)
            for column in np.flatnonzero(x[t, b]):
                active[column] = predicted[column] if predicted[column].any() else 1.0
            predicted = segments(cell.dendrites, active.ravel()).reshape(predicted.shape)
            out[t, b] = predicted.max(1)
    return out


def delay(cell, x):
    steps = np.broadcast_to(numbers(cell)["steps"], x.shape[2:])
    out = np.zeros_like(x)
    for t in range(len(x)):
        for n, d in enumerate(steps):
            out[t, :, n] = x[t - d, :, n] if t >= d else 0.0
    return out


def delayed_linear(cell, x):
    p = numbers(cell)
    steps = np.broadcast_to(p["steps"], p["weight"].shape)
    out = np.zeros((*x.shape[:2], cell.out_features)) + p["bias"]
    for t in range(len(x)):
        for i in range(cell.out_features):
            for k in range(cell.in_features):
                if t >= steps[i, k]:
                    out[t, :, i] += p["weight"][i, k] * x[t - steps[i, k], :, k]
    return out


def linear(module, x):
    p = numbers(module)
    return x @ p["weight"].T + p["bias"]


def graph(cell, x):
    """Branches "left" and "right" behind "first", summed; right's spikes come back by "back", a step later."""
    first, left, right, back = (cell.nodes[name][0] for name in ("first", "left", "right", "back"))
    p, q, v, w = numbers(right), numbers(left), 0.0, 0.0
    spikes, out = np.zeros((x.shape[1], right.out_features)), []
    for row in x:
        both = linear(first, row) + linear(back, spikes) * (len(out) > 0)
        u = p["beta"] * v + both
        spikes = (u >= p["threshold"]).astype(float)
        v = u - p["threshold"] * spikes
        w = q["beta"] * w + both @ q["linear.weight"].T + q["linear.bias"]
        out.append(w + spikes)
    return np.array(out)


def in_a_row(cell, x):
    """nn.Linear, neurons alone, LI."""
    return li(cell[2], lif(cell[1], linear(cell[0], x)))
