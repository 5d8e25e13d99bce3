"""Graphs of Lagrangian layers against hamux, their laws, and the models that they contain."""

import math
from pathlib import Path

import pytest
import torch

from ranvier.energies import (
    Backtracking,
    Clamp,
    ContinuousHopfield,
    DenseMemory,
    Descent,
    EnergyGraph,
    Fixed,
    Hopfield,
    Layer,
    ModernHopfield,
    RectifiedInteraction,
)
from ranvier.energies.graphs.lagrangians import Identity, LayerNorm, ReLU, Sigmoid, Softmax, Spherical, Tanh
from ranvier.energies.graphs.synapses import Attention, Bias, Conv, Dense, GraphSynapse, Memories
from ranvier.files.atomic import read_tensors
from tests.laws.cells import check_cell
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")
LAGRANGIANS = [
    Identity(), ReLU(), ReLU(3.0), Tanh(), Tanh(2.5), Sigmoid(), Sigmoid(0.4), Softmax(), Softmax(3.0), LayerNorm(),
    LayerNorm(1.7, 0.3), Spherical(), Spherical(2.0),
]  # fmt: skip


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("lagrangian", LAGRANGIANS, ids=str)
def test_activations_are_the_gradient_and_the_lagrangian_is_convex(lagrangian):
    x = 2 * normal(4, 3, 5)
    at = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(lagrangian(at).sum(), at)
    torch.testing.assert_close(lagrangian.activations(x), slope, rtol=1e-10, atol=1e-12)
    for b in range(4):
        H = torch.autograd.functional.hessian(lambda v: lagrangian(v[None])[0], x[b]).reshape(15, 15)
        assert torch.linalg.eigvalsh((H + H.T) / 2).min() > -1e-10
    torch.testing.assert_close(lagrangian(x)[1:2], lagrangian(x[1:2]))


@pytest.mark.parametrize("lagrangian", [Tanh(), Sigmoid(), Softmax()], ids=str)
def test_far_states_do_not_overflow(lagrangian):
    x = torch.tensor([[800.0, -800.0, 0.0]]).float()
    assert torch.isfinite(lagrangian(x)).all() and torch.isfinite(lagrangian.activations(x)).all()


SYNAPSES = {
    "dense": (lambda: Dense(6, 4), ((2, 3), (4,))),
    "bias": (lambda: Bias(normal(2, 3)), ((2, 3),)),
    "conv": (lambda: Conv(2, 3, 3), ((2, 7, 6), (3, 5, 4))),
    "strided": (lambda: Conv(2, 3, 3, stride=2, padding=1), ((2, 8, 7), (3, 4, 4))),
    "attention": (lambda: Attention(5, 4, dim=3, heads=2), ((6, 5), (7, 4))),
    "within": (lambda: Attention(5, dim=3, heads=2, beta=0.8, own=False), ((6, 5), (6, 5))),
    "memories": (lambda: Memories(normal(9, 6), Softmax(1.4)), ((2, 3),)),
}


@pytest.mark.parametrize("name", SYNAPSES)
def test_pulls_against_autograd(name):
    torch.manual_seed(0)
    make, shapes = SYNAPSES[name]
    synapse = make()
    synapse.check(*shapes)
    ys = tuple(normal(3, *shape, seed=k) for k, shape in enumerate(shapes))
    for ours, plain in zip(synapse.pulls(*ys), GraphSynapse.pulls(synapse, *ys), strict=True):
        assert plain.abs().sum() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)


