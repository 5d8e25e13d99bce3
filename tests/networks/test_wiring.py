"""Drawn wiring against the laws it claims: degrees, uniformity, pairs, and blocks equal to the whole."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import ranvier as rv
from ranvier.codegen.arithmetic.streams import below, seeded, stepped
from ranvier.codegen.keys import mix, stream_key
from ranvier.engines._prepare import ENGINES
from ranvier.networks import wiring as w
from ranvier.networks.wiring._draw import uniforms
from tests.laws.discovery import require_cases
from tests.laws.interruptions import require_same, require_same_when_interrupted

KEY = stream_key(3, 1)
LINE = np.linspace(0.0, 1.0, 30)[:, None]
RULES = [
    w.Probability(0.2), w.Probability(0.9), w.Probability(0.0), w.Probability(1.0),
    w.InDegree(7), w.InDegree(26), w.InDegree(7, multapses=True), w.OutDegree(7),
    w.OutDegree(28), w.OutDegree(9, multapses=True), w.AllToAll(), w.AllToAll(autapses=True), w.OneToOne(),
    w.Distance(scale=0.2), w.Distance("disc", 0.3, 0.5, periodic=1.0),
    w.TotalNumber(200), w.TotalNumber(200, autapses=True), w.PairwisePoisson(0.3),
    w.PairwisePoisson(2.0, autapses=True), w.SymmetricProbability(0.3),
    w.TotalNumber(200, multapses=False), w.TotalNumber(800, multapses=False),
    w.Distance("gamma", 0.1, shape=2.5), w.Distance("exponential", 0.1, in_degree=7),
    w.Distance("disc", 0.3, in_degree=7, multapses=True, autapses=True),
    w.Distance("constant", peak=0.8, mask="circle", extent=(0.3,), periodic=1.0),
    w.Distance("gaussian", 0.2, mask="doughnut", extent=(0.1, 0.4), shift=(0.1,)),
    w.Distance("constant", mask="rectangle", extent=(0.3,), angle=20.0),
    w.Edges([3, 3, 0, 29, 5], [0, 0, 7, 29, 1]),
]  # fmt: skip


def plain_xoshiro(state):
    """xoshiro256++ in Python's whole numbers, from its authors' C."""
    full = (1 << 64) - 1
    s = list(state)

    def rotl(x, k):
        return ((x << k) | (x >> (64 - k))) & full

    out = (rotl((s[0] + s[3]) & full, 23) + s[0]) & full
    t = (s[1] << 17) & full
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = rotl(s[3], 45)
    return tuple(s), out


def test_no_wiring_is_left_out():
    require_cases(w.Wiring, {type(rule) for rule in RULES})


def test_streams_are_splitmix_and_xoshiro():
    # the published first outputs of SplitMix64 from seed 1234567
    golden = 0x9E3779B97F4A7C15
    got = [mix((1234567 + i * golden) % 2**64) for i in range(3)]
    assert got == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    state = tuple(int(x) for x in seeded(np.uint64(KEY), 5))
    for _ in range(20):
        after, bits = stepped(tuple(np.uint64(x) for x in state))
        state, expected = plain_xoshiro(state)
        assert int(bits) == expected and tuple(int(x) for x in after) == state


def test_below_is_uniform_where_rejection_matters():
    n = 3 * 2**30  # without rejection every third number would come out twice as often
    state, multiples = seeded(np.uint64(KEY), 0), 0
    for _ in range(4000):
        state, x = below(tuple(np.uint64(word) for word in state), n)
        assert 0 <= x < n
        multiples += x % 3 == 0
    assert abs(multiples / 4000 - 1 / 3) < 5 * np.sqrt(2 / 9 / 4000)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("same", [False, True])
def test_blocks_of_targets_equal_the_whole(rule, same):
    if isinstance(rule, w.SymmetricProbability) and not same:
        with pytest.raises(ValueError, match="two populations as source and target; expected one"):
            rule.draw(30, 30, KEY)
        return
    options = {"same": same, "positions": (LINE, LINE)}
    indptr, sources = rule.draw(30, 30, KEY, **options)
    assert indptr.dtype == np.int64 and sources.dtype == np.int32 and len(indptr) == 31
    assert rule.edges(30, 30, KEY, **options) == len(sources) == indptr[-1]
    for lo, hi in [(0, 11), (11, 12), (12, 12), (12, 30)]:
        part_indptr, part = rule.draw(30, 30, KEY, lo, hi, **options)
        assert np.array_equal(part_indptr, indptr[lo : hi + 1] - indptr[lo])
        assert np.array_equal(part, sources[indptr[lo] : indptr[hi]])
    rows = [sources[indptr[t] : indptr[t + 1]] for t in range(30)]
    for target, row in enumerate(rows):
        assert np.all((row >= 0) & (row < 30))
        assert np.all(np.diff(row) >= (0 if getattr(rule, "multapses", isinstance(rule, w.Edges)) else 1))
        if same and not getattr(rule, "autapses", True):
            assert target not in row


@given(
    n=st.integers(1, 700), k=st.integers(0, 700), targets=st.integers(1, 6), same=st.booleans(),
    seed=st.integers(-(2**70), 2**70),
)  # fmt: skip
def test_in_degree_is_met_by_different_sources(n, k, targets, same, seed):
    targets = n if same else targets
    if k > n - same:
        with pytest.raises(ValueError, match="expected at most"):
            w.InDegree(k).draw(n, targets, stream_key(seed, 0), 0, 1, same=same)
        return
    _, sources = w.InDegree(k).draw(n, targets, stream_key(seed, 0), targets - 1, targets, same=same)
    assert len(set(sources.tolist())) == k and np.all(np.diff(sources) > 0)
    assert not same or targets - 1 not in sources


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(w.InDegree(3), 3 / 12), (w.InDegree(9), 9 / 12), (w.Probability(0.3), 0.3), (w.OutDegree(3), 3 / 12)],
    ids=repr,
)
def test_every_source_and_every_pair_of_sources_is_equally_likely(rule, expected):
    n, rounds = 12, 40_000
    matrix = np.zeros((rounds, n))
    if isinstance(rule, w.OutDegree):  # its draws are independent from source to source
        indptr, sources = rule.draw(rounds, n, KEY)
        matrix[sources, np.repeat(np.arange(n), np.diff(indptr))] = 1
    else:
        indptr, sources = rule.draw(n, rounds, KEY)
        matrix[np.repeat(np.arange(rounds), np.diff(indptr)), sources] = 1
    sd = np.sqrt(expected * (1 - expected) / rounds)
    assert np.all(np.abs(matrix.mean(0) - expected) < 5 * sd)
    fixed = not isinstance(rule, w.Probability)
    both = expected * (expected * n - 1) / (n - 1) if fixed else expected**2
    pairs = (matrix.T @ matrix / rounds)[np.triu_indices(n, 1)]
    assert np.all(np.abs(pairs - both) < 5 * np.sqrt(both * (1 - both) / rounds))


def test_probability_has_binomial_in_degrees():
    n, p, targets = 300, 0.07, 20_000
    indptr, _ = w.Probability(p).draw(n, targets, KEY)
    degrees = np.diff(indptr)
    low, high = stats.binom.ppf([0.002, 0.998], n, p).astype(int)
    edges = np.arange(low, high + 1)
    rows = np.bincount(np.clip(degrees, low - 1, high + 1) - low + 1, minlength=high - low + 3)
    law = np.r_[stats.binom.cdf(low - 1, n, p), stats.binom.pmf(edges, n, p), stats.binom.sf(high, n, p)]
    assert stats.chisquare(rows, law * targets).pvalue > 1e-4


def test_multapses_repeat_as_often_as_chance_has_it():
    n, k, targets = 40, 10, 5000
    _, sources = w.InDegree(k, multapses=True).draw(n, targets, KEY)
    repeats = (np.diff(sources.reshape(targets, k)) == 0).sum()
    expected = k - n * (1 - (1 - 1 / n) ** k)  # draws less distinct values
    assert abs(repeats / targets - expected) < 5 * np.sqrt(expected / targets)
    counts = np.bincount(sources, minlength=n)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_autapses_take_their_share_when_allowed():
    rule = w.InDegree(5, autapses=True)
    loops = sum(
        np.isin(t, sources[indptr[t] : indptr[t + 1]])
        for key in range(40)
        for indptr, sources in [rule.draw(50, 50, key, same=True)]
        for t in range(50)
    )
    assert abs(loops / 2000 - 0.1) < 5 * np.sqrt(0.09 / 2000)


def test_symmetric_wiring_has_both_edges_of_a_pair_or_none():
    """Symmetric; pairs with the chance p, each apart from the others: binomial degrees, and no pair decides another."""
    n, p = 400, 0.13
    indptr, sources = w.SymmetricProbability(p).draw(n, n, KEY, same=True)
    matrix = np.zeros((n, n), int)
    matrix[np.repeat(np.arange(n), np.diff(indptr)), sources] = 1
    assert np.array_equal(matrix, matrix.T) and np.trace(matrix) == 0 and matrix.sum() == len(sources)
    pairs = n * (n - 1) / 2
    assert abs(len(sources) / 2 - pairs * p) < 5 * np.sqrt(pairs * p * (1 - p))
    spread = (n - 1) * p * (1 - p)  # of a degree; its variance over n neurons has the SD sqrt(2/n) of itself
    assert abs(matrix.sum(0).var() - spread) < 5 * spread * np.sqrt(2 / n)
    # shared neighbours of all pairs: (n - 2) p^2, as if independent
    shared = (matrix @ matrix)[np.triu_indices(n, 1)]
    one = (n - 2) * p**2 * (1 - p**2)
    assert abs(shared.var() / one - 1) < 0.1
    assert abs(shared.mean() / ((n - 2) * p**2) - 1) < 5 * 2 * np.sqrt((1 - p) / (p * pairs))
    other = w.SymmetricProbability(p).draw(n, n, stream_key(4, 1), same=True)[1]
    assert len(other) != len(sources)


def test_in_degrees_by_distance_are_drawn_one_after_the_other_by_their_chances():
    """Of 5 sources at different distances: k = 2 with replacement, and without, where the second is drawn from what the
    first leaves; at 5 standard errors."""
    xs, xt, rounds = np.array([[0.0], [0.1], [0.25], [0.3], [0.9]]), np.zeros((40_000, 1)), 40_000
    x = np.exp(-xs[:, 0] / 0.2)
    x[-1] = 0.0  # beyond the mask
    share = x / x.sum()
    for multapses in (True, False):
        rule = w.Distance("exponential", 0.2, mask="circle", extent=(0.5,), in_degree=2, multapses=multapses)
        pairs = rule.draw(5, rounds, KEY, positions=(xs, xt))[1].reshape(-1, 2)
        for i in range(5):
            for j in range(i, 5):
                if multapses:
                    expected = share[i] * share[j] * (1 if i == j else 2)
                else:
                    expected = 0.0 if i == j else share[i] * share[j] * (1 / (1 - share[i]) + 1 / (1 - share[j]))
                spread = np.sqrt(expected * (1 - expected) / rounds)
                assert abs(((pairs[:, 0] == i) & (pairs[:, 1] == j)).mean() - expected) <= 5 * spread
    with pytest.raises(ValueError, match="target 0 has fewer than 5 sources in reach; expected at least that many"):
        w.Distance("exponential", 0.2, mask="circle", extent=(0.5,), in_degree=5).draw(5, 3, KEY, positions=(xs, xt))


def test_distance_falls_as_its_profile_says():
    rng = np.random.default_rng(0)
    xs, xt = rng.random((400, 2)), rng.random((300, 2))
    gap = np.abs(xt[:, None] - xs[None])
    gap = np.minimum(gap, 1 - gap)  # a torus
    r = np.sqrt((gap**2).sum(-1))
    laws = {
        "gaussian": 0.8 * np.exp(-(r**2) / (2 * 0.2**2)),
        "exponential": 0.8 * np.exp(-r / 0.2),
        "disc": 0.8 * (r <= 0.2),
        "gamma": 0.8 * (r / 0.3) ** 1.5 * np.exp(-(r - 0.3) / 0.2),
    }
    for profile, chance in laws.items():
        indptr, sources = w.Distance(profile, 0.2, 0.8, periodic=1.0, shape=2.5).draw(400, 300, KEY, positions=(xs, xt))
        wired = np.zeros((300, 400), bool)
        wired[np.repeat(np.arange(300), np.diff(indptr)), sources] = True
        for near, far in [(0.0, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.8)]:
            ring = (r >= near) & (r < far)
            spread = np.sqrt((chance * (1 - chance))[ring].sum()) + 1e-9
            assert abs(wired[ring].sum() - chance[ring].sum()) <= 5 * spread, profile


def test_streams_of_keys_and_rows_do_not_meet():
    a, b = uniforms(np.uint64(KEY), 0, 4000), uniforms(np.uint64(stream_key(3, 2)), 0, 4000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 5 / np.sqrt(4000)
    assert stats.kstest(a, "uniform").pvalue > 1e-4


def test_edges_keep_the_users_order_beside_the_drawn_one():
    rule = w.Edges([2, 0, 1, 0], [1, 1, 0, 1])
    indptr, sources = rule.draw(3, 2, KEY)
    assert indptr.tolist() == [0, 1, 4] and sources.tolist() == [1, 0, 0, 2]
    assert rule.order().tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w.Probability(1.2), "from 0 to 1"),
        (lambda: w.Probability(float("nan")), "finite"),
        (lambda: w.InDegree(2.5), "whole number"),
        (lambda: w.InDegree(-1), "from 0"),
        (lambda: w.OutDegree(10**12), "from 0 to"),
        (lambda: w.Distance("box"), "expected one of"),
        (lambda: w.Distance(scale=0.0), "above 0"),
        (lambda: w.Distance().draw(3, 3, 0), "positions"),
        (lambda: w.OneToOne().draw(3, 4, 0), "one size"),
        (lambda: w.Edges([0, 9], [0, 0]).draw(3, 3, 0), "Edge 1 has source 9"),
        (lambda: w.Edges([0, -1], [0, 0]).draw(3, 3, 0), "source -1"),
        (lambda: w.Edges([0], [0, 0]), "1 sources and 2 targets"),
        (lambda: w.Edges([2**63], [0]), "up to"),
        (lambda: w.InDegree(2).draw(3, 3, 0, 2, 9), "lo <= hi"),
    ],
)
def test_what_cannot_be_wired_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [lambda: w.Probability("0.1"), lambda: w.Edges([0.5], [0]), lambda: w.InDegree(None)]
)
def test_what_is_no_number_is_a_type_error(make):
    with pytest.raises(TypeError, match="expected"):
        make()


def test_brunels_wiring_stays_below_eight_bytes_a_synapse():
    script = """
