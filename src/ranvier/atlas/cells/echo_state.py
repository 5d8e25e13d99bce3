"""Echo-state networks: how much they remember, and what they forecast beside next-generation reservoir computing."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import Ridge

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, register
from ranvier.reservoirs import ESN, NGRC, DivergenceWarning, lorenz63, memory_capacity, nrmse, valid_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

UNITS = 30  # of the reservoir whose memory is measured
DT, LYAPUNOV, TEST = 0.025, 1.1, 300
SIZES = {"small": (2000, 5, 200), "full": (20_000, 20, 1000)}  # rows for the memory, trials, units


def measure(
    seed: int,
    size: Size,
    radius: float = 0.95,
    gain: float = 0.005,
    hidden: int = 0,
    recurrent: bool = True,
    order: int = 2,
) -> dict[str, Any]:
    """radius: of the reservoir whose memory is measured; gain: of its input; hidden: units it has beside those that
    are counted. recurrent: whether the forecasting reservoir's units hear each other. order: of NG-RC's products."""
    rows, trials, units = SIZES[size]
    gentle, strong = (_memory(seed, rows, radius, scale, hidden) for scale in (gain, 200 * gain))
    at = 0.9 if recurrent else 0.0  # spectral radius
    seeds = range(trials * seed, trials * (seed + 1))
    runs = [(_forecast(s, units, at), _polynomial(s, order)) for s in seeds]
    alone = [_alone(s, at) for s in seeds]
    laser, linear = _laser(seed, at)
    return {
        "capacity": float(gentle.sum()),
        "share_lost": float(1 - strong.sum() / gentle.sum()),
        "valid": float(np.median([r[0] for r in runs])),
        "valid_ngrc": float(np.median([r[1] for r in runs])),
        "against_ngrc": float(np.median([r[0] for r in runs]) / np.median([r[1] for r in runs])),
        "alone": float(np.median(alone)),
        "laser": laser,
        "laser_gain": None if laser is None or linear is None else linear / laser,
        "curves": (gentle, strong),
    }


@cache  # the mutants change a part each
def _memory(seed: int, rows: int, radius: float, gain: float, hidden: int) -> np.ndarray:
    """Squared correlations of 30 units, and some hidden ones, with past inputs."""
    model = ESN(
        UNITS + hidden, spectral_radius=radius, input_scaling=gain, connectivity=0.5, ridge=1e-12, direct=False,
        random_state=seed,
    )  # fmt: skip
    return memory_capacity(model, length=rows)


@cache
def _lorenz(seed: int, rows: int) -> np.ndarray:
    """Lorenz's system, of unit variance over its first rows; 300 more to forecast."""
    series = lorenz63(rows + TEST, DT, seed=seed, warm_up=10.0, rough=True)
    return series / series[:rows].std(0)


def _valid(model: ESN | NGRC, series: np.ndarray, rows: int) -> float:
    """How long the forecast from the first rows stays near, in Lyapunov times."""
    known, true = series[:rows], series[rows:]
    with warnings.catch_warnings():  # a forecast that runs away is measured as such
        warnings.simplefilter("ignore", DivergenceWarning)
        prediction = model.fit(known[:-1], known[1:]).forecast(len(true), known)
    return valid_time(true, prediction, dt=DT / LYAPUNOV, variance=float(true.var(0).sum()))


@cache
def _forecast(seed: int, units: int, radius: float) -> float:
    """Of all three variables, from 400 points, by a reservoir."""
    model = ESN(
        units, spectral_radius=radius, input_scaling=0.1, bias_scaling=0.5, connectivity=0.05, washout=100,
        ridge=1e-7, difference=True, random_state=seed,
    )  # fmt: skip
    return _valid(model, _lorenz(seed, 402), 402)


@cache
def _polynomial(seed: int, order: int) -> float:
    """The same by next-generation reservoir computing."""
    return _valid(NGRC(2, orders=(order,), ridge=2.5e-8, difference=True), _lorenz(seed, 402), 402)


@cache
def _alone(seed: int, radius: float) -> float:
    """Of x from its own past, 3000 points of it; strong inputs, a leak and a gentle bias were the best of 72 choices
    on sixteen other series."""
    model = ESN(
        300, spectral_radius=radius, leak=0.5, input_scaling=1.0, bias_scaling=0.2, connectivity=0.05, washout=200,
        ridge=1e-8, random_state=seed,
    )  # fmt: skip
    return _valid(model, _lorenz(seed, 3000)[:, :1], 3000)


