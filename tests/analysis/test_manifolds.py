"""Components, density and topology against closed forms, scikit-learn and ripser."""

import numpy as np
import pytest

from ranvier.analysis import manifolds as m

rng = np.random.default_rng(2)
ANGLE = np.sort(rng.uniform(0, 2 * np.pi, 150))
CIRCLE = np.column_stack([np.cos(ANGLE), np.sin(ANGLE)]) + 0.03 * rng.standard_normal((150, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [7, 40])
def test_components_are_those_of_scikit_learn(dtype, columns, monkeypatch):
    decomposition = pytest.importorskip("sklearn.decomposition")
    monkeypatch.setattr(m.components, "_SMALL", 20)  # 40 columns go by subspace iteration
    monkeypatch.setattr(m.components, "_CHUNK", 1000)  # in pieces
    x = (rng.standard_normal((300, columns)) * 2.0 ** -np.arange(columns) + 7).astype(dtype)
    ours, theirs = m.principal_components(x, 3), decomposition.PCA(3).fit(x.astype(np.float64))
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_, rtol=1e-7)
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_, rtol=1e-7)
    np.testing.assert_allclose(np.abs((ours.axes * theirs.components_).sum(1)), 1.0, atol=1e-7)
    np.testing.assert_allclose(np.abs(ours.project(x)), np.abs(theirs.transform(x)), atol=1e-4)
    assert (np.take_along_axis(ours.axes, np.abs(ours.axes).argmax(1)[:, None], 1) > 0).all()


def test_lists_and_nothing_are_taken():
    assert m.principal_components([[1.0, 2.0], [3.0, 4.0]], 1).variance == pytest.approx([4.0])
    assert m.participation_ratio([[1.0, 2.0], [3.0, 4.0]]) == pytest.approx(1.0)


def test_only_pieces_are_read(monkeypatch):
    monkeypatch.setattr(m.components, "_CHUNK", 200)

    class Rows:
        shape, dtype, largest = (500, 20), np.float32, 0

        def __getitem__(self, key):
            part = np.random.default_rng(key.start).standard_normal((len(range(*key.indices(500))), 20))
            Rows.largest = max(Rows.largest, len(part))
            return part

    assert m.principal_components(Rows(), 2).axes.shape == (2, 20)
    assert Rows.largest == 10


@pytest.mark.parametrize("rows", [3000, 12])
def test_participation_ratio_of_known_spectra(rows):
    variances = np.array([4.0, 2.0, 1.0, 0.5] + [0.0] * 16)
    x = rng.standard_normal((rows, 20)) * np.sqrt(variances)
    values = np.linalg.eigvalsh(np.cov(x.T))
    assert m.participation_ratio(x) == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-9)
    if rows == 3000:
        assert m.participation_ratio(x) == pytest.approx(7.5**2 / 21.25, rel=0.05)
    assert np.isnan(m.participation_ratio(np.ones((5, 2))))
    assert m.dimension(np.diag([2.0, 1.0, 1.0])[[0, 1, 2, 0, 1, 2]], share=1.0) == 2  # three points lie in a plane


def test_memberships_add_up_and_distances_are_symmetric():
    from scipy.spatial.distance import cdist

    d = m.fuzzy_distances(CIRCLE, neighbours=20, metric="euclidean")
    assert np.array_equal(d, d.T) and (np.diag(d) == 0).all() and np.isfinite(d).all()
    raw = np.sort(cdist(CIRCLE, CIRCLE), 1)[:, 1:21]
    rho, sigma = m.neighbours._scales(raw)
    np.testing.assert_allclose(np.exp(-(raw - rho[:, None]) / sigma[:, None]).sum(1), np.log2(20), rtol=1e-6)
    # a pair by hand: a + b - ab
    full = cdist(CIRCLE, CIRCLE)
    a, b = (np.exp(-max(full[i, j] - rho[i], 0) / sigma[i]) for i, j in ((3, 8), (8, 3)))
    assert d[3, 8] == pytest.approx(-np.log(a + b - a * b), rel=1e-9)


def test_points_are_chosen_evenly_and_outliers_last():
    points = np.concatenate([CIRCLE, [[9.0, 9.0]]])
    chosen = m.downsample(points, 40, metric="euclidean")
    assert len(set(chosen.tolist())) == 40 and 150 not in chosen
    gaps = np.diff(np.sort(ANGLE[chosen]))
    assert gaps.max() < 0.6  # no arc is empty; 2 pi/40 is 0.16
    assert m.farthest(points, 2)[1] == 150
    assert m.downsample(points, 500).tolist() == list(range(151))