import resource
import numpy as np
from ranvier.networks import wiring as w
w.InDegree(2).draw(9, 9, 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
indptr, sources = w.InDegree(1000).draw(10_000, 12_500, 1)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(sources))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 8.0


@pytest.mark.parametrize("autapses", [False, True])
def test_a_total_number_of_edges_falls_evenly_on_all_pairs(autapses):
    """Chi-square over the allowed pairs at a false-alarm rate of 1e-4; none elsewhere."""
    n, total = 12, 60_000
    net = rv.Network(seed=5)
    cells = net.add(rv.LIF(), n)
    p = net.connect(cells, cells, weight=1.0, wiring=w.TotalNumber(total, autapses=autapses))
    counts = p.matrix().toarray()
    allowed = np.ones((n, n), bool) if autapses else ~np.eye(n, dtype=bool)
    assert p.size == total == counts.sum() and counts[~allowed].sum() == 0
    assert stats.chisquare(counts[allowed]).pvalue > 1e-4
    assert w.TotalNumber(total).edges(3, n, KEY) == total


@pytest.mark.parametrize("n", [4, 13])
@pytest.mark.parametrize("autapses", [False, True])
def test_a_total_number_without_repeats_is_a_uniform_subset(n, autapses):
    """Every pair, and every two pairs (of one target, and of two), with the chances of n from N; 5 standard errors."""
    pairs, rounds = (16 if autapses else 12), 5000
    if n > pairs:
        with pytest.raises(ValueError, match="13 different edges were requested of 12 pairs; expected at most as many"):
            w.TotalNumber(n, autapses, multapses=False).edges(4, 4, KEY, same=True)
        n = 9
    drawn = np.zeros((rounds, 4, 4))
    for k in range(rounds):
        indptr, sources = w.TotalNumber(n, autapses, multapses=False).draw(4, 4, stream_key(k, 0), same=True)
        drawn[k, np.repeat(np.arange(4), np.diff(indptr)), sources] = 1
    assert (drawn.sum((1, 2)) == n).all()
    flat = drawn.reshape(rounds, -1)[:, np.ones(16, bool) if autapses else ~np.eye(4, dtype=bool).ravel()]
    one, two = n / pairs, n * (n - 1) / (pairs * (pairs - 1))
    assert np.abs(flat.mean(0) - one).max() < 5 * np.sqrt(one * (1 - one) / rounds)
    both = (flat.T @ flat / rounds)[np.triu_indices(pairs, 1)]
    assert np.abs(both - two).max() < 5 * np.sqrt(two * (1 - two) / rounds)