def _laser(seed: int, radius: float) -> tuple[float | None, float | None]:
    """Normalised mean square error of the next intensity of the Santa Fe laser: a reservoir's, and a linear filter's
    of the last 50 intensities. None without the data, see `dataset`."""
    file = dataset("series/santafe_laser.npy")
    if file is None:
        return None, None
    x = np.load(file, allow_pickle=False).astype(float)[:4001] / 255
    model = ESN(
        200, spectral_radius=radius, input_scaling=1.0, bias_scaling=0.2, washout=100, ridge=1e-7, random_state=seed
    )
    known, goal = x[:2000], x[1:2001]
    prediction = model.fit(known, goal[:, 0]).predict(x[2000:4000], history=known)
    past = np.stack([x[50 - k : 4000 - k, 0] for k in range(50)], axis=1)
    filtered = Ridge(1e-7).fit(past[:1950], x[51:2001, 0]).predict(past[1950:])
    true = x[2001:4001, 0]
    return nrmse(true, prediction) ** 2, nrmse(true, filtered) ** 2


def memory(material: dict[str, Any]) -> Figure:
    """What is left of each past input."""
    figure, axis = canvas(4.6, 3.0)
    for curve, colour, name in zip(
        material["curves"], COLOURS, ("small inputs", "inputs 200 times larger"), strict=False
    ):
        axis.plot(np.arange(1, len(curve) + 1), curve, color=colour, label=f"{name}: {curve.sum():.1f} in all")
    axis.axvline(UNITS, color=COLOURS[5], lw=0.8)
    axis.set(xlabel="steps ago", ylabel="squared correlation", ylim=(0, 1.02))
    axis.legend()
    return figure


register(
    Experiment(
        name="echo_state",
        title="Echo-state networks",
        paper="H. Jaeger (2001). The 'echo state' approach to analysing and training recurrent neural networks. GMD "
        "report 148; H. Jaeger (2002). Short term memory in echo state networks. GMD report 152.",
        summary="A fixed random recurrent network and a linear readout: it remembers at most as many inputs as it has "
        "units, and forecasts chaos.",
        claims=(
            Claim(
                "The memory capacity of N units is at most N.",
                "Jaeger (2002), proposition 2", "capacity", AtMost(UNITS), 1.0,
                "chance correlations of 60 lags with 1500 test rows or more", {"hidden": UNITS},
            ),
            Claim(
                "Nearly linear units near the edge of stability come close to it.",
                "Jaeger (2002)", "capacity", AtLeast(0.7 * UNITS), 0.0,
                "ten reservoirs remember 25.9 ± 1.2 inputs; four deviations less",
                {"radius": 0.3}, ours=True,
            ),
            Claim(
                "Nonlinearity costs memory.",
                "Jaeger (2002)", "share_lost", AtLeast(0.3), 0.0,
                "six reservoirs lose 0.52 ± 0.05; four deviations less", {"gain": 1e-4},
                ours=True,
            ),
            Claim(
                "From the same 400 points next-generation reservoir computing forecasts as far as a reservoir.",
                "Gauthier et al. (2021), Nat. Commun. 12:5564", "against_ngrc", AtMost(1.25), 0.0,
                "the spread of the trials", {"order": 1},
            ),
            Claim(
                "From x alone 300 units forecast it for several Lyapunov times, for they remember what x was.",
                "found here; settings chosen on other series", "alone", AtLeast(3.0), 0.0,
                "the series that chose gave 5.6 ± 1.6 each: the median of five stays above", {"recurrent": False},
                "Lyapunov times",
                ours=True,
            ),
            Claim(
                "The next intensity of the Santa Fe laser is told with a tenth of a linear filter's error.",
                "the task of Weigend & Gershenfeld (1994); the comparison is ours", "laser_gain", AtLeast(10.0), 0.0,
                "a bound below what five reservoirs find", {"recurrent": False},
                ours=True,
                only="the Santa Fe laser's record",
            ),
        ),
        measure=measure,
        pictures={"Memory of 30 units: squared correlation of the input with its best linear readout.": memory},
    )
)  # fmt: skip