def test_a_circle_has_one_loop_and_a_disc_none():
    circle, disc = m.persistence(m.distances(CIRCLE)), rng.uniform(-1, 1, (200, 2))
    disc = m.persistence(m.distances(disc[(disc**2).sum(1) < 1]))
    assert circle.betti([0.5, 0.5]) == (1, 1) and disc.betti([0.5, 0.5]) == (1, 0)
    assert circle.betti(0.0, gap=True) == (1, 1)
    _, death = circle.diagrams[1][circle.diagrams[1][:, 1].argmax()]
    assert death == pytest.approx(np.sqrt(3), abs=0.15)  # the largest equilateral triangle in the unit circle


def test_diagrams_are_those_of_ripser():
    ripser = pytest.importorskip("ripser").ripser
    x = rng.standard_normal((40, 3))
    ours, theirs = m.persistence(m.distances(x), dimensions=2), ripser(x, maxdim=2, coeff=47)["dgms"]
    for a, b in zip(ours.diagrams, theirs):
        b = b[b[:, 0] < ours.limit]
        np.testing.assert_allclose(np.sort(a, 0), np.sort(b, 0), rtol=1e-5)
    short = m.persistence(m.distances(x), dimensions=1, limit=1.0)
    assert short.limit == 1.0 and short.lifetimes(1).max(initial=0.0) <= 1.0


def test_the_loops_angle_is_that_of_the_circle():
    result = m.persistence(m.distances(CIRCLE))
    turned, error = m.align_angles(m.circular_coordinates(result), ANGLE)
    assert error < 0.1
    mirrored, again = m.align_angles(-ANGLE + 1.0, ANGLE)
    assert again < 1e-12 and np.allclose(np.exp(1j * mirrored), np.exp(1j * ANGLE))
    between = (ANGLE[:-1] + ANGLE[1:]) / 2
    extended = m.extend_angles(turned, CIRCLE, np.column_stack([np.cos(between), np.sin(between)]))
    assert np.abs(np.angle(np.exp(1j * (extended - between)))).mean() < 0.15
    _, chance = m.align_angles(rng.uniform(0, 2 * np.pi, 150), ANGLE)
    assert chance > 1.2
    with pytest.raises(ValueError, match=r"expected one of \d+ loops"):
        m.circular_coordinates(result, which=999)


def test_a_torus_has_two_loops_and_a_void():
    a, b = np.mgrid[:14, :14].reshape(2, -1) * 2 * np.pi / 14
    points = np.column_stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b)])
    d = m.distances(points)
    assert m.persistence(d, dimensions=2, limit=1.8).betti([0.9, 0.5, 0.3]) == (1, 2, 1)


def test_shuffles_take_what_cells_do_together():
    path = np.cumsum(rng.normal(0, 0.3, 1500))
    rates = np.exp(3 * (np.cos(path[:, None] - np.arange(15) * 2 * np.pi / 15) - 1))

    def analyse(x):
        place = m.principal_components(x, 3).project(x)
        return m.persistence(m.distances(place[m.farthest(place, 100)]))

    limits, real = m.shuffle_threshold(rates, analyse, shuffles=5), analyse(rates)
    assert real.lifetimes(1)[0] > 1.3 * limits[1] > 0 and real.lifetimes(1)[1:].max(initial=0.0) < limits[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: m.principal_components(np.ones((5, 3)), 4), "k is 4"),
        (lambda: m.principal_components(np.array([[1.0, np.nan], [0, 0]]), 1), "x holds nan in row 0, column 1"),
        (lambda: m.principal_components(np.ones(5), 1), "expected at least two rows"),
        (lambda: m.distances([[0.0, 0.0], [1.0, 0.0]], metric="cosine"), "row 0 of points is zero"),
        (lambda: m.distances([[1.0]], metric="hamming"), "expected 'euclidean' or 'cosine'"),
        (lambda: m.persistence([[0.0, 1.0], [2.0, 0.0]]), "expected symmetric ones"),
        (lambda: m.persistence([[0.0, np.nan], [np.nan, 0.0]]), "hold NaN"),
        (lambda: m.persistence(np.ones((2, 3))), "expected \\(n, n\\)"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
