"""Branch and bound: verdicts agree with what dense sampling and closed forms say, and mistakes are refused."""

import pytest
import torch
from torch import nn

from ranvier import verify
from ranvier.verify.branch_and_bound.attack import confirmed


def network(kind: type[nn.Module], seed: int = 0, inputs: int = 2, width: int = 10) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(inputs, width), kind(), nn.Linear(width, width), kind(), nn.Linear(width, 1))
    for p in layers.parameters():
        p.data *= 2.0
    return layers.double()


def least_output(module: nn.Module, inputs: int = 2) -> float:
    """Over [−1, 1]², from a grid and steps downhill from its best points."""
    axis = torch.linspace(-1, 1, 201, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * inputs)
    y = module(x)[:, 0].detach()
    x = x[y.topk(20, largest=False).indices].clone().requires_grad_()
    for step in range(200):
        (g,) = torch.autograd.grad(module(x).sum(), x)
        x = (x - 0.01 * 0.97**step * g.sign()).clamp(-1, 1).detach().requires_grad_()
    return min(float(y.min()), float(module(x).detach().min()))


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


BOX = torch.full((2,), -1.0).double(), torch.full((2,), 1.0).double()
X = torch.zeros(1, 2)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.Tanh, nn.GELU, Sine], ids=lambda k: k.__name__)
@pytest.mark.parametrize("branching", ["bbps"])
def test_thresholds_on_both_sides_of_the_minimum(kind: type[nn.Module], branching: str):
    module = network(kind)
    least = least_output(module)
    span = 0.03 * (float(module(torch.zeros(1, 2).double()).detach()) - least + 1.0)
    graph = verify.wrap(module, X.double())
    for threshold, verdict in ((least - 2 * span, "verified"), (least + span, "falsified")):
        prop = verify.Property.within(*BOX, [[1.0]], threshold)
        options = {"branching": branching, "timeout": 60, "attack": branching == "bbps"}
        result = verify.verify(graph, prop, **options)
        assert result.verdict == verdict, result
        if verdict == "falsified":
            assert float(module(result.counterexample.double()).detach()) <= threshold  # type: ignore[union-attr]
            assert bool((result.counterexample.abs() <= 1).all())  # type: ignore[union-attr]


def test_splitting_decides_what_alpha_crown_cannot():
    module = network(nn.Tanh, 3)
    prop = verify.Property.within(*BOX, [[1.0]], least_output(module) - 0.3)
    graph = verify.wrap(module, X.double())
    assert verify.verify(graph, prop, branching="none").verdict == "unknown"
    scored = verify.verify(graph, prop, branching="bbps", timeout=60)
    assert scored.verdict == "verified" and scored.domains < 250
    at_random = verify.verify(graph, prop, branching="random", timeout=60, most_domains=300)
    assert at_random.verdict == "unknown" and at_random.bound < 0


def test_an_lstm_cell_with_products():
    torch.manual_seed(1)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(1, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(self.lstm(x)[0][:, -1])

    module = Last().double()
    x = torch.rand(2000, 3, 1, dtype=torch.float64) * 2 - 1
    least = float(module(x).detach().min())
    graph = verify.from_module(module, torch.zeros(1, 3, 1))
    lower = -torch.ones(3).double()
    prop = verify.Property.within(lower, -lower, [[1.0]], least - 0.05)
    assert verify.verify(graph, prop, branching="bbps", timeout=60, attack=False).verdict == "verified"


def test_a_conjunction_needs_one_row_in_every_domain():
    """Unsafe: y0 <= 0 and y1 <= 0, with y0 = x, y1 = −x + 0.1: nowhere both, and no single row shows it."""
    b = nn.Linear(1, 2).double()
    b.weight.data, b.bias.data = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0.0, 0.1]).double()
    module = nn.Sequential(b, nn.LeakyReLU(0.999).double())
    unsafe = verify.Unsafe(torch.eye(2).double(), torch.zeros(2).double(), torch.zeros(2, dtype=torch.bool))
    case = verify.Case(torch.tensor([-1.0]).double(), torch.tensor([1.0]).double(), (unsafe,))
    for branching in ("inputs", "bbps"):
        options = {"example": torch.zeros(1, 1), "branching": branching, "timeout": 10}
        assert verify.verify(module, verify.Property((case,)), **options).verdict == "verified"


def test_a_counterexample_that_the_network_does_not_confirm_does_not_count():
    graph = verify.from_module(nn.Linear(1, 1).double(), torch.zeros(1, 1))
    liar = verify.NetworkUnderTest(graph, lambda x: torch.full((1, 1), 1e9).double())
    prop = verify.Property.within(torch.zeros(1), torch.ones(1), [[1.0]], 100.0)
    assert confirmed(liar, prop.cases[0], prop.cases[0].unsafe, torch.zeros(1).double()) is None
    result = verify.verify(liar, prop, timeout=1)
    assert result.verdict == "unknown" and result.counterexample is None


def test_time_and_domains_are_limited():
    module = network(Sine, 5, width=12)
    prop = verify.Property.within(*BOX, [[1.0]], least_output(module) - 1e-6)
    for branching in ("inputs", "bbps"):
        options = {"branching": branching, "most_domains": 40, "batch": 16, "steps": 3, "attack": False}
        result = verify.verify(module, prop, example=X, **options)
        assert result.verdict == "unknown" and 40 <= result.domains <= 72 and "left" in result.note
    assert verify.verify(module, prop, example=X, timeout=0.0, attack=False).verdict == "unknown"


def test_same_seed_same_search():
    module = network(nn.Tanh, 4)
    prop = verify.Property.within(*BOX, [[1.0]], least_output(module) - 0.03)
    runs = [verify.verify(module, prop, example=X, branching="random", seed=3, most_domains=60) for _ in range(2)]
    assert (runs[0].domains, runs[0].bound, runs[0].verdict) == (runs[1].domains, runs[1].bound, runs[1].verdict)


def test_mistakes_are_refused_in_words():
    module = network(nn.ReLU)
    prop = verify.Property.within(*BOX, [[1.0]], 0.0)
    for options, words in (
        ({}, "example is missing"), ({"example": X, "branching": "best"}, "expected one of auto"),
        ({"example": X, "timeout": float("nan")}, "timeout is nan"),
        ({"example": X, "points": "none"}, "expected one of optimised"),
        ({"example": torch.zeros(1, 2, dtype=torch.int64)}, "floating-point"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            verify.verify(module, prop, **options)
    with pytest.raises(ValueError, match="expected a Property"):
        verify.verify(module, None, example=X)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected the network's 2 and 1"):
        verify.verify(module, verify.Property.within(torch.zeros(3), torch.ones(3), [[1.0]]), example=X)
    with pytest.raises(ValueError, match="not finite"):
        verify.verify(module, verify.Property.within(torch.zeros(2), torch.ones(2) * torch.inf, [[1.0]]), example=X)
    with pytest.raises(ValueError, match="lower <= upper"):
        verify.Property.within(torch.ones(2), torch.zeros(2), [[1.0]])
    with pytest.raises(ValueError, match="label is 3"):
        verify.Property.robust(torch.zeros(2), 0.1, 3, 3)
    with pytest.raises(ValueError, match="control flow"):
        verify.from_module(Branchy(), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"Fft/.*has no translation"):
        verify.from_module(Fft(), torch.zeros(1, 2))


class Branchy(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Fft(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).abs()