@pytest.mark.parametrize("mean", [0.02, 1.5])
def test_pairs_have_poisson_numbers_of_edges(mean):
    """Chi-square of the numbers of edges a pair, at a false-alarm rate of 1e-4."""
    n = 300
    indptr, sources = w.PairwisePoisson(mean).draw(n, n, KEY, same=True)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (np.repeat(np.arange(n), np.diff(indptr)), sources), 1)
    assert np.trace(counts) == 0
    few = w.PairwisePoisson(5000.0).edges(3, 3, KEY, same=True)  # of 6 pairs
    assert abs(few - 30_000) < 5 * math.sqrt(30_000)
    pairs = counts[~np.eye(n, dtype=bool)]
    most = int(stats.poisson.ppf(1 - 20 / pairs.size, mean))
    law = np.r_[stats.poisson.pmf(np.arange(most + 1), mean), stats.poisson.sf(most, mean)]
    assert stats.chisquare(np.bincount(np.minimum(pairs, most + 1), minlength=most + 2), law * pairs.size).pvalue > 1e-4


def in_mask(mask, extent, gap):
    """By hand, of displacements (..., dimensions) from target to source."""
    r = np.linalg.norm(gap, axis=-1)
    return {
        "circle": lambda: r <= extent[0],
        "doughnut": lambda: (r > extent[0]) & (r <= extent[1]),
        "rectangle": lambda: (np.abs(gap) <= np.array(extent) / 2).all(-1),
        "ellipse": lambda: ((gap / (np.array(extent) / 2)) ** 2).sum(-1) <= 1,
    }[mask]()


