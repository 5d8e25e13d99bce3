"""A writer of run folders whose every spike depends on its state: a resumed run shows any state lost.

As a script it reads paths and last steps, writes to each in a separate process, whose number it
prints, and says "gone" when that one was killed.
"""

import os
import signal
import sys

import numpy as np

from ranvier.engines.recording.segments import RunFolder

STEPS, SEGMENT, NEURONS = 2000, 40, 6
MANIFEST = {"n_neurons": NEURONS, "dt": 0.5, "duration": STEPS * 0.5, "seed": 5, "network": {"name": "toy"}}
TRACES = {"V": np.array([4, 1])}


def write(path, manifest=MANIFEST, until=STEPS):
    """Run to the end from wherever the folder is."""
    run = RunFolder.create_or_resume(path, manifest, trace_neurons=TRACES)
    stored = run.state()
    x = np.uint64(12345) if stored is None else stored["x"][()]
    v = np.zeros(2, np.float32) if stored is None else stored["v"]
    while run.completed_steps < until:
        first = run.completed_steps
        steps, neurons, at, values = [], [], [], []
        for step in range(first + 1, min(first + SEGMENT, STEPS) + 1):
            x = np.uint64((int(x) * 6364136223846793005 + 1442695040888963407) % 2**64)
            v = v * np.float32(0.9) + np.float32(int(x) % 1000)
            for neuron in range(NEURONS):
                if int(x) >> (20 + neuron) & 3 == 0:
                    steps.append(step)
                    neurons.append(neuron)
            if step % 3 == 0:
                at.append(step)
                values.append(v)
        values = np.array(values, np.float32).reshape(len(at), 2)
        run.append(step, steps, neurons, {"V": (at, values)}, {"x": np.array(x), "v": v})
    return run


if __name__ == "__main__":
    for line in sys.stdin:  # a path a line: a fork writes there until it is killed
        child = os.fork()
        if child == 0:
            path, until = line.split()
            run = write(path, until=int(until))
            while True:  # with the folder still in hand
                signal.pause()
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)
