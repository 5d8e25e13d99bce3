"""Supervised STDP with homeostasis: one showing of a pattern, a teacher's spike, then a search for the scale."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ranvier.learners._checked_state import CheckedState
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import pair_of
from ranvier.networks import Network
from ranvier.neurons import LIF, SpikeTimes
from ranvier.rules import STDP

_DT = 1.0  # ms


class SupervisedSTDP(CheckedState):
    """A detector of words of `bits` bits (Davies et al. 2024, arXiv 2312.02659), trained by showing each word once.

    Every bit has two injectors, one that fires for a 1 and one for a 0. In training each word's injectors fire
    together, and a teacher makes the neuron fire `lag` ms later: nearest-pair STDP raises the excitatory
    weights of the ones, W1, and strengthens the inhibitory ones of the zeros, W0 (both signs of A potentiate).
    In use the "1" injector excites by W1 and inhibits by W0, the "0" injector the other way round. Homeostasis
    scales all weights by the smallest factor at which every word learned makes the neuron fire. All of it is
    simulated, spikes and weights; steps of 1 ms.

    Parameters
    ----------
    bits : length of a word.
    neuron : `rv.LIF`; its input is a current for one step, w nA through `resistance`, as IF_curr_delta on
        SpiNNaker takes it.
    resistance : MΩ.
    tau, amplitude, w_max : STDP's time constant (ms), A_plus = −A_minus = amplitude, largest weight, nA.
    lag : ms from the word to the teacher's spike.
    spacing : ms between words in training.
    precision : of the factor.
    resolution : nA; changes of weights are cut to multiples of it, as in fixed point (1/256); 0: they are not.

    A batch is words (n, bits) of 0 and 1, or (words, labels) of which those labelled 1 are learned. Metrics:
    factor; `evaluate` takes (words, labels) and gives accuracy.

    >>> learner = rv.learners.SupervisedSTDP(bits=4)
    >>> metrics = learner.step(torch.tensor([[1, 0, 1, 1]]))
    >>> learner.fires(torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0]])).tolist()
    [True, False]
    """

    varying = loose = (r"words",)

    def __init__(
        self,
        bits: int = 10,
        *,
        neuron: LIF | None = None,
        resistance: float = 20.0,
        tau: float = 5.0,
        amplitude: float = 1.0,
        w_max: float = 20.0,
        lag: float = 5.0,
        spacing: float = 200.0,
        precision: float = 1e-4,
        resolution: float = 0.0,
    ) -> None:
        whole = isinstance(bits, int) and bits >= 1
        if not (whole and lag >= _DT and spacing > lag and precision > 0 and resistance > 0 and resolution >= 0):
            raise ValueError(
                f"bits is {bits}, lag is {lag}, spacing is {spacing}, precision is {precision}, resistance = "
                f"{resistance}, resolution = {resolution}; expected a whole number of bits >= 1, spacing > lag >= 1 "
                "ms, resolution >= 0 and the others above 0"
            )
        self.bits, self.resistance, self.lag, self.spacing = bits, resistance, lag, spacing
        self.precision, self.resolution = precision, resolution
        self.neuron = LIF(tau_m=20.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=0.0) if neuron is None else neuron
        self.excitatory, self.inhibitory = (
            STDP(tau_plus=tau, tau_minus=tau, A_plus=a, A_minus=-a, w_min=low, w_max=high, pairs="nearest")
            for a, low, high in ((amplitude, 0.0, w_max), (-amplitude, -w_max, 0.0))
        )
        # a current of 1 nA for a step, so that the membrane, which leaks within the step, ends where it should
        self.jump = resistance * math.expm1(_DT / float(self.neuron.parameters["tau_m"]))
        self.weights = torch.zeros(2, bits, dtype=torch.float64)  # W0, W1, both positive, nA
        self.words = torch.zeros(0, bits, dtype=torch.int64)
        self.factor = 1.0

    def step(self, batch: Any) -> Metrics:
        """Show each new word once, then search for the factor."""
        words, labels = batch if isinstance(batch, tuple | list) else (batch, None)
        words = self._checked(words)
        words = words if labels is None else words[self._labels(words, labels)]
        if len(words) == 0:
            raise ValueError("there is no word to learn; expected at least one labelled 1")
        self.weights = self.weights + self.shown(words)
        self.words = torch.cat([self.words, words])
        self.factor = self.search()
        return {"factor": self.factor, "examples": len(words)}

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Of (words (n, bits), labels (n,)): does the neuron fire for the words labelled 1, and for no other?"""
        words, labels = pair_of(batch)
        right = self.fires(words) == self._labels(words, labels)
        return {"accuracy": float(right.double().mean()), "examples": len(right)}

    def shown(self, words: Tensor) -> Tensor:
        """What STDP makes of the words, (2, bits): the changes of W0 and W1, by simulation."""
        from ranvier.engines import simulate

        words = self._checked(words)
        at = 1.0 + self.spacing * torch.arange(len(words), dtype=torch.float64)
        word, bit = torch.meshgrid(torch.arange(len(words)), torch.arange(self.bits), indexing="ij")
        injector = bit + self.bits * words  # the zeros' first, then the ones'
        net = Network()
        source = net.add(SpikeTimes(at[word].flatten(), injector.flatten()), 2 * self.bits, name="injectors")
        taught = SpikeTimes(at + self.lag - _DT, torch.zeros(len(words), dtype=torch.int64))
        teacher = net.add(taught, 1, name="teacher")
        cell = net.add(self.neuron, 1, name="detector")
        every, none = torch.arange(self.bits), torch.zeros(self.bits, dtype=torch.int64)
        zeros = net.connect(source, cell, weight=0.0, delay=_DT, edges=(every, none), plasticity=self.inhibitory)
        ones = net.connect(
            source, cell, weight=0.0, delay=_DT, edges=(every + self.bits, none), plasticity=self.excitatory
        )
        net.connect(teacher, cell, weight=1e6, delay=_DT, edges=(none[:1], none[:1]))
        recording = simulate(net, float(at[-1]) + self.spacing, dt=_DT, dtype=torch.float64)
        fired = int((recording.neurons == cell.start).sum())
        if fired != len(words):
            raise ValueError(f"there are {fired} spikes of the detector for {len(words)} words; expected one each")
        potentiation = torch.stack([-recording.weights[zeros], recording.weights[ones]]).double()
        if self.resolution == 0:
            return potentiation
        # a change of just so many units may lie a rounding below
        return torch.floor(potentiation / self.resolution + 1e-9) * self.resolution

    def fires(self, words: Tensor, factor: float | None = None) -> Tensor:
        """(n,) bool: whether the neuron fires for each word, each simulated on a separate neuron."""
        from ranvier.engines import simulate

        words = self._checked(words)
        n, factor = len(words), self.factor if factor is None else factor
        word, bit = torch.meshgrid(torch.arange(n), torch.arange(self.bits), indexing="ij")
        word, bit, value = word.flatten(), bit.flatten(), words.flatten()
        net = Network()
        injector = torch.arange(n * self.bits)
        source = net.add(SpikeTimes(torch.ones(len(injector), dtype=torch.float64), injector), len(injector))
        cells = net.add(self.neuron, n)
        scale = factor * self.jump
        for sign, place in ((scale, value), (-scale, 1 - value)):  # excitation by one's own value's weight
            net.connect(source, cells, weight=sign * self.weights[place, bit], delay=_DT, edges=(injector, word))
        recording = simulate(net, 5.0, dt=_DT, dtype=torch.float64)
        fired = torch.zeros(n, dtype=torch.bool)
        fired[recording.neurons[recording.neurons >= cells.start] - cells.start] = True
        return fired

    def search(self) -> float:
        """The smallest factor at which each word learned fires, to `precision`: bisection, then line by line."""
        high = 1.0
        while not bool(self.fires(self.words, high).all()):
            high *= 2.0
            if high > 2.0**20:
                raise ValueError(
                    "there is a word learned that no factor makes fire; expected words that leave each other some "
                    "weight: complementary ones cancel"
                )
        low = 0.0 if high == 1.0 else high / 2.0
        while high - low > 8 * self.precision:
            middle = (low + high) / 2.0
            low, high = (low, middle) if bool(self.fires(self.words, middle).all()) else (middle, high)
        while not bool(self.fires(self.words, low).all()):
            low += self.precision
        return low

    def _checked(self, words: Tensor) -> Tensor:
        words = torch.as_tensor(words)
        if words.ndim != 2 or words.shape[1] != self.bits or not bool(((words == 0) | (words == 1)).all()):
            raise ValueError(f"words have shape {tuple(words.shape)}; expected (n, {self.bits}) of 0 and 1")
        return words.long()

    @staticmethod
    def _labels(words: Tensor, labels: Tensor) -> Tensor:
        labels = torch.as_tensor(labels)
        if labels.shape != (len(words),) or not bool(((labels == 0) | (labels == 1)).all()):
            raise ValueError(f"labels have shape {tuple(labels.shape)}; expected ({len(words)},) of 0 and 1")
        return labels == 1

    def describe(self) -> dict[str, Any]:
        """Settings, neuron and rules."""
        names = ("bits", "resistance", "lag", "spacing", "precision", "resolution")
        rules = {"excitatory": repr(self.excitatory), "inhibitory": repr(self.inhibitory), "neuron": repr(self.neuron)}
        return {"learner": "SupervisedSTDP", **{name: getattr(self, name) for name in names}, **rules}

    def state_dict(self) -> dict[str, Any]:
        """Weights, the words they were learned from, the factor."""
        return {"weights": self.weights.clone(), "words": self.words.clone(), "factor": self.factor}

    def _take_up(self, state: dict[str, Any]) -> None:
        if not state["factor"] > 0:
            raise ValueError(f"state.factor is {state['factor']}; expected it above 0")
        words = state["words"]
        if words.ndim != 2 or words.shape[1] != self.bits or not bool(((words == 0) | (words == 1)).all()):
            raise ValueError(f"state.words has shape {tuple(words.shape)}; expected (n, {self.bits}) of 0 and 1")
        self.words = words.clone()
        self.weights, self.factor = state["weights"].clone(), state["factor"]


__all__ = ["SupervisedSTDP"]
