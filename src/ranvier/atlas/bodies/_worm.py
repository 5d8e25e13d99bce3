"""The nematode's measured nervous system, run by the compiled engine, in a swimmer's body."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import torch

import ranvier as rv

#: steps of the head's oscillator on one side, and what a muscle's command gains on a motor neuron's mV
HALF_PERIOD, GAIN = 30, 0.3
#: mV: where receptors rest, and how far the whole range of a joint takes them; their synapses are half open at −35
REST, REACH, HALF_OPEN = -75.0, 80.0, -35.0
#: width of what one motor neuron feels and moves, in parts of the body
WIDTH = 0.12


def worm_controller(
    links: int, *, wiring: float = 1.0, proprioception: float = 1.0, oscillator: float = 1.0, interval: float = 30.0,
    dt: float = 1.0,
) -> Callable[[np.ndarray, int], np.ndarray]:  # fmt: skip
    """A controller for `Swimmer.run`: 302 graded neurons with the chemical synapses and gap junctions of Cook et al.
    (2019), as `ranvier run celegans` builds them, advanced by `rv.Simulation` for `interval` ms a command.

    Stretch receptors, one for each of the 18 motor neurons of forward swimming (DB1 to DB7, VB1 to VB11), excite their
    motor neuron where the joint ahead of it bends to its side, as Boyle, Berri & Cohen (2012) and Wen et al. (2012)
    have it; those of the head follow an oscillator of 60 commands instead. Each joint's torque is the difference of the
    dorsal and the ventral motor neurons' voltages nearby.

    Ours are the places of neurons, evenly spaced by number, where torques act and how strong receptors are. Muscles and
    a rhythm of the network's own are left out; A-, AS- and D-type motor neurons are simulated but move nothing.

    Parameters
    ----------
    links : of the body; 3 or more.
    wiring : conductance of a neuron's synapses, all open, over its leak; 0 cuts all connections between neurons.
    proprioception, oscillator : 1, or parts of it. interval, dt : ms.

    The controller remembers the network's state: make a new one for each episode.
    """
    network = rv.brains.celegans(noise=0.0, gain=wiring).network
    cells = network.populations[0]
    names = rv.data.celegans().chemical.names
    (dorsal, at_d), (ventral, at_v) = (_numbered(names, kind) for kind in ("DB", "VB"))
    motor, place = np.concatenate([dorsal, ventral]), np.concatenate([at_d, at_v])
    receptors = network.add(rv.Graded(tau_m=1e9, E_L=REST), len(motor), "stretch receptors")
    synapse = rv.Sigmoidal(V_half=HALF_OPEN, slope=8.0, tau=10.0, E_rev=0.0)
    network.connect(receptors, cells, weight=1.0, synapse=synapse, edges=(np.arange(len(motor)), motor))
    simulation = rv.Simulation(network, dt=dt)
    joint = np.arange(1, links) / links
    feel = _nearby(place, joint + 1 / links)  # a joint's bend is felt one link behind it
    feel[len(dorsal) :] *= -1.0
    move_d, move_v = _nearby(joint, at_d), _nearby(joint, at_v)
    head, side = place < 1 / links + 0.05, np.arange(len(motor)) < len(dorsal)

    def control(joints: np.ndarray, step: int) -> np.ndarray:
        stretch = proprioception * np.clip(feel @ joints * links / (2 * math.pi), 0, 1)
        beat = side == (step % (2 * HALF_PERIOD) < HALF_PERIOD)
        stretch[head] = oscillator * beat[head]
        simulation.set(receptors, V=torch.from_numpy(REST + REACH * stretch))
        simulation.run(interval)
        V = np.asarray(simulation.get(cells, "V"))
        torques: np.ndarray = np.clip(GAIN * (move_d @ V[dorsal] - move_v @ V[ventral]), -1, 1)
        return torques

    return control


def _numbered(names: tuple[str, ...], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of DB01, DB02, ..., and their places along the body, evenly spaced from 0 to 1."""
    index = np.array([k for k, name in enumerate(names) if re.fullmatch(kind + r"\d+", name)])
    number = np.array([int(names[k][len(kind) :]) for k in index])
    return index, (number - 0.5) / len(index)


def _nearby(at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Weights (at, places) of a Gaussian about each, that add up to 1."""
    weight = np.exp(-0.5 * ((at[:, None] - places) / WIDTH) ** 2)
    shares: np.ndarray = weight / weight.sum(1, keepdims=True)
    return shares


__all__ = ["worm_controller"]
