"""Ranvier, Brian2 and NEST behind the same two questions: build(), then run(seed), each timed by itself."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ._statistics import describe
from .cases import Case

Spikes = tuple[np.ndarray, np.ndarray]


def high_water(status: Path) -> float:
    """Peak resident memory in MB; ru_maxrss would count what the parent process had before `exec`."""
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def bare_import() -> float:
    """Peak memory in MB after everything that a simulation needs has been imported."""
    import ranvier as rv

    rv.Network, rv.LIF, rv.Delta, rv.simulate  # noqa: B018  # attributes load lazily
    return high_water(Path("/proc/self/status"))


@dataclass
class Side:
    """One simulator with one case: `run` gives the seconds of its run phase and the spikes (ms, index)."""

    case: Case
    duration: float
    threads: int
    skip: float = 0.0
    rewire: bool = False
    build_s: float = float("nan")
    details: dict[str, float] = field(default_factory=dict)

    def build(self) -> None:
        raise NotImplementedError

    def run(self, seed: int) -> tuple[float, Spikes]:
        raise NotImplementedError

    def peak_mb(self) -> float:
        """Peak resident memory of the process that simulates, in MB (1e6 bytes)."""
        return high_water(Path("/proc/self/status"))

    def version(self) -> str:
        raise NotImplementedError

    def measure(self, seed: int) -> dict[str, Any]:
        run_s, (times, neurons) = self.run(seed)
        answer = describe(times, neurons, self.case.size, self.skip, self.duration)
        return {
            "run_s": run_s,
            "build_s": self.build_s,
            "peak_mb": self.peak_mb(),
            "seed": seed,
            **answer,
            "details": dict(self.details),
        }


class Ranvier(Side):
    """The build is the description; what `simulate` does besides running is told apart by its manifest."""

    def build(self) -> None:
        self.bare_mb = bare_import()
        self.describe(0)

    def describe(self, seed: int) -> None:
        started = time.perf_counter()
        self.net = self.case.load().ranvier(self.case.size, seed)
        self.describe_s = time.perf_counter() - started

    def run(self, seed: int) -> tuple[float, Spikes]:
        import ranvier as rv

        if self.rewire:
            self.describe(seed)
        started = time.perf_counter()
        recording = rv.simulate(self.net, self.duration, dt=self.case.dt, seed=seed, threads=self.threads)
        total = time.perf_counter() - started
        timings = recording.manifest["timings"]
        self.build_s = self.describe_s + timings["build_s"]
        self.details = {"total_s": total, "bare_mb": self.bare_mb}
        return timings["run_s"], (np.asarray(recording.times), np.asarray(recording.neurons))

    def version(self) -> str:
        import ranvier

        return f"Ranvier {ranvier.__version__}"


class Brian2(Side):
    """C++ standalone with Brian2's own optimisation flags; its binary reports the time of its run."""

    def build(self) -> None:
        import brian2 as b2

        b2.BrianLogger.suppress_hierarchy("brian2")
        self.folder = Path(tempfile.mkdtemp(prefix="ranvier-bench-"))
        b2.set_device("cpp_standalone", build_on_run=False, directory=str(self.folder))
        b2.prefs.devices.cpp_standalone.openmp_threads = self.threads if self.threads > 1 else 0
        b2.defaultclock.dt = self.case.dt * b2.ms
        b2.seed()
        # Every run of the one binary takes its seed from the environment.
        b2.device.insert_code(
            "main",
            "for (size_t i = 0; i < _random_generators.size(); i++)"
            ' _random_generators[i].seed(std::stoul(std::getenv("BENCH_SEED")) + 1000003UL*i);',
        )
        b2.device.insert_code("after_end", 'std::ofstream("status.txt") << std::ifstream("/proc/self/status").rdbuf();')
        parts = self.case.load().brian2(b2, self.case.size)
        monitor = b2.SpikeMonitor(parts[0], name="spikes")
        network = b2.Network(*parts, monitor)
        network.run(self.duration * b2.ms)
        started = time.perf_counter()
        b2.device.build(directory=str(self.folder), run=False, with_output=False)
        self.build_s = time.perf_counter() - started

    def run(self, seed: int) -> tuple[float, Spikes]:
        started = time.perf_counter()
        environment = {**os.environ, "BENCH_SEED": str(seed), "OMP_NUM_THREADS": str(self.threads)}
        with open(os.devnull, "w") as nowhere:
            subprocess.run(["./main"], cwd=self.folder, env=environment, stdout=nowhere, check=True)
        self.details = {"total_s": time.perf_counter() - started}
        results = self.folder / "results"
        run_s = float((results / "last_run_info.txt").read_text().split()[0])
        times = np.fromfile(next(results.glob("_dynamic_array_spikes_t_*")), dtype=np.float64) * 1000.0
        neurons = np.fromfile(next(results.glob("_dynamic_array_spikes_i_*")), dtype=np.int32)
        return run_s, (times + self.case.dt, neurons)  # Brian2 stamps the beginning of the step

    def peak_mb(self) -> float:
        return high_water(self.folder / "status.txt")

    def version(self) -> str:
        import brian2

        return f"Brian2 {brian2.__version__}"

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Nest(Side):
    """Built again for every run, since a kernel keeps its time and its state."""

    def build(self) -> None:
        import nest

        nest.set_verbosity("M_ERROR")

    def run(self, seed: int) -> tuple[float, Spikes]:
        import nest

        started = time.perf_counter()
        nest.ResetKernel()
        nest.local_num_threads = self.threads
        nest.resolution = self.case.dt
        nest.rng_seed = seed
        cells = self.case.load().nest(nest, self.case.size)
        recorder = nest.Create("spike_recorder")
        nest.Connect(cells, recorder)
        nest.Prepare()
        self.build_s = time.perf_counter() - started
        started = time.perf_counter()
        nest.Run(self.duration)
        run_s = time.perf_counter() - started
        nest.Cleanup()
        events = recorder.get("events")
        return run_s, (np.asarray(events["times"]), np.asarray(events["senders"]) - cells[0].global_id)

    def version(self) -> str:
        import nest

        return f"NEST {nest.__version__}"


SIDES: dict[str, type[Side]] = {"ranvier": Ranvier, "brian2": Brian2, "nest": Nest}


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
