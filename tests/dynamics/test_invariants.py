"""Invariants from fields and from trajectories, against those of textbooks."""

import re
from pathlib import Path

import pytest
import torch

import ranvier as rv
from ranvier.dynamics import field_invariants, functions, gradient_rank, monomials, systems, trajectory_invariants

F64 = torch.float64
INVERSE = {"1/r": lambda x: 1 / x[:, :2].norm(dim=1)}


def states(n, d, seed=0, dtype=F64):
    return torch.rand(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed)) - 0.5


def kepler_states(n):
    x = states(n, 4)
    x[:, :2] += x[:, :2].sign() * 0.7
    return x


def test_keplers_energy_momentum_and_axis():
    """Degree 3 with 1/r holds energy, angular momentum and both parts of the axis, of which three are independent."""
    result = field_invariants(systems.kepler().field, kepler_states(400), monomials("xyuv", 3, INVERSE))
    assert result.expressions() == (
        "1 x v + -1 y u", "1 1/r + -0.5 u^2 + -0.5 v^2", "1 y 1/r + 1 x u v + -1 y u^2",
        "1 x 1/r + -1 x v^2 + 1 y u v",
    )  # fmt: skip
    assert (result.rank, result.independent) == (3, (0, 1, 2))
    assert result.residuals[3] < 1e-13 < 1e-3 < result.residuals[4]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_henon_and_heiles_conserve_their_energy_alone(dtype):
    x = states(1000, 4, dtype=dtype)
    result = field_invariants(systems.henon_heiles().field, x, monomials("xyuv", 3), 1e-5)
    assert result.rank == len(result.coefficients) == 1
    H = systems.henon_heiles().invariants["energy"](x.double())
    value = result(x.double())[:, 0]
    assert torch.allclose(value / value[0], H / H[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("ratio", "rank"), [(1.0, 3), (2.0, 3), (2**0.5, 2)])
def test_resonant_oscillators_conserve_one_more(ratio, rank):
    """Frequencies 1 : 1 and 1 : 2 have closed orbits: 3 of 4 dimensions are conserved; incommensurate ones have 2."""
    assert field_invariants(systems.oscillator(1.0, ratio).field, states(400, 4), monomials("xyuv", 3)).rank == rank


def test_nothing_is_found_where_nothing_is():
    for system in (systems.damped_oscillator(), systems.damped_oscillator(1e-3)):
        result = field_invariants(system.field, states(400, 2), monomials("xu", 6))
        assert result.rank == 0 and len(result.coefficients) == 0 and result.expressions() == ()
        runs = system.run(states(40, 2), 0.1, 300, every=10)
        assert trajectory_invariants(runs, monomials("xu", 4)).rank == 0


def test_trajectories_say_the_same_without_a_field():
    system = systems.kepler()
    x = torch.tensor([[1.2, 0.0, 0.0, 0.7]], dtype=F64) + 0.3 * states(100, 4)
    runs = system.run(x, 0.01, 600, every=10)
    result = trajectory_invariants(runs, monomials("xyuv", 3, INVERSE), 1e-5)
    assert result.rank == 3
    assert result.expressions()[0] == "1 x v + -1 y u"


def test_relations_of_the_library_are_no_invariants():
    """cos^2 + sin^2 = 1 is constant everywhere: it says nothing of the motion."""
    library = functions(c=lambda x: torch.cos(x[:, 0]).square(), s=lambda x: torch.sin(x[:, 0]).square())
    assert field_invariants(lambda x: torch.ones_like(x), states(200, 1), library).rank == 0


def test_functions_of_each_other_are_counted_once():
    result = field_invariants(systems.oscillator(1.0).field, states(400, 2), monomials("qp", 6))
    assert len(result.coefficients) == 3 and result.rank == 1  # H, its square and its cube


def test_rank_of_gradients_by_hand():
    x = states(30, 3)
    a = torch.stack([2 * x, 4 * x.square().sum(1, keepdim=True) * x], 1)  # of r^2 and of its square
    assert gradient_rank(a) == 1
    assert gradient_rank(torch.cat([a, torch.tensor([1.0, 0.0, 0.0], dtype=F64).expand(30, 1, 3)], 1)) == 2


def test_a_small_coordinate_counts_as_a_large_one():
    """Units must not matter: the same oscillator in units of 1e-6 and 1e6."""
    scale = torch.tensor([1e-6, 1e6], dtype=F64)
    field = systems.oscillator(1.0).field
    result = field_invariants(lambda x: field(x / scale) * scale, states(200, 2) * scale, monomials("qp", 2))
    assert result.rank == 1
    value = result(states(200, 2) * scale)[:, 0]
    H = states(200, 2).square().sum(1)
    assert torch.allclose(value / value[0], H / H[0])


def test_monomials_by_hand():
    library = monomials(("a", "b"), 3, {"e": lambda x: torch.exp(x[:, 0])})
    x = states(5, 2)
    values = dict(zip(library.names, library(x).T, strict=True))
    assert len(library.names) == 3 + 6 + 10
    assert torch.allclose(values["a b e"], x[:, 0] * x[:, 1] * x[:, 0].exp())
    assert torch.allclose(values["b^3"], x[:, 1] ** 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: field_invariants(torch.neg, x[:5], monomials("ab", 3)), "5 states for 9 functions; expected 18"),
        (lambda x: field_invariants(torch.neg, x / 0, monomials("ab", 1)), "not finite; expected"),
        (lambda x: field_invariants(torch.neg, x, monomials("abc", 1)), r"shape \(50, 2\); expected \(B, 3\)"),
        (lambda x: field_invariants(torch.neg, x, functions(log=lambda x: x[:, 0].log())), "'log' is not finite"),
        (lambda x: field_invariants(torch.neg, x, functions(one=lambda x: x[:, 0] * 0)), "constant on all states"),
        (lambda x: field_invariants(torch.neg, x, monomials("ab", 1), -1.0), "tolerance is -1.0; expected"),
        (lambda x: trajectory_invariants(x, monomials("ab", 1)), r"states is \(50, 2\); expected \(T, B, d\)"),
        (lambda x: trajectory_invariants(x[:, None], monomials("ab", 1)), "two or more trajectories"),
        (lambda x: monomials("aa", 1), "'a' appears twice"),
        (lambda x: monomials("abcdefghijkl", 9), "expected at most 5000 products"),
        (lambda x: functions(), "expected at least one"),
        (lambda x: rv.dynamics.Library(("a", "b"), lambda x: x[:, :1])(x), r"expected \(50, 2\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(states(50, 2))


def test_the_readmes_example():
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "rv.dynamics" in b)
    names: dict = {}
    exec(block.replace("steps=3000)", "steps=1500)").replace("(0.2,)", "(0.2,), width=128, steps=300"), names)
    assert names["result"].rank == 3 and names["result"].expressions()[0] == "1 x v + -1 y u"
