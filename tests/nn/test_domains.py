"""Numbers outside their domain are named, with value, place and remedy: when a layer is made, and after it learned."""

import pytest
import torch

import ranvier as rv

N = rv.nn
IMPOSSIBLE = {
    "beta": (lambda: N.LIF(3, beta=1.5), r"beta is 1.5; expected a number in \[0, 1\]"),
    "one of them": (lambda: N.LIF(3, beta=torch.tensor([0.5, -0.1, 0.5])), r"beta is -0.1 at 1; expected"),
    "nan": (lambda: N.LIF(3, beta=float("nan")), r"beta is nan; expected"),
    "threshold": (lambda: N.LIF(3, threshold=-1.0), r"threshold is -1; expected a number above 0"),
    "kappa": (lambda: N.LIF(3, adaptation=(0.9, float("inf"))), r"kappa is inf; expected a finite number"),
    "delayed": (lambda: N.LIF(3, beta=0.0, reset="delayed"), r"beta is 0; expected a number in \(0, 1\]"),
    "LI": (lambda: N.LI(3, alpha=-0.5), r"alpha is -0.5; expected"),
    "tau": (lambda: N.AstrocyteLIF(3, 8, tau=(0.0, 5.0)), r"tau, the least, is 0; expected a number above 0"),
    "tau_m": (lambda: N.ELM(3, 2, tau_m=(-1.0, 5.0)), r"tau_m, the least, is -1; expected a number above 0"),
    "tau_s": (lambda: N.ELM(3, 2, tau_s=float("nan")), r"tau_s is nan; expected a number above 0"),
    "dropout": (lambda: N.CfC(3, 2, dropout=1.0), r"dropout is 1; expected a number in \[0, 1\)"),
    "epsilon": (lambda: N.LTC(3, 2, epsilon=-1.0), r"epsilon is -1; expected a number of at least 0"),
    "scaling": (lambda: N.Hopfield(3, scaling=0.0), r"scaling of Hopfield is 0; expected a number above 0"),
    "steps": (lambda: N.Delay(3, -1), r"steps is -1; expected a number of at least 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_numbers_make_no_layer(name):
    make, message = IMPOSSIBLE[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("way", ["forward", "step"])
@pytest.mark.parametrize(
    ("options", "name", "value", "message"),
    [
        ({"learn": "threshold"}, "threshold", -0.2, "threshold of LIF is -0.2 at 1; expected a number above 0: bound"),
        ({"learn": "beta", "reset": "delayed"}, "beta", 0.0, r"beta of LIF is 0 at 1; expected a number in \(0, 1\]"),
        ({"learn": "beta"}, "beta", float("nan"), "beta of LIF is nan at 1; expected a finite number"),
        ({}, "threshold", 0.0, "threshold of LIF is 0 at 1; expected a number above 0: set threshold again"),
        ({"adaptation": (0.9, 0.1)}, "rho", 1.5, r"rho of LIF is 1.5 at 1; expected a number in \[0, 1\]"),
    ],
)
def test_a_number_that_left_its_domain_is_named_and_may_come_back(way, options, name, value, message):
    """By training, a file, or the user; learned decays alone are used clamped."""
    each = {n: torch.full((3,), start) for n, start in (("beta", 0.9), ("threshold", 1.0))}
    if "adaptation" in options:
        options = options | {"adaptation": (torch.full((3,), 0.9), 0.1)}
    layer, x = rv.nn.LIF(3, **each, **options), torch.ones(4, 2, 3)
    use = (lambda: layer(x)) if way == "forward" else (lambda: layer.step(layer.init_state(2), x[0]))
    use()
    before = getattr(layer, name).detach().clone()
    with torch.no_grad():
        getattr(layer, name)[1] = value
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            use()
    layer.load_state_dict(layer.state_dict() | {name: before})
    use()


def test_an_optimizer_that_goes_too_far_is_told_of():
    layer = rv.nn.LIF(3, threshold=0.05, learn="threshold")
    optimizer = torch.optim.SGD(layer.parameters(), 10.0)
    y, _ = layer(0.2 * torch.rand(6, 2, 3))
    (-y.sum()).backward()
    optimizer.step()
    assert float(layer.threshold.detach()) < 0
    with pytest.raises(ValueError, match=r"threshold of LIF is -.*expected a number above 0: bound what learns it"):
        layer(torch.rand(6, 2, 3))


def test_values_are_looked_at_once_for_every_change(monkeypatch):
    layer, looked = rv.nn.LIF(3, learn="beta"), []
    monkeypatch.setattr(type(layer), "_require_domains", lambda self, values: looked.append(1))
    state = layer.init_state(2)
    for _ in range(5):
        state, _ = layer.step(state, torch.ones(2, 3))
    layer(torch.ones(4, 2, 3))
    assert len(looked) == 1
    with torch.no_grad():
        layer.beta.mul_(0.5)
    layer(torch.ones(4, 2, 3))
    assert len(looked) == 2


def test_attributes_set_later_act_or_are_refused():
    torch.manual_seed(0)
    layer, x = rv.nn.LIF(3, beta=0.8), 2 * torch.rand(9, 2, 3)
    for reset in ("zero", "delayed", "subtract"):
        layer.reset = reset
        fresh = rv.nn.LIF(3, beta=0.8, reset=reset)
        assert torch.equal(layer(x)[0], fresh(x)[0])
        assert all(torch.equal(a, b) for a, b in zip(layer(x)[1].values(), fresh(x)[1].values(), strict=True))
    with pytest.raises(ValueError, match="reset is 'half'; expected one of"):
        layer.reset = "half"
    with pytest.raises(TypeError, match="expected a Surrogate"):
        layer.surrogate = "atan"
    for model, name, value in ((rv.nn.CfC(3, 2), "mode", "pure"), (rv.nn.LTC(3, 2), "constraint", "clamp"),
                              (layer, "in_features", 5), (rv.nn.Delay(3, 2), "longest", 9)):  # fmt: skip
        with pytest.raises(AttributeError, match=f"{name} of a .* is fixed"):
            setattr(model, name, value)
