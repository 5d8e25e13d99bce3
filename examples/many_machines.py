"""One network on several processes, of one machine or many: Brunel's (2000), which any number of them runs alike.

python examples/many_machines.py                                           one process
torchrun --nproc-per-node 2 examples/many_machines.py --out out/brunel     two processes of this machine
sbatch examples/many_machines.sbatch                                       several machines, under SLURM

Every process describes the whole network, which costs nothing, and builds the synapses onto its own neurons. A run that
was killed goes on by the same command, with as many processes or with others.
"""

import argparse
import os

import torch

import ranvier as rv


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--neurons", type=int, default=12_500)
    parser.add_argument("--seconds", type=float, default=1.0, help="biological")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--out", help="a folder, the same for all processes: the run is written there, and goes on")
    options = parser.parse_args()
    net = rv.Network(seed=1)
    cell = rv.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
    exc = net.add(cell, options.neurons * 4 // 5, "exc")
    inh = net.add(cell, options.neurons // 5, "inh")
    degree = min(1000, exc.size // 2)
    net.connect(exc, [exc, inh], weight=100.0 / degree, in_degree=degree, delay=1.5)
    net.connect(inh, [exc, inh], weight=-500.0 / degree, in_degree=degree // 4, delay=1.5)
    for population in (exc, inh):
        net.background(population, rate=20_000.0, weight=0.1)
    shared = "WORLD_SIZE" in os.environ  # torchrun says so
    recording = rv.simulate(
        net, 1000.0 * options.seconds, seed=1, threads=options.threads, ranks=shared, path=options.out, progress=True
    )
    if not shared or torch.distributed.get_rank() == 0:
        print(f"{recording.n_spikes} spikes, {recording.rates().mean():.2f} Hz")
    if shared:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