@pytest.mark.parametrize(
    ("mask", "extent"),
    [("circle", (0.3,)), ("doughnut", (0.15, 0.4)), ("rectangle", (0.5, 0.2, 0.6)), ("ellipse", (0.6, 0.3, 0.8))],
)
@pytest.mark.parametrize("periodic", [None, 1.0])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_masks_hold_the_sources_that_lie_in_them(mask, extent, periodic, dimensions):
    """Every pair of positions, against the mask's inequality; turned and shifted ones, too."""
    rng = np.random.default_rng(4)
    xs, xt = rng.random((150, dimensions)), rng.random((120, dimensions))
    extent = extent[:dimensions] if len(extent) == 3 else extent
    for angle, shift in ((0.0, (0.0, 0.0, 0.0)), (30.0, (0.1, -0.05, 0.2)), (0.0, (0.4, 0.0, -0.3))):
        shift = shift[:dimensions]
        rule = w.Distance("constant", mask=mask, extent=extent, angle=angle, shift=shift, periodic=periodic)
        indptr, sources = rule.draw(150, 120, KEY, positions=(xs, xt))
        wired = np.zeros((120, 150), bool)
        wired[np.repeat(np.arange(120), np.diff(indptr)), sources] = True
        gap = xs[None] - xt[:, None] - shift
        if periodic:  # the region goes on at the other side, wherever the shift puts it
            gap = (gap + 0.5) % 1.0 - 0.5
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        if dimensions > 1:
            gap[..., :2] = np.stack([c * gap[..., 0] + s * gap[..., 1], c * gap[..., 1] - s * gap[..., 0]], -1)
        expected = in_mask(mask, extent, gap)
        assert np.array_equal(wired, expected) and 0.02 < expected.mean() < 0.75


