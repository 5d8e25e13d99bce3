"""What a NeuroCoreX chip is loaded with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ranvier._checks import reals
from ranvier._results import Fields

#: slots of the chip, of which 4 to 93 are neurons; and binary places after the point
SLOTS, NEURONS, INPUTS, FRACTION = 96, 90, 94, 10
#: time of one step, in ms: 96 clocks of 100 kHz
STEP = 0.96
_WORDS = 1 << 18


def to_word(value: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """The nearest Q7.10 number, times 1024: from −131072 to 131071 (int64). ValueError beyond −128 and 128 − 1/1024.

    >>> rv.hardware.to_word([1.5, -0.25]).tolist()  # times 1024
    [1536, -256]
    """
    x = np.asarray(reals(value, "value"))
    word = np.floor(x * (1 << FRACTION) + 0.5)
    if not (np.isfinite(word) & (word >= -_WORDS // 2) & (word < _WORDS // 2)).all():
        raise ValueError(f"a value is {x.ravel()[np.argmax(np.abs(x))]}; expected it from -128 to 127.999: scale it")
    return word.astype(np.int64)


def from_word(word: int | np.ndarray) -> np.ndarray:
    """The number that a Q7.10 word represents.

    >>> rv.hardware.from_word(1536).item()  # 1536/1024
    1.5
    """
    return np.asarray(reals(word, "word")) / (1 << FRACTION)


@dataclass(frozen=True)
class ChipProgram(Fields):
    """Weights and parameters of a NeuroCoreX chip (Gautam et al. 2025, arXiv 2506.14138, and its VHDL).

    Each of `neurons` (at most 90) does in one step of .96 ms, in 18-bit two's complement with 10 binary places (sums
    beyond −128 and 128 wrap round):

        V + bias ≥ threshold, and not refractory:  a spike, V ← 0; this step's input is lost
        else:  V ← V + bias − leak + Σ recurrent · spikes of the step before + scale Σ feed_forward · inputs

    V goes on integrating while refractory. `feed_forward` (neurons, inputs ≤ 94) and `recurrent` (neurons, neurons, no
    neuron to itself) are whole numbers of 8 bits, −128 to 127. Learning, where `learn_feed_forward` or
    `learn_recurrent` is true: a spike of the target adds `potentiation` where the source spiked within its window, one
    of the source takes off `depression`, not below −1, where the target did; windows in steps, 0 to 127.

    Parameters
    ----------
    threshold, bias : one number or one a neuron. leak : of all neurons. All are rounded to Q7.10.
    refractory : steps after a spike without one, one number or one a neuron.
    scale : of feed-forward input, 0 to 255.

    >>> from ranvier.hardware import ChipProgram
    >>> program = ChipProgram(feed_forward=np.array([[2]]), threshold=5.0)
    >>> program.neurons, program.inputs
    (1, 1)
    """

    feed_forward: np.ndarray
    recurrent: np.ndarray | None = None
    threshold: float | Sequence[float] | np.ndarray = 0.5
    bias: float | Sequence[float] | np.ndarray = 0.0
    leak: float = 0.0
    refractory: int | Sequence[int] | np.ndarray = 0
    scale: int = 1
    learn_feed_forward: np.ndarray | bool = False
    learn_recurrent: np.ndarray | bool = False
    windows: tuple[int, int, int, int] = (127, 127, 127, 127)
    potentiation: int = 1
    depression: int = 1

    def __post_init__(self) -> None:
        forward = _weights(self.feed_forward, "feed_forward")
        n, m = forward.shape
        if not (1 <= n <= NEURONS and 0 <= m <= INPUTS):
            raise ValueError(f"feed_forward has shape {forward.shape}; expected 1 to {NEURONS} neurons (rows) and at "
                             f"most {INPUTS} inputs: use more chips")  # fmt: skip
        recurrent = _weights(np.zeros((n, n), np.int64) if self.recurrent is None else self.recurrent, "recurrent")
        if recurrent.shape != (n, n):
            raise ValueError(f"recurrent has shape {recurrent.shape}; expected {(n, n)}: [target, source]")
        if recurrent.diagonal().any():
            k = int(np.flatnonzero(recurrent.diagonal())[0])
            raise ValueError(
                f"recurrent connects neuron {k} to itself; expected a diagonal of zeros: the chip has none"
            )
        each = {
            "feed_forward": forward, "recurrent": recurrent,
            "threshold": _each(to_word(self.threshold), n, "threshold"),
            "bias": _each(to_word(self.bias), n, "bias"), "leak": int(to_word(self.leak)),
            "refractory": _each(_whole(self.refractory, "refractory", 0, 255), n, "refractory"),
            "scale": int(_whole(self.scale, "scale", 0, 255)),
            "learn_feed_forward": np.broadcast_to(np.asarray(self.learn_feed_forward, bool), (n, m)).copy(),
            "learn_recurrent": np.broadcast_to(np.asarray(self.learn_recurrent, bool), (n, n)) & ~np.eye(n, dtype=bool),
            "windows": tuple(int(_whole(w, "windows", 0, 127)) for w in self.windows),
            "potentiation": int(_whole(self.potentiation, "potentiation", 0, 255)),
            "depression": int(_whole(self.depression, "depression", 0, 255)),
        }  # fmt: skip
        if len(self.windows) != 4:
            raise ValueError(
                f"windows are {self.windows}; expected four: feed-forward source and target, recurrent ones"
            )
        for name, value in each.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def neurons(self) -> int:
        return len(self.feed_forward)

    @property
    def inputs(self) -> int:
        return self.feed_forward.shape[1]

    def same_as(self, other: ChipProgram) -> bool:
        """Whether every weight and word is the same."""
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))


def stored(program: ChipProgram, name: str) -> np.ndarray:
    """A field that the program holds as an array of words."""
    return np.asarray(getattr(program, name))


def from_words(words: dict[str, np.ndarray | int | tuple[int, ...]]) -> ChipProgram:
    """A program from fields as words, not numbers."""
    numbers = {k: from_word(v) if k in ("threshold", "bias", "leak") else v for k, v in words.items()}  # type: ignore[arg-type]
    return ChipProgram(**numbers)  # type: ignore[arg-type]


def _weights(value: np.ndarray, name: str) -> np.ndarray:
    array = np.array(value)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; expected two axes: [target, source]")
    return _whole(array, name, -128, 127)


def _whole(value: object, name: str, low: int, high: int) -> np.ndarray:
    """Whole numbers within bounds, as int64."""
    array = np.array(value)
    if array.dtype.kind not in "iufb" or not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise ValueError(f"{name} holds {array.ravel()[:3]}...; expected whole numbers: round it, or use `quantise`")
    if array.size and not (array.min() >= low and array.max() <= high):
        raise ValueError(f"{name} reaches from {array.min()} to {array.max()}; expected {low} to {high}")
    return array.astype(np.int64)


def _each(value: np.ndarray, n: int, name: str) -> np.ndarray:
    if value.shape not in ((), (n,)):
        raise ValueError(f"{name} has shape {value.shape}; expected one number or one a neuron: ({n},)")
    return np.broadcast_to(value, (n,)).copy()
