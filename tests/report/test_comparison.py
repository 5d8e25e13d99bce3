"""A comparison finds agreement where there is some, and disagreement where it is planted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines import Recording
from ranvier.report import compare
from ranvier.report.comparison_figures import grouped

N, SECONDS, SHARED, RATE = 8, 400, 2.0, 8.0  # a common Poisson train of 2 Hz in the first four


def recording() -> Recording:
    """Independent Poisson trains; the first four neurons also share one."""
    rng = np.random.default_rng(5)
    duration = SECONDS * 1000.0
    times, neurons = [], []
    common = np.sort(rng.uniform(1, duration, rng.poisson(SHARED * SECONDS)))
    for k in range(N):
        own = rng.uniform(1, duration, rng.poisson((RATE - SHARED if k < 4 else RATE) * SECONDS))
        each = np.concatenate([own, common + 5.0 * k]) if k < 4 else own
        each = np.unique(np.rint(np.clip(each, 1, duration) / 0.1).astype(np.int64))
        times.append(each)
        neurons.append(np.full(len(each), k, np.int32))
    steps, cells = np.concatenate(times), np.concatenate(neurons)
    order = np.lexsort((cells, steps))
    return Recording(steps[order], cells[order], n_neurons=N, dt=0.1, duration=duration)


class Truth:
    """What theory would say of `recording`, in closed form; `factor` spoils the correlations."""

    def __init__(self, factor: float = 1.0, rate: float = RATE) -> None:
        self.factor, self.rate = factor, rate
        self.report = SimpleNamespace(spectral_radius=0.1, recurrent_noise=torch.zeros(N), counted="none")

    n_neurons = N

    def rates(self, *, neurons=None):
        return torch.full((N,), self.rate, dtype=torch.float64)

    def cv(self, *, neurons=None):
        raise NotImplementedError

    def covariance(self, window, *, neurons=None):
        raise NotImplementedError

    def spectrum(self, f, *, neurons=None, pairs=None):
        raise NotImplementedError

    def correlation(self, window, *, neurons):
        C = torch.eye(N, dtype=torch.float64)
        for i in range(4):
            for j in range(4):
                if i != j:
                    # two trains shifted by 5 ms share a window but for the shift
                    C[i, j] = self.factor * SHARED / RATE * (1 - 5.0 * abs(i - j) / window)
        return C[neurons][:, neurons]

    def cross_correlation(self, lags, *, pairs):
        lags = torch.as_tensor(lags, dtype=torch.float64)
        bin_width = lags[1] - lags[0]
        out = torch.zeros(len(lags), len(pairs), dtype=torch.float64)
        for p, (i, j) in enumerate(np.asarray(pairs)):
            if i < 4 and j < 4:
                # s_i(t + τ) s_j(t): i lags behind j by 5 (i − j) ms
                distance = (lags - 5.0 * (i - j)).abs() / bin_width
                out[:, p] = self.factor * SHARED * (1 - distance).clamp(min=0) / (bin_width / 1000)
        return out


@pytest.fixture(scope="module")
def recorded():
    return recording()


def test_the_truth_lies_within_its_errors(recorded):
    result = compare(recorded, Truth())
    assert result.within(3.0) > 0.9 and result.slope == pytest.approx(1.0, abs=0.05)
    explained, most = result.explained
    assert explained == pytest.approx(most, abs=0.03) and most > 0.9
    assert result.predicted_levels.mean() == pytest.approx(result.simulated_levels.mean(), rel=0.02)
    # the pairs of the strongest prediction are the planted ones, with their lags on the right side
    assert {tuple(p) for p in result.pairs[:6].tolist()} == {(i, j) for i in range(4) for j in range(i + 1, 4)}
    for k in range(6):
        i, j = result.pairs[k]
        at = result.lags[np.argmax(result.simulated_lags[:, k])]
        assert at == result.lags[np.argmax(result.predicted_lags[:, k])] == 5.0 * (j - i)
    assert (np.abs(result.simulated_lags - result.predicted_lags) < 5 * result.lag_errors + 1)[:, :6].mean() > 0.95


@pytest.mark.parametrize("wrong", [Truth(factor=0.7), Truth(factor=-1.0)])
def test_a_wrong_prediction_is_seen(recorded, wrong):
    result = compare(recorded, wrong)
    assert result.within(3.0) < 0.9 and abs(result.slope - 1) > 0.2
    assert result.explained[0] < result.explained[1] - 0.05


def test_it_is_written_as_a_page(recorded, tmp_path):
    page = compare(recorded, Truth()).save(tmp_path / "page.html").read_text()
    assert page.count("<img") == 3 and "Predicted beside simulated" in page and "http" not in page.split("<body>")[1]
    assert "28" in page  # pairs


def test_other_networks_and_short_runs_are_refused(recorded):
    short = recorded.after(SECONDS * 1000.0 - 1500.0)
    with pytest.raises(ValueError, match="simulate longer"):
        compare(short, Truth())
    other = Truth()
    other.rates = lambda: torch.ones(N + 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="same network"):
        compare(recorded, other)


def test_groups_average_sampling_errors_away():
    rng = np.random.default_rng(0)
    predicted = rng.normal(0, 0.02, 20_000)
    simulated = predicted + rng.normal(0, 0.05, len(predicted))
    centres, means, errors = grouped(predicted, simulated, 24)
    assert len(centres) > 12 and np.abs((means - centres) / errors).mean() < 1.2
    assert np.median(errors) < 0.004


def test_graded_networks_are_compared_by_their_voltages(tmp_path):
    net = rv.Network(seed=3)
    cells = net.add(rv.Graded(tau_m=20.0), 10, noise=2.0)
    net.connect(cells, cells, weight=0.6, probability=0.3, synapse=rv.Electrical())
    net.connect(cells, cells, weight=10.0, probability=0.2, synapse=rv.Sigmoidal(slope=6.0, tau=5.0))
    recording = rv.simulate(net, 60_000.0, dt=0.5, seed=1, record=rv.Probe("V", interval=5.0))
    result = compare(recording, rv.predict(net))
    assert result.kind == "voltages" and result.within(3.0) > 0.9 and result.slope == pytest.approx(1.0, abs=0.1)
    assert (np.abs(result.simulated_levels - result.predicted_levels) < 5 * result.level_errors + 0.02).all()
    assert (np.abs(result.simulated_lags - result.predicted_lags) < 5 * result.lag_errors + 0.02).mean() > 0.95
    assert np.abs(result.predicted_lags).max() > 0.2
    assert "mV" in result.save(tmp_path / "page.html").read_text()
    with pytest.raises(ValueError, match="record='V'"):
        compare(rv.simulate(net, 10_000.0, dt=0.5), rv.predict(net))