def chain(reference=None):
    layers = {
        "image": Layer(Identity(), (2, 6, 6)), "maps": Layer(ReLU(), (4, 3, 3)), "tanh": Layer(Tanh(), (5,)),
        "sigmoid": Layer(Sigmoid(), (4,)), "softmax": Layer(Softmax(), (7,)),
        "layernorm": Layer(LayerNorm(), (8,)), "spherical": Layer(Spherical(), (6,)),
    }  # fmt: skip
    names = [("tanh", "sigmoid"), ("sigmoid", "softmax"), ("softmax", "layernorm"), ("layernorm", "spherical")]
    inputs = reference or {}
    joined = [(("image", "maps"), Conv(2, 4, 2, stride=2, weight=inputs.get("conv")))]
    for a, b in names:
        weight = inputs.get(f"{a}-{b}")
        joined.append(((a, b), Dense(layers[a].shape[0], layers[b].shape[0], weight)))
    joined.append(("tanh", Bias(inputs.get("bias", torch.ones(5)))))
    return EnergyGraph(layers, joined)


def test_against_hamux():
    """Energies, activations, slopes and forty steps of hamux 0.2.2 (make_hamux_reference.py), in float64."""
    prediction = {k: torch.from_numpy(v) for k, v in read_tensors(Path(__file__).parent / "hamux.safetensors").items()}
    graph = chain(prediction).requires_grad_(False)
    x = graph.layout.join({name: prediction[f"x_{name}"] for name in graph.neurons})
    y, force = graph.layout.split(graph.activations(x)), graph.layout.split(graph.force(x))
    for name in graph.neurons:
        torch.testing.assert_close(y[name], prediction[f"y_{name}"], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(force[name], -prediction[f"slope_{name}"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(graph.energy(x), prediction["energies"][0])
    state, energies = {"x": x}, []
    descent = Descent(graph, Fixed(0.1))
    for _ in prediction["energies"]:
        energies.append(graph.energy(state["x"]))
        state = descent.relax(state, 1)
    torch.testing.assert_close(torch.stack(energies), prediction["energies"], rtol=1e-9, atol=1e-9)
    end = graph.layout.split(state["x"])
    for name in graph.neurons:
        torch.testing.assert_close(end[name], prediction[f"end_{name}"], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_laws_on_random_graphs(seed):
    """Three to five layers of any kind, joined at random, some of them to themselves."""
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    count = int(torch.randint(3, 6, (1,), generator=g))
    kinds = [each for each in LAGRANGIANS if each != ReLU(3.0)]  # whose energy has no lower bound in most graphs
    pick = torch.randperm(len(kinds), generator=g)
    layers = {f"l{k}": Layer(kinds[pick[k]], (int(torch.randint(3, 7, (1,), generator=g)),), 0.5 + 0.5 * k)
              for k in range(count)}  # fmt: skip
    joined = []
    for a in range(count):
        for b in range(a, count):
            if b == a + 1 or torch.rand((), generator=g) < 0.3:
                size = layers[f"l{a}"].shape[0], layers[f"l{b}"].shape[0]
                joined.append(((f"l{a}", f"l{b}"), Dense(*size, scale=0.3 / math.sqrt(max(size)))))
        joined.append((f"l{a}", Bias(0.5 * torch.randn(layers[f"l{a}"].shape, generator=g))))
    graph = EnergyGraph(layers, joined)
    check_energy(graph, 1.5 * torch.randn(3, graph.units, generator=g), clamped=graph.layout.slices["l0"])


def test_laws_of_a_convolutional_graph_with_attention():
    torch.manual_seed(3)
    graph = EnergyGraph(
        {"image": Layer(Identity(), (1, 6, 6)), "maps": Layer(Tanh(), (2, 4, 4)),
         "tokens": Layer(LayerNorm(), (4, 8)), "labels": Layer(Softmax(), (3,))},
        [(("image", "maps"), Conv(1, 2, 3)), (("maps", "tokens"), Dense(32, 32, scale=0.05)),
         (("tokens", "tokens"), Attention(8, dim=4, heads=2, own=False)), (("tokens", "labels"), Dense(32, 3)),
         ("tokens", Memories(0.3 * torch.randn(5, 32), ReLU()))],
    )  # fmt: skip
    check_energy(graph, normal(3, graph.units), clamped=graph.layout.slices["image"])
    parts = graph.energies(normal(3, graph.units))
    assert "maps-tokens" in parts and "labels" in parts
    torch.testing.assert_close(sum(parts.values()), graph.energy(normal(3, graph.units)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("held", [None, "units", "entries", "field"])
def test_the_compiled_loop_against_torch(held, dtype):
    """All Lagrangians, layers with two axes, one joined to itself, time constants, clamps and fields."""
    torch.manual_seed(1)
    layers = {f"l{k}": Layer(each, (2, 3), 0.5 + 0.1 * k) for k, each in enumerate(LAGRANGIANS)}
    joined = [((f"l{k}", f"l{k + 1}"), Dense(6, 6, scale=0.2)) for k in range(len(layers) - 1)]
    graph = EnergyGraph(layers, [*joined, (("l3", "l3"), Dense(6, 6)), ("l2", Bias(normal(2, 3)))]).to(dtype)
    x = normal(4, graph.units).to(dtype)
    mask = graph.layout.clamp(l0=torch.zeros(1, 2, 3)).mask
    clamp = {"units": Clamp(mask, x[0]), "entries": Clamp(mask.repeat(4, 1), x + 1)}.get(held)
    field = normal(4, graph.units, seed=3).to(dtype) if held == "field" else None
    descent = Descent(graph, Fixed(0.2))
    plain = descent.relax({"x": x}, 12, clamp, field)["x"].detach()
    before = x.clone()
    with torch.no_grad():
        assert graph.advance(x, 1, 0.1, clamp, field) is not None
        quick = descent.relax({"x": x}, 12, clamp, field)["x"]
    assert torch.equal(x, before)
    torch.testing.assert_close(quick, plain, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5)


@pytest.mark.parametrize("quick", [True, False])
def test_time_constants(quick):
    """Alone, a layer falls to exp(−t/τ): Euler's (1 − dt/τ) a step."""
    graph = EnergyGraph({"fast": Layer(Identity(), (2,), 0.5), "slow": Layer(Identity(), (3,), 4.0)}, [])
    with torch.set_grad_enabled(not quick):
        x = Descent(graph, Fixed(0.1)).relax({"x": torch.ones(1, 5)}, 7)["x"]
    expected = torch.tensor([(1 - 0.1 / 0.5) ** 7] * 2 + [(1 - 0.1 / 4) ** 7] * 3)
    torch.testing.assert_close(x[0], expected)


def test_what_the_compiled_loop_does_not_know_is_torchs():
    with torch.no_grad():
        assert chain().advance(normal(2, chain().units), 1, 0.1, None, None) is None


def symmetric(n, seed):
    W = normal(n, n, seed=seed) / n**0.5
    return W + W.T


def test_graded_hopfield_is_a_graph():
    """One layer of tanh joined to itself: W counts twice, for its two places."""
    W, theta = symmetric(9, 1), 0.3 * normal(9, seed=2)
    graph = EnergyGraph({"u": Layer(Tanh(2.0), (9,))}, [(("u", "u"), Dense(9, 9, W / 2)), ("u", Bias(-theta))])
    plain, x = ContinuousHopfield(W, theta, lagrangian=Tanh(2.0)), normal(4, 9, seed=3)
    torch.testing.assert_close(graph.energy(x), plain.energy(x))
    torch.testing.assert_close(graph.force(x), plain.force(x))


def test_binary_hopfield_is_its_steep_limit():
    xi = torch.where(normal(4, 80) > 0, 1.0, -1.0)
    square = Hopfield.store(xi)
    graph = EnergyGraph({"u": Layer(Tanh(20.0), (80,))}, [(("u", "u"), Dense(80, 80, square.weight / 2))])
    noisy = xi.clone()
    noisy[:, :8] *= -1
    end = Descent(graph, max_steps=5000, tol=1e-5).settle(noisy)
    torch.testing.assert_close(end.y, square.settle(noisy).x, atol=1e-6, rtol=0)
    torch.testing.assert_close(end.energy - 80 * math.log(2) / 20, square.energy(end.y), atol=1e-5, rtol=0)


def test_modern_hopfield_is_a_graph_and_its_memories_a_layer():
    X, x, beta = normal(6, 10), normal(4, 10, seed=1), 1.7
    modern = ModernHopfield(X, beta)
    short = EnergyGraph({"v": Layer(Identity(), (10,))}, [("v", Memories(X, Softmax(beta)))])
    constant = modern.energy(x[:1] * 0) - short.energy(x[:1] * 0)
    torch.testing.assert_close(short.energy(x) + constant, modern.energy(x))
    torch.testing.assert_close(short.force(x), modern.force(x))
    full = EnergyGraph(
        {"v": Layer(Identity(), (10,)), "h": Layer(Softmax(beta), (6,))}, [(("v", "h"), Dense(10, 6, X.T))]
    )
    joined = full.layout.join({"v": x, "h": x @ X.T})  # hidden neurons at rest
    torch.testing.assert_close(full.energy(joined), short.energy(x))
    force = full.layout.split(full.force(joined))
    torch.testing.assert_close(force["v"], modern.force(x))
    assert force["h"].abs().max() < 1e-12


def test_dense_memory_is_a_graph():
    """Memories with rectified powers; the layer's own ½ x² is what the dense memory has not."""
    xi, x, n = torch.where(normal(7, 12) > 0, 1.0, -1.0), 0.6 * normal(4, 12, seed=1), 5
    scale = (n * 12.0 ** (1 - n)) ** (1 / n)
    graph = EnergyGraph({"v": Layer(Identity(), (12,))}, [("v", Memories(scale * xi, ReLU(float(n))))])
    dense = DenseMemory(xi, RectifiedInteraction(n))
    torch.testing.assert_close(graph.energies(x)["v (0)"], dense.energy(x))
    torch.testing.assert_close(graph.force(x) + x, dense.force(x))


def test_attention_pulls_as_attention_does():
    torch.manual_seed(0)
    synapse = Attention(6, dim=6)
    with torch.no_grad():
        synapse.query.copy_(torch.eye(6))
        synapse.key.copy_(torch.eye(6))
    q, k = normal(2, 3, 6), normal(2, 5, 6, seed=1)
    to_q, _ = synapse.pulls(q, k)
    torch.testing.assert_close(to_q, torch.nn.functional.scaled_dot_product_attention(q, k, k))


@pytest.mark.parametrize("own", [True, False])
def test_the_energy_of_attention_by_its_sums(own):
    """Hoover et al. (2023), eq. 3: −Σ_heads Σ_C log Σ_B exp(β k_B·q_C)/β, in the paper without B = C."""
    torch.manual_seed(0)
    synapse, y = Attention(4, dim=3, heads=2, beta=0.7, own=own), normal(1, 5, 4)
    total = 0.0
    for h in range(2):
        q, k = (y[0] @ w[h] for w in (synapse.query.detach(), synapse.key.detach()))
        for c in range(5):
            terms = [math.exp(0.7 * float(k[b] @ q[c])) for b in range(5) if own or b != c]
            total -= math.log(sum(terms)) / 0.7
    assert float(synapse(y, y).detach()) == pytest.approx(total, rel=1e-12)


def test_gradients_through_a_graph_at_rest():
    """Implicit ones in weights and a clamped layer, though the map is not symmetric."""
    g = normal(4, 3, seed=5)

    def ends(W, image):
        graph = EnergyGraph({"v": Layer(Identity(), (4,)), "h": Layer(Softmax(1.3), (3,)), "o": Layer(Tanh(), (2,))},
                      [(("v", "h"), Dense(4, 3)), (("h", "o"), Dense(3, 2, g[:3, :2]))])  # fmt: skip
        synapse = graph.connections[0][1]
        del synapse.weight
        synapse.weight = W
        descent = Descent(graph, tol=1e-11, max_steps=4000, gradient="implicit")
        return descent.settle(normal(1, 9, seed=6), graph.layout.clamp(v=image)).y

    inputs = (g.clone().requires_grad_(), normal(1, 4, seed=7).requires_grad_())
    assert torch.autograd.gradcheck(ends, inputs, eps=1e-5, atol=1e-5)


def test_a_graph_learns_to_label_through_its_descent():
    """Unrolled gradients: clamp the image, read the labels."""
    torch.manual_seed(0)
    layers = {"image": Layer(Identity(), (8,)), "hidden": Layer(Tanh(), (12,)), "label": Layer(Softmax(), (2,))}
    graph = EnergyGraph(layers, [(("image", "hidden"), Dense(8, 12)), (("hidden", "label"), Dense(12, 2))])
    x = normal(200, 8, seed=1)
    y = (x[:, 0] * x[:, 1] > 0).long()
    optimiser = torch.optim.Adam(graph.parameters(), 0.03)
    descent = Descent(graph, Fixed(0.5))
    for _ in range(150):
        state = descent.relax({"x": torch.zeros(200, 22)}, 8, graph.layout.clamp(image=x))
        loss = torch.nn.functional.cross_entropy(graph.layout.split(state["x"])["label"], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35  # chance is 0.69, and 0.67 is what a layer without the hidden one reaches


@pytest.mark.parametrize("rule", [Fixed(0.3), Backtracking(0.5)])
def test_it_is_a_cell(rule):
    torch.manual_seed(0)
    graph = EnergyGraph({"a": Layer(Tanh(), (4,)), "b": Layer(LayerNorm(), (3,), 2.0)}, [(("a", "b"), Dense(4, 3))])
    check_cell(Descent(graph, rule), normal(9, 3, 7), list(graph.parameters()))


def test_part_of_a_row_cannot_be_held():
    """Held in part, a softmax's energy could rise: refused, where single units of tanh are not."""
    graph = EnergyGraph({"a": Layer(Tanh(), (4,)), "b": Layer(Softmax(), (2, 3))}, [(("a", "b"), Dense(4, 6))])
    x = normal(2, 10)
    for fine in (slice(0, 2), slice(4, 7), slice(2, 10)):
        Descent(graph).settle(x, Clamp.at(fine, x[:, fine], 10))
    with pytest.raises(ValueError, match=r"part of a row of the layer 'b' \(Softmax"):
        Descent(graph).settle(x, Clamp.at(slice(4, 6), x[:, 4:6], 10))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (lambda n: EnergyGraph({"a": n}, [(("a", "c"), Dense(4, 4))]), ValueError, "'c'; expected layers among a"),
        (lambda n: EnergyGraph({"a": n}, [(("a", "a"), Dense(4, 5))]), ValueError,
         r"sizes \[4, 4\]; expected \[4, 5\]"),
        (lambda n: EnergyGraph({"a": n}, [("a", Bias(torch.ones(3)))]), ValueError, "a Bias between layers"),
        (lambda n: EnergyGraph({"a": n}, [(("a", "a"), Attention(4))]), ValueError, r"two of \(tokens"),
        (lambda n: EnergyGraph({"a": Layer(Tanh(), (1, 4))}, [(("a", "a"), Attention(4, own=False))]), ValueError,
         "of several tokens"),
        (lambda n: EnergyGraph({}, []), ValueError, "no layer"),
        (lambda n: Layer(torch.tanh, (3,)), TypeError, "expected a Lagrangian"),
        (lambda n: Layer(Tanh(), (3,), tau=0.0), ValueError, "tau is 0"),
        (lambda n: Tanh(-1.0), ValueError, "beta is -1"),
        (lambda n: ReLU(1.0), ValueError, "n is 1"),
        (lambda n: LayerNorm(gamma=0.0), ValueError, "gamma is 0"),
        (lambda n: Dense(2, 3, torch.ones(3, 2)), ValueError, r"shape \(3, 2\); expected \(2, 3\)"),
    ],
)
def test_errors(wrong, error, text):
    with pytest.raises(error, match=text):
        wrong(Layer(Tanh(), (4,)))
