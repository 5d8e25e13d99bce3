"""A run is the same, bit by bit, on another type of processor: one of 2003 is played by a process that may use none of
AVX, AVX2, AVX-512 and FMA, in the code compiled here, in torch, in MKL and in the C library.

Its products with one rounding are the C library's, in software, a hundred times slower: runs are short."""

import os
import subprocess
import sys

import pytest

from tests.codegen import two_kernels

OLD = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F",
}
SCRIPT = """
import hashlib, torch
import ranvier as rv

def network(kinds):
    net = rv.Network(seed=3)
    each = torch.arange(40, dtype=torch.float64)  # torch.linspace has other last bits on other processors
    made = []
    for neuron in kinds:
        p = net.add(neuron, 40, drive=8.0 + 0.5 * each, noise=6.0,
                    initial={"V": rv.Normal(-65.0, 3.0)}, positions=each[:, None] / 40)
        net.connect(p, p, weight=20.0, synapse=rv.Exponential(tau=5.0), probability=0.3)
        made.append(p)
    first, last = made[0], made[-1]
    net.connect(first, last, weight=2.0, delay=1.3, synapse=rv.ExponentialConductance(tau=5.0, E_rev=0.0),
                wiring=rv.wiring.Distance("exponential", 0.5))
    net.connect(last, first, weight=20.0, delay=0.7, synapse=rv.AlphaConductance(tau=3.0, E_rev=-80.0), in_degree=7)
    net.background(first, rate=100.0 + 20.0 * each, weight=0.4)
    return net

class Phase(rv.Neuron):
    text = "dV/dt = (drive - V + 3*sin(w) + 2*cos(3*V))/tau + noise*sqrt(2/tau)*xi", "dw/dt = cos(V)/tau"
    equations = rv.Equations(chr(10).join(text), threshold="V >= 6", reset="V = 0")
    initial = {"V": 0.0, "w": 0.0}
    tau: float = 10.0

def plastic():
    net = rv.Network(seed=3)
    net.add(Phase(), 40, drive=3.0, noise=2.0)
    source = net.add(rv.Poisson(rate=200.0), 60)
    cell = net.add(rv.LIF(), 30, drive=14.0, noise=3.0)
    net.connect(source, cell, weight=0.5, synapse=rv.Exponential(tau=5.0), plasticity=rv.rules.STDP(), probability=0.5)
    graded = net.add(rv.Graded(), 30, drive=5.0, noise=2.0)
    net.connect(graded, graded, weight=1.0, synapse=rv.Electrical(), probability=0.2)
    net.connect(graded, graded, weight=3.0, synapse=rv.Sigmoidal(V_half=-60.0, slope=4.0), probability=0.2)
    return net

HH, IZH, EIF, LIF = rv.HodgkinHuxley(), rv.Izhikevich(), rv.EIF(), rv.LIF()
for name, net, dtype, threads in [
    ("conductances", network([EIF, HH]), torch.float64, 2),
    ("others", network([LIF, IZH]), torch.float32, 2),
    ("plastic", plastic(), torch.float32, 1),
]:
    # the voltages' last bits, which spikes would show only after longer runs
    record = [rv.Probe("V", neurons=p, name=f"V{p.index}") for p in net.populations if hasattr(p.neuron, "equations")]
    out = rv.simulate(net, 8.0, dtype=dtype, threads=threads, record=record)
    digest = hashlib.sha256(out.times.numpy().tobytes() + out.neurons.numpy().tobytes())
    for probe in record:
        digest.update(out.states[probe.name].values.numpy().tobytes())
    for p in net.projections:
        if p.plasticity is not None:
            digest.update(out.weights[p].numpy().tobytes())
    print(name, str(dtype), len(out.times), digest.hexdigest())
"""


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="the switches are of x86 Linux"
)


def run(*arguments, **env):
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_two_types_of_processor_share_a_folder_and_no_file(tmp_path):
    files = []
    for processor in ({}, OLD):
        assert run(two_kernels.__file__, RANVIER_CACHE_DIR=str(tmp_path), **processor) == ["14"]
        files.append({p.name for p in tmp_path.iterdir()})
    assert len(files[0]) == 2 and len(files[1]) == 4


@pytest.mark.long
def test_a_run_is_the_same_on_another_type_of_processor():
    ours, old = (run("-c", SCRIPT, OMP_NUM_THREADS="2", **processor) for processor in ({}, OLD))
    assert len(ours) == 3 and all(int(line.split()[2]) > 10 for line in ours), ours
    assert ours == old
