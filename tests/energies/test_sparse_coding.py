"""Sparse codes: against scikit-learn, closed forms, plain loops and the shared descent; dictionaries; images."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode
from sklearn.utils.estimator_checks import check_estimator

from ranvier.energies import Backtracking, ConvergenceWarning, Descent, Fixed
from ranvier.energies.sparse_coding import (
    DictionaryLearning,
    SparseCode,
    SparseCoder,
    duality_gap,
    fista,
    ista,
    lca,
    matched_cosines,
    normalised,
    objective,
    patches,
    spiking_lca,
    threshold,
    whitened,
)  # fmt: skip
from tests.laws.cells import check_cell
from tests.laws.oracles import oracle

LAM = 0.2


def problem(seed=0, B=6, M=64, N=32):
    """A random overcomplete dictionary, and signals made of a few of its atoms."""
    g = torch.Generator().manual_seed(seed)
    D = normalised(torch.randn(M, N, generator=g, dtype=torch.float64))
    codes = torch.randn(B, M, generator=g, dtype=torch.float64) * (torch.rand(B, M, generator=g) < 0.1)
    return 2 * codes @ D, D


@pytest.fixture(scope="module")
def least():
    """The lasso's minimum, by scikit-learn's coordinate descent."""
    x, D = problem()
    code = sparse_encode(x.numpy(), D.numpy(), algorithm="lasso_cd", alpha=LAM, max_iter=10_000)
    return objective(x, D, torch.from_numpy(code), LAM)


@pytest.mark.parametrize("algorithm", [ista, fista])
def test_proximal_descent_finds_the_lassos_minimum(algorithm, least):
    x, D = problem()
    code = algorithm(x, D, LAM, tol=1e-9)
    assert (objective(x, D, code, LAM) <= least + 1e-6).all()
    assert (duality_gap(x, D, code, LAM) <= 1e-9 * x.square().sum(1)).all()


def test_momentum_and_its_restarts_save_steps():
    """To a gap of 1e-8: 640 steps; 5000 without restarts, and without momentum 1000 are not enough for a 1e-4."""
    g = torch.Generator().manual_seed(6)
    D = normalised(torch.randn(40, 20, generator=g, dtype=torch.float64))
    x = torch.randn(3, 20, generator=g, dtype=torch.float64)
    fista(x, D, LAM, tol=1e-8, max_steps=1000)
    with pytest.warns(ConvergenceWarning):
        ista(x, D, LAM, tol=1e-4, max_steps=1000)


def test_lca_reaches_the_lassos_minimum(least):
    x, D = problem()
    result = objective(x, D, lca(x, D, LAM), LAM)
    torch.testing.assert_close(result, least, rtol=1e-3, atol=0.0)
    result = objective(x, D, lca(x, D, LAM, tol=1e-5), LAM)
    torch.testing.assert_close(result, least, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("penalty", ["soft", "hard"])
def test_orthogonal_atoms_have_a_closed_form(penalty):
    D = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    x = torch.linspace(-1, 1, 48, dtype=torch.float64).reshape(3, 16)
    expected = threshold(x @ D.T, 0.3, penalty)
    torch.testing.assert_close(lca(x, D, 0.3, penalty=penalty, tol=1e-8), expected, atol=1e-7, rtol=0)
    if penalty == "soft":
        torch.testing.assert_close(fista(x, D, 0.3, tol=1e-14), expected, atol=1e-6, rtol=0)


@oracle
def by_hand(x, D, penalty, step, tol):
    """Rozell et al. (2008), eq. 3.1 and 3.3, a signal and a neuron at a time."""
    out = np.zeros((len(x), len(D)))
    for s, signal in enumerate(x.numpy()):
        u, b, G = np.zeros(len(D)), D.numpy() @ signal, D.numpy() @ D.numpy().T
        for _ in range(5000):
            a, before = out[s].copy(), u.copy()
            for i in range(len(D)):
                u[i] += step * (b[i] - before[i] - sum(G[i, j] * a[j] for j in np.flatnonzero(a) if j != i))
                if abs(u[i]) <= LAM:
                    out[s, i] = 0
                else:
                    out[s, i] = u[i] if penalty == "hard" else u[i] - LAM * np.sign(u[i])
            driven = np.abs(b - G @ a).max()
            if np.abs(out[s] - a).max() <= tol * LAM * step and driven <= (1 + tol) * LAM:
                break
    return torch.from_numpy(out)


@pytest.mark.parametrize("penalty", ["soft", "hard"])
def test_the_compiled_loop_is_lca(penalty):
    x, D = problem(2, B=3, M=24, N=12)
    code = lca(x, D, LAM, penalty=penalty, step=0.1, tol=0.1)
    assert 3 < (code != 0).sum() < 60
    torch.testing.assert_close(code, by_hand(x, D, penalty, 0.1, 0.1), rtol=0, atol=1e-10)


def test_single_precision_reaches_the_same_objective(least):
    x, D = (v.float() for v in problem())
    result = objective(x, D, lca(x, D, LAM), LAM)
    torch.testing.assert_close(result.double(), least, rtol=1e-3, atol=0.0)


def test_too_large_a_step_is_halved(least):
    x, D = problem()
    result = objective(x, D, lca(x, D, LAM, step=1.0), LAM)
    torch.testing.assert_close(result, least, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("penalty", ["soft", "hard"])
def test_the_energy_is_the_objective_and_its_force_lcas(penalty):
    """Where no neuron is at its threshold, −∂E/∂a = −(a D − x) Dᵀ − C'(a), and u − a is C'(a) at its fixed point."""
    x, D = problem(3)
    energy = SparseCode(D, LAM, penalty).double()
    u = torch.randn(6, 64, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    a, b = energy.activations(u), energy.drive(x)
    value, force = energy.energy_and_force(u)
    whole = value - (b * a).sum(1) + 0.5 * x.square().sum(1)
    torch.testing.assert_close(whole, objective(x, D, a, LAM, penalty))
    inhibition = D @ D.T - torch.eye(64, dtype=torch.float64)
    torch.testing.assert_close(force + b, b - u - a @ inhibition)
    a = a.detach().requires_grad_()
    (slope,) = torch.autograd.grad(objective(x, D, a, LAM, penalty).sum(), a)
    active = a != 0
    price = LAM * a.sign() if penalty == "soft" else 0.0 * a
    torch.testing.assert_close((force + b)[active], (price - slope - u + a)[active])


SETTLED = [("soft", Fixed(0.05)), ("soft", Backtracking()), ("hard", Backtracking())]


@pytest.mark.parametrize(("penalty", "rule"), SETTLED)
def test_the_shared_descent_never_rises_and_ends_where_lca_does(penalty, rule, least):
    x, D = problem()
    energy = SparseCode(D, LAM, penalty)
    descent = Descent(energy, rule, tol=1e-6, max_steps=20_000)
    with torch.no_grad():
        settled = descent.settle(energy.init_state(6), field=energy.drive(x), trace=True)
    assert settled.trace.diff(dim=0).max() <= 1e-12
    if penalty == "soft":
        torch.testing.assert_close(objective(x, D, settled.y, LAM), least, rtol=1e-6, atol=0)


@pytest.mark.parametrize("penalty", ["soft", "hard"])
def test_fixed_steps_of_the_shared_descent_are_lcas(penalty):
    x, D = problem()
    energy = SparseCode(D, LAM, penalty)
    with torch.no_grad():
        state = Descent(energy, Fixed(0.05)).relax({"x": energy.init_state(6)}, 150, field=energy.drive(x))
    with pytest.warns(ConvergenceWarning):
        code = lca(x, D, LAM, penalty=penalty, step=0.05, tol=1e-9, max_steps=150)
    torch.testing.assert_close(energy.activations(state["x"]).detach(), code, atol=1e-10, rtol=0)


def test_lca_is_a_lawful_cell():
    x, D = problem(5, B=12)
    energy = SparseCode(D, LAM)
    drives = energy.drive(x).detach().reshape(4, 3, 64)
    check_cell(Descent(energy, Fixed(0.2), steps=5), drives, [energy.dictionary])


def test_the_duality_gap_bounds_the_distance_from_the_minimum(least):
    x, D = problem()
    for steps in (1, 5, 20, 80):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            code = ista(x, D, LAM, max_steps=steps)
        above = objective(x, D, code, LAM) - least
        assert (duality_gap(x, D, code, LAM) >= above - 1e-9).all() and above.max() > 1e-4


def test_spikes_code_as_rates_do(least):
    """Spike counts of a second resolve a code to V_th tau_m/T = 0.02 · 20/500 = 0.0008 and the corner of width V_th."""
    x, D = problem()
    observed = spiking_lca(x, D, LAM)
    torch.testing.assert_close(objective(x, D, observed.code, LAM), least, rtol=1e-3, atol=0)
    torch.testing.assert_close(observed.code, fista(x, D, LAM), atol=0.02, rtol=0)
    assert len(observed.recording.times) > 1000
    deaf = spiking_lca(x, D, LAM, duration=20.0, warm_up=0.0)  # before inhibition settles
    assert (objective(x, D, deaf.code, LAM) > 1.01 * least).any()


def test_a_planted_dictionary_is_recovered(rng):
    true = normalised(torch.from_numpy(rng.normal(size=(32, 16)))).numpy()
    X = (rng.laplace(size=(3000, 32)) * (rng.random((3000, 32)) < 0.08)) @ true
    settings = {"lam": 0.15, "max_iter": 300, "random_state": 0}
    model = DictionaryLearning(32, **settings)
    codes = model.fit_transform(X)
    cosines = matched_cosines(model.components_, true)
    assert cosines.min() > 0.95 and cosines.mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1.0, rtol=1e-12)
    assert np.square(X - model.inverse_transform(codes)).mean() < 0.1 * np.square(X).mean()
    unlearned = DictionaryLearning(32, lam=0.15, max_iter=1, rate=0.0, random_state=0).fit(X)
    assert matched_cosines(unlearned.components_, true).mean() < 0.8
    assert np.array_equal(model.components_, DictionaryLearning(32, **settings).fit(X).components_)


def test_silent_atoms_begin_anew(rng):
    X = rng.normal(size=(200, 4))
    X[:, 0] = np.abs(X[:, 0]) + 1
    model = DictionaryLearning(6, lam=1.0, max_iter=60, patience=5, rate=0.1, random_state=0)
    assert (model.fit_transform(X) != 0).any(0).sum() >= 4


def test_a_coder_takes_its_dictionary(rng):
    x, D = problem()
    least = objective(x, D, fista(x, D, LAM), LAM)
    for algorithm in ("lca", "fista"):
        coder = SparseCoder(3 * D.numpy(), lam=LAM, algorithm=algorithm).fit(x.numpy())
        code = torch.from_numpy(coder.transform(x.numpy()))
        torch.testing.assert_close(objective(x, D, code, LAM), least, rtol=1e-3, atol=0)
        np.testing.assert_allclose(coder.inverse_transform(code), code @ D)
    assert coder.get_feature_names_out()[0] == "sparsecoder0"


def test_the_learner_is_a_scikit_learn_estimator():
    with warnings.catch_warnings():  # its checks include data far from any dictionary's scale, and skip array APIs
        warnings.simplefilter("ignore")
        check_estimator(DictionaryLearning(3, lam=1.0, max_iter=3, patience=2))


def test_cosines_are_matched_one_to_one():
    true = np.eye(3)
    result = np.array([[-1.0, 0, 0], [1, 0.1, 0], [0, 0, 2]])
    np.testing.assert_allclose(matched_cosines(result, true), [1.0, 0.1 / np.hypot(1, 0.1), 1.0])
    with pytest.raises(ValueError, match="as many at least"):
        matched_cosines(result[:2], true)


def test_whitening_flattens_a_spectrum_that_falls_as_one_over_f(rng):
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    noise = np.fft.fft2(rng.normal(size=(128, 128)))
    image = np.fft.ifft2(noise / np.maximum(f, 1 / 256)).real
    white = whitened(image + 50)
    assert abs(white.mean()) < 1e-12 and white.std() == pytest.approx(1.0)
    power, before = (np.abs(np.fft.fft2(v)) ** 2 for v in (white, image))
    band = (f > 0.02) & (f < 0.15)
    slopes = [np.polyfit(np.log(f[band]), np.log(p[band]), 1)[0] for p in (power, before)]
    assert abs(slopes[0]) < 0.15 and slopes[1] == pytest.approx(-2.0, abs=0.15)
    assert power[f > 0.6].mean() < 1e-3 * power[(f > 0.05) & (f < 0.2)].mean()


def test_patches_are_where_they_say(rng):
    image = np.arange(30.0).reshape(5, 6)
    result = patches([image], 3, 200, seed=1)
    cuts = [image[i : i + 3, j : j + 3] for i in range(3) for j in range(4)]
    whole = {tuple((cut - cut.mean()).ravel()) for cut in cuts}
    assert result.shape == (200, 9) and {tuple(p) for p in result} <= whole
    assert np.abs(result.mean(1)).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": torch.zeros(2, 3)}, ValueError, "an atom is a row"),
        ({"dictionary": torch.ones(8, 4)}, ValueError, "of length 2; expected 1"),
        ({"x": torch.zeros(2, 4, dtype=torch.float64)}, TypeError, "one type"),
        ({"x": torch.full((2, 4), float("nan"))}, ValueError, r"nan in x at \[0, 0\]"),
        ({"x": torch.zeros(2, 4, dtype=torch.int64)}, TypeError, "floating"),
        ({"lam": 0.0}, ValueError, "positive threshold"),
        ({"penalty": "firm"}, ValueError, "'soft' or 'hard'"),
        ({"step": 2.0}, ValueError, "dt/τ"),
    ],
)
def test_refusals(change, error, text):
    inputs = {"x": torch.zeros(2, 4), "dictionary": torch.eye(4), "lam": 0.1}
    with pytest.raises(error, match=text):
        lca(**(inputs | change))


def test_what_does_not_converge_says_so():
    x, D = problem()
    for algorithm in (lca, ista, fista):
        with pytest.warns(ConvergenceWarning, match="raise max_steps"):
            algorithm(x, D, LAM, max_steps=3)
    with pytest.raises(ValueError, match="no direction"):
        normalised(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="without contrast"):
        whitened(np.ones((8, 8)))
    with pytest.raises(ValueError, match="3 at least"):
        patches([np.ones((2, 8))], 3, 1)
    with pytest.raises(ValueError, match="warm_up"):
        spiking_lca(x, D, LAM, duration=10.0, warm_up=10.0)
    with pytest.raises(ValueError, match="algorithm"):
        SparseCoder(D.numpy(), algorithm="omp").fit(x.numpy()).transform(x.numpy())