@pytest.fixture(scope="module")
def every_wiring():
    """A network that has a projection of every rule."""
    net, rng = rv.Network(seed=6), np.random.default_rng(2)
    source = net.add(rv.SpikeTimes(rng.uniform(1.0, 59.0, 800), rng.integers(0, 30, 800)), 30, positions=LINE)
    cells = net.add(rv.LIF(t_ref=1.0), 30, positions=LINE, drive=np.linspace(8.0, 20.0, 30))
    for rule in RULES:
        mutual = isinstance(rule, w.SymmetricProbability)
        net.connect(cells if mutual else source, cells, weight=0.1, wiring=rule)
    return net


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_networks_of_every_wiring_run_alike_in_every_engine_and_however_interrupted(every_wiring, tmp_path):
    runs = {}
    for engine in ENGINES:
        options = {"dt": 0.5, "engine": engine, "dtype": torch.float64}
        runs[engine] = require_same_when_interrupted(every_wiring, 60.0, tmp_path / engine, **options)
        require_same(runs[engine], runs["compiled"])
    assert (runs["compiled"].neurons >= 30).sum() > 50


def test_every_wiring_is_stored(every_wiring, tmp_path):
    again = rv.networks.read_network(rv.networks.write_network(every_wiring, tmp_path / "net"))
    for one, other in zip(every_wiring.projections, again.projections, strict=True):
        assert repr(one.wiring) == repr(other.wiring) and all(map(torch.equal, one.edges(), other.edges()))


