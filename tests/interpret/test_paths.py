"""Neuron paths against a loop that scores one neuron at a time, and against all paths, in float64."""

from itertools import pairwise, product

import pytest
import torch
from torch import nn

from ranvier.interpret import baseline_paths, neuron_paths, path_overlap, path_scores
from ranvier.interpret.paths import NeuronPaths
from tests.interpret.conftest import language_model


@pytest.fixture
def net():
    torch.manual_seed(4)
    sizes = [6, 4, 5, 4]
    blocks = [nn.Sequential(nn.Linear(a, b), nn.GELU()) for a, b in pairwise(sizes)]
    model = nn.Sequential(*blocks, nn.Linear(4, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.0)
    return model


NAMES = ["0", "1", "2"]
X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def forward(net, x, values):
    """p of the network in which `values` (layer, unit) -> number take the place of activations; x (6,)."""
    h = x
    for k in range(3):
        h = net[k](h)
        h = torch.stack([torch.as_tensor(values.get((k, n), h[n]), dtype=h.dtype) for n in range(len(h))])
    return net[3](h).softmax(0)


def clean(net, x):
    activities, h = [], x
    for k in range(3):
        h = net[k](h)
        activities.append(h.detach())
    return activities, int(net[3](h).argmax())


def score_by_hand(net, x, path, whole, steps):
    """Σ w · mean Σ ∂p/∂w over `path`, {layer: unit}, while all of layer `whole` is scaled, too."""
    activity, target = clean(net, x)
    slope = 0.0
    for k in range(1, steps + 1):
        values = {}
        if whole is not None:
            values = {(whole, n): a * k / steps for n, a in enumerate(activity[whole])}
        values |= {(layer, unit): activity[layer][unit] * k / steps for layer, unit in path.items()}
        leaves = {key: value.clone().requires_grad_() for key, value in values.items()}
        p = forward(net, x, leaves)[target]
        # of a layer before one that is replaced as a whole nothing reaches the output
        slopes = torch.autograd.grad(p, [leaves[item] for item in path.items()], allow_unused=True)
        slope += sum(float(one) for one in slopes if one is not None) / steps
    return sum(float(activity[layer][unit]) for layer, unit in path.items()) * slope


def test_greedy_search_against_a_loop(net):
    paths = neuron_paths(net, X, NAMES, token=None, steps=7)
    for row, x in enumerate(X):
        path = {}
        for depth, size in enumerate((4, 5, 4)):
            scores = [score_by_hand(net, x, path | {depth: n}, depth, 7) for n in range(size)]
            path[depth] = max(range(size), key=scores.__getitem__)
        assert paths.units[row].tolist() == list(path.values())
        assert abs(float(paths.scores[row]) - max(scores)) < 1e-12
    assert len({tuple(u) for u in paths.units.tolist()}) > 1


def test_scores_of_every_path_against_a_loop(net):
    every = torch.tensor(list(product(range(4), range(5), range(4))))
    scores = path_scores(net, X[:1].expand(80, -1), every, NAMES, token=None, steps=5).scores
    for k in (0, 33, 79):
        expected = score_by_hand(net, X[0], dict(enumerate(every[k].tolist())), None, 5)
        assert abs(float(scores[k]) - expected) < 1e-12
    # what gradients within one layer would choose is beaten somewhere by the best joint path
    greedy = neuron_paths(net, X[:1], NAMES, token=None, steps=5)
    mine = path_scores(net, X[:1], greedy.units, NAMES, token=None, steps=5).scores
    assert float((scores <= mine).double().mean()) > 0.8


def test_contributions_add_up_to_the_change(net):
    units = torch.tensor([[0, 1, 2]] * 5)
    result = path_scores(net, X, units, NAMES, token=None, rule="gauss")
    for row, x in enumerate(X):
        _, target = clean(net, x)
        zeroed = forward(net, x, dict.fromkeys(enumerate((0, 1, 2)), 0.0))[target]
        change = float((forward(net, x, {})[target] - zeroed).detach())
        assert abs(float(result.change[row]) - change) < 1e-14
        assert abs(float(result.contributions[row].sum()) - change) < 1e-12
    coarse = path_scores(net, X, units, NAMES, token=None, steps=20)
    assert float((coarse.contributions.sum(1) - coarse.change).abs().max()) > 1e-5
    # the joint score's gradients are those of the contributions, where no activation is zero
    activity = torch.stack([torch.stack([clean(net, x)[0][k][u] for k, u in enumerate((0, 1, 2))]) for x in X])
    slopes = coarse.contributions / activity
    torch.testing.assert_close(coarse.scores, activity.sum(1) * slopes.sum(1), atol=1e-12, rtol=1e-10)


def test_baselines_choose_layer_by_layer(net):
    active = baseline_paths(net, X, "activation", NAMES, token=None)
    gradient = baseline_paths(net, X, "gradient", NAMES, token=None, steps=6)
    for row, x in enumerate(X):
        activity, _ = clean(net, x)
        assert active.units[row].tolist() == [int(a.argmax()) for a in activity]
        for depth in range(3):
            scores = [score_by_hand(net, x, {depth: n}, depth, 6) for n in range(len(activity[depth]))]
            assert int(gradient.units[row, depth]) == max(range(len(scores)), key=scores.__getitem__)
    torch.testing.assert_close(
        active.scores, path_scores(net, X, active.units, NAMES, token=None).scores, atol=0, rtol=0
    )
    a, b = (baseline_paths(net, X, "random", NAMES, token=None, seed=s).units for s in (0, 1))
    assert not torch.equal(a, b) and torch.equal(a, baseline_paths(net, X, "random", NAMES, token=None).units)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.vit, self.head = language_model("vit").double(), nn.Linear(12, 3).double()

    def forward(self, x):
        return self.head(self.vit(x).last_hidden_state[:, 0])


def test_the_class_token_of_a_vision_transformer_alone_is_scaled():
    """Against products of weights: what a neuron of the last block adds at the class token."""
    torch.manual_seed(0)
    model, x = Classifier(), torch.randn(3, 1, 8, 8, dtype=torch.float64)
    units = torch.tensor([[0, 3]] * 3)
    result = path_scores(model, x, units, rule="gauss")
    blocks = [m for name, m in model.named_modules() if name.endswith(("fc2", "output.dense")) and m.in_features == 20]
    assert len(blocks) == 2
    inputs = {}
    hooks = [m.register_forward_pre_hook(lambda m, a, k=k: inputs.__setitem__(k, a[0].clone())) for k, m in
             enumerate(blocks)]  # fmt: skip
    p = model(x).softmax(1)
    for hook in hooks:
        hook.remove()

    def zero(k):
        def hook(m, args):
            h = args[0].clone()
            h[:, 0, (0, 3)[k]] = 0.0
            return (h,)

        return hook

    hooks = [m.register_forward_pre_hook(zero(k)) for k, m in enumerate(blocks)]
    edited = model(x).softmax(1)
    for hook in hooks:
        hook.remove()
    rows = torch.arange(3)
    torch.testing.assert_close(result.change, (p - edited)[rows, p.argmax(1)].detach(), atol=1e-14, rtol=0)
    torch.testing.assert_close(result.contributions.sum(1), result.change, atol=1e-9, rtol=0)
    assert neuron_paths(model, x).units.shape == (3, 2)
    assert all(q.grad is None for q in model.parameters())


def test_a_batch_is_its_examples_one_by_one():
    torch.manual_seed(0)
    model, x = Classifier(), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    together = neuron_paths(model, x, targets=torch.tensor([0, 1, 2, 0]))
    for k in range(4):
        alone = neuron_paths(model, x[k : k + 1], targets=together.targets[k : k + 1])
        assert torch.equal(alone.units[0], together.units[k])
        torch.testing.assert_close(alone.scores[0], together.scores[k], atol=1e-12, rtol=1e-9)


def test_overlap_against_pairs():
    paths = NeuronPaths(("a", "b"), torch.tensor([[0, 1], [0, 2], [3, 1]]), torch.zeros(3), torch.tensor([0, 0, 1]))
    assert path_overlap(paths) == (0.5, 0.25)


def test_mistakes_are_named(net):
    for arguments, message in (
        ({"which": ["0", "5"]}, "layer is '5'"),
        ({"token": 0}, r"expected \(B, T, units\) with a token 0"),
        ({"targets": torch.tensor([0, 1, 2, 3, 0])}, "targets reach 3; expected 0 to 2"),
        ({"targets": torch.zeros(4, dtype=torch.long)}, r"expected classes \(5,\)"),
        ({"steps": 0}, "steps is 0"),
        ({"x": X * float("nan")}, "not finite"),
        ({"which": None}, "has no MLP block"),
    ):
        with pytest.raises(ValueError, match=message):
            neuron_paths(net, **({"x": X, "which": NAMES, "token": None} | arguments))
    with pytest.raises(ValueError, match=r"units of layer 1 are 0 to 5; expected 0 to 4"):
        path_scores(net, X, torch.tensor([[0, 0, 0]] * 4 + [[0, 5, 0]]), NAMES, token=None)
    with pytest.raises(ValueError, match=r"expected indices \(5, 3\)"):
        path_scores(net, X, torch.zeros(5, 2, dtype=torch.long), NAMES, token=None)
    with pytest.raises(ValueError, match="rule is 'simpson'"):
        path_scores(net, X, torch.zeros(5, 3, dtype=torch.long), NAMES, token=None, rule="simpson")
    with pytest.raises(ValueError, match="kind is 'best'"):
        baseline_paths(net, X, "best", NAMES, token=None)
    assert all(not m._forward_hooks for m in net.modules())
    with torch.no_grad():
        net[3].bias[0] = float("inf")
    with pytest.raises(ValueError, match=r"weights 3\.bias have 1 values"):
        neuron_paths(net, X, NAMES, token=None)