def test_a_wrong_mask_is_refused():
    net = rv.Network()
    cells = net.add(rv.LIF(), 50, "cells", positions=np.random.default_rng(0).random((50, 2)))
    for options in (
        {"mask": "star"}, {"mask": "circle"}, {"mask": "circle", "extent": (0.1, 0.2)}, {"extent": (0.1,)},
        {"mask": "doughnut", "extent": (0.2, 0.1)}, {"mask": "ellipse", "extent": (0.1, -0.1)}, {"angle": 10.0},
        {"shape": 1.0}, {"shape": math.inf}, {"in_degree": 2.5}, {"in_degree": -1}, {"multapses": True},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            w.Distance("constant", **options)
    with pytest.raises(ValueError, match="extent has 3 numbers for positions of 2 dimensions; expected"):
        net.connect(cells, cells, weight=1.0, wiring=w.Distance(mask="rectangle", extent=(1.0, 1.0, 1.0)))
    for bad in (lambda: w.TotalNumber(-1), lambda: w.TotalNumber(1.5), lambda: w.PairwisePoisson(-0.1)):
        with pytest.raises(ValueError, match="expected"):
            bad()
    with pytest.raises(ValueError, match="expected at least 1"):
        w.TotalNumber(3).draw(1, 1, KEY, same=True)
