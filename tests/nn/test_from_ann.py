"""Networks of rectified units as spiking ones: counts by hand, bounds of the rates, digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import ranvier as rv

F64 = torch.float64


class Residual(nn.Module):
    """A branch beside an identity, batch norms, functions instead of modules, a view."""

    def __init__(self, dtype: torch.dtype = F64):
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, 4, 3, padding=1, dtype=dtype) for n in (1, 4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4, dtype=dtype) for _ in range(2))
        self.linear = nn.Linear(64, 3, dtype=dtype)

    def forward(self, x):
        h = F.relu(self.norms[0](self.first(x)))
        h = torch.relu(self.norms[1](self.second(h)) + h)
        h = F.dropout(F.avg_pool2d(h + h, 2), 0.2, self.training)
        return self.linear(h.view(x.size(0), -1))


def residual(dtype: torch.dtype = F64) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    model, x = Residual(dtype), torch.rand(12, 1, 8, 8, dtype=dtype)
    for _ in range(5):
        model(x)  # running statistics other than 0 and 1
    return model.eval(), x


@pytest.mark.parametrize("initial", [0.0, 0.5])
def test_counts_of_one_layer_are_those_of_its_closed_form(initial):
    """Under a constant drive a, n = floor((T a + initial θ)/θ) spikes, within 0 and T: θ n/T is off by θ/T at most, by
    θ/(2 T) with half a threshold (Bu et al. 2022, equation 7)."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(5, 30, dtype=F64), nn.ReLU()), torch.rand(40, 5, dtype=F64)
    network = rv.nn.from_ann(model, x, percentile=90.0, initial=initial)
    drive, activation = model[0](x).detach().numpy(), model(x).detach()
    theta = np.percentile(activation.numpy(), 90.0)
    y, _ = network(x.expand(33, 40, 5))
    sums = (y / theta).cumsum(0).round().detach().numpy()
    worst = []
    for T in range(1, 34):
        expected = np.clip(np.floor(T * drive / theta + initial), 0, T)
        np.testing.assert_array_equal(sums[T - 1], expected)
        worst.append(np.abs(theta * sums[T - 1] / T - np.clip(drive, 0, theta)).max() * T / theta)
    bound = 1.0 if initial == 0.0 else 0.5
    assert 0.9 * bound < max(worst) <= bound + 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5)])
def test_rates_are_mean_drives_less_what_the_membrane_holds(dtype, tolerance):
    """θ n = Σ drive − (v(T) − v(0)) in every layer, whatever comes in: nothing is lost by a soft reset."""
    model, x = residual(dtype)
    network, passed = rv.nn.from_ann(model, x), {}
    for name in ("relu", "relu_1"):
        network.nodes[name][0].register_forward_hook(
            lambda layer, x, out, name=name: passed.update({name: (x[0], *out)})
        )
    network(x.expand(20, *x.shape))
    for name, (drive, spikes, state) in passed.items():
        layer = network.nodes[name][0]
        total = drive.sum(0) - (state["v"] - layer.initial)
        assert spikes.sum() > 100
        torch.testing.assert_close(layer.threshold * spikes.sum(0), total, rtol=tolerance, atol=20 * tolerance)


def test_the_output_is_the_models_in_the_limit():
    """The largest error falls as 1/T, from 32 to 512 steps by 16, here at least by 8; with norms folded, branches
    summed and a value added to itself, and nothing clipped."""
    model, x = residual()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = rv.nn.from_ann(model, x, percentile=100.0)
    expected = model(x).detach()
    with torch.no_grad():
        errors = [float((network(x.expand(T, *x.shape))[0].mean(0) - expected).abs().max()) for T in (32, 512)]
    assert errors[1] < errors[0] / 8 and errors[1] < 0.01 * float(expected.abs().max())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    measured = rv.nn.conversion_loss(model, network, x, expected.argmax(1), steps=(8, 64, 512))
    for name in ("relu", "relu_1"):
        assert measured.error[name][2] < measured.error[name][0] / 20 and measured.correlation[name][2] > 0.9999
    assert measured.accuracy[2] == measured.model_accuracy == 1.0 and measured.loss[2] == 0.0
    assert len(str(measured).splitlines()) == 4


def test_an_outlier_does_not_set_the_threshold():
    """Rueckauer et al. 2017, section 2.2.1: a percentile instead of the largest activation."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False, dtype=F64), nn.ReLU())
    x = torch.linspace(0.0, 1.0, 2001, dtype=F64)
    nn.init.ones_(model[0].weight)
    x[-1] = 100.0
    networks = [rv.nn.from_ann(model, x[:, None], percentile=p) for p in (99.9, 100.0)]
    thresholds = [float(network.nodes["_1"][0].threshold) for network in networks]
    assert thresholds[0] == pytest.approx(0.999) and thresholds[1] == 100.0


def test_digits_lose_less_than_a_point():
    """1437 digits learned, 360 tested: at 32 steps at most 3 of them (0.8 points) are lost."""
    images, labels = load_digits(return_X_y=True)
    torch.manual_seed(0)
    order = torch.randperm(len(labels))
    x, labels = torch.tensor(images / 16).float().reshape(-1, 1, 8, 8)[order], torch.tensor(labels)[order]
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(5):
        for rows in torch.randperm(1437).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), labels[rows]).backward()
            optimizer.step()
    network = rv.nn.from_ann(model.eval(), x[:500])
    measured = rv.nn.conversion_loss(model, network, x[1437:], labels[1437:], steps=(2, 32))
    assert measured.model_accuracy > 0.93 and measured.loss[1] <= 0.01
    assert measured.error["_2"][1] < 0.5 / 32 + 0.001  # its bound, and what is clipped


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (nn.MaxPool2d(2), "MaxPool2d.*average pools"),
        (nn.Softmax(1), "Softmax.*leave it out"),
        (nn.Sigmoid(), "Sigmoid.*ReLU"),
        (nn.LayerNorm(8), "LayerNorm"),
        (nn.BatchNorm2d(2), "BatchNorm2d.*right after"),
    ],
)
def test_parts_without_a_counterpart_are_refused_by_name(part, words):
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), part)
    with pytest.raises(ValueError, match=words):
        rv.nn.from_ann(model, torch.rand(2, 1, 8, 8))


class Written(nn.Module):
    """A forward written by hand."""

    def __init__(self, act):
        super().__init__()
        self.linear, self.act = nn.Linear(4, 4), act

    def forward(self, x):
        return self.act(self.linear(x))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda h: torch.relu(h) + 1, "a sum with a constant"),
        (lambda h: torch.add(torch.relu(h), h, alpha=3), r"a weighted sum \(alpha\)"),
        (lambda h: torch.relu(h)[:, :2], "a choice or a change of shape"),
        (lambda h: torch.relu(h).view(-1, 2), "change of shape"),
        (lambda h: torch.relu(h) * h, "mul"),
        (lambda h: (torch.relu(h), h), "an output of several"),
        (lambda h: h if h.sum() > 0 else torch.relu(h), "cannot trace"),
        (lambda h: torch.relu(-h * 0), "mul|neg"),
        (lambda h: h, "no ReLU"),
        (lambda h: torch.relu_(h) + h, "in place"),
        (lambda h: nn.functional.relu(h, True) + h, "in place"),
        (nn.Sequential(nn.ReLU(True), nn.BatchNorm1d(4)), "BatchNorm1d.*right after"),
    ],
)
def test_operations_without_a_counterpart_are_refused(act, words):
    with pytest.raises(ValueError, match=words):
        rv.nn.from_ann(Written(act), torch.rand(6, 4))


def test_wrong_arguments_are_refused():
    model, x = nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.rand(6, 4)
    for options in ({"percentile": 0.0}, {"percentile": 101.0}, {"initial": 1.5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            rv.nn.from_ann(model, x, **options)
    with pytest.raises(TypeError, match="model is"):
        rv.nn.from_ann("net", x)
    for other in (x.double(), x.long()):
        with pytest.raises(TypeError, match=r"expected torch.float32, the model's"):
            rv.nn.from_ann(model, other)
    with pytest.raises(ValueError, match=r"examples of shape \(6, 3\) do not go through the model"):
        rv.nn.from_ann(model, x[:, :3])
    nn.init.constant_(model[0].bias, -100.0)
    with pytest.raises(ValueError, match=r"is 0 at percentile 99.9"):
        rv.nn.from_ann(model, x)
    nn.init.constant_(model[0].bias, 0.5)
    network = rv.nn.from_ann(model, x)
    for options, words in (({"steps": (0,)}, "steps"), ({"labels": torch.zeros(6)}, "labels")):
        with pytest.raises(ValueError, match=words):
            rv.nn.conversion_loss(model, network, x, **{"labels": torch.zeros(6, dtype=torch.long), **options})
    some = torch.zeros(6, dtype=torch.long)
    for wrong, error, words in (
        ((model, model, x, some), TypeError, "network is Sequential"), (("net", network, x, some), TypeError, "model"),
        ((model, network, x.double(), some), TypeError, "x are torch.float64"),
        ((model, network, x, some, 8), TypeError, "steps is int"),
        ((model, network, x, some, (1.5,)), ValueError, "steps"),
        ((model, network, x[:0], some[:0]), ValueError, "B > 0"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            rv.nn.conversion_loss(*wrong)
    with pytest.raises(ValueError, match="meta device"):
        rv.nn.from_ann(nn.Sequential(nn.Linear(4, 2, device="meta"), nn.ReLU()), x)
    with pytest.raises(ValueError, match="no neurons with names"):
        rv.nn.conversion_loss(Written(torch.relu), network, x, torch.zeros(6, dtype=torch.long))


def test_a_batch_norm_without_weights_is_folded():
    torch.manual_seed(0)
    norm, x = nn.BatchNorm1d(3, affine=False), torch.randn(40, 4, dtype=F64)
    nn.init.constant_(norm.running_mean, 0.3), nn.init.constant_(norm.running_var, 4.0)
    model = nn.Sequential(nn.Linear(4, 3), norm, nn.ReLU(), nn.Linear(3, 2)).to(F64).eval()
    y, _ = rv.nn.from_ann(model, x, percentile=100.0)(x.expand(500, 40, 4))
    assert (y.mean(0) - model(x)).abs().max() < 0.01


def test_weights_that_are_not_finite_are_named():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    for layer, name in ((2, "2.bias"), (0, "0.weight")):  # of the last layer, which no threshold shows; of the first
        nn.init.constant_(model.get_parameter(name), float("nan"))
        with pytest.raises(ValueError, match=f"{name} of the model is not finite"):
            rv.nn.from_ann(model, torch.rand(5, 4))
        nn.init.zeros_(model[layer].bias)


def test_a_layer_of_open_shape_begins_where_it_should():
    layer = rv.nn.LIF(beta=1.0, initial=0.5)
    y, _ = layer(torch.full((2, 1, 3), 0.5))
    assert y[:, 0].tolist() == [[1.0] * 3, [0.0] * 3]
    with pytest.raises(ValueError, match="expected a layer with a shape"):
        rv.nn.LIF(initial=torch.zeros(3))(torch.zeros(2, 1, 3))
    with pytest.raises(ValueError, match="initial"):
        rv.nn.to_nir(rv.nn.Sequential(rv.nn.LIF(3, reset="zero", initial=0.5)))


class Normed(nn.Module):
    """A norm of sums that something else reads as well."""

    def __init__(self, norm, twice):
        super().__init__()
        self.linear, self.norm, self.twice = nn.Linear(4, 4), norm, twice

    def forward(self, x):
        h = self.linear(x)
        return torch.relu(self.norm(h) + h if self.twice else self.norm(h))


@pytest.mark.parametrize(("tracked", "twice"), [(True, True), (False, False)])
def test_norms_that_cannot_be_folded_are_refused(tracked, twice):
    model = Normed(nn.BatchNorm1d(4, track_running_stats=tracked), twice)
    with pytest.raises(ValueError, match="right after a Linear or Conv, with running statistics"):
        rv.nn.from_ann(model, torch.rand(6, 4))


def test_a_model_in_training_is_converted_as_it_will_be_used():
    torch.manual_seed(0)
    x = torch.rand(40, 1, 4, dtype=F64)
    layers = nn.Conv1d(1, 3, 1), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5), nn.AvgPool1d(2), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(6, 2)).to(F64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    y, _ = rv.nn.from_ann(model, x, percentile=100.0)(x.expand(200, *x.shape))
    assert all(part.training for part in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert (y.mean(0) - model.eval()(x)).abs().max() < 0.02


def test_what_is_lost_is_that_of_the_counts_by_hand():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 3, bias=False, dtype=F64), nn.ReLU()), 4 * torch.rand(20, 3, dtype=F64)
    nn.init.eye_(model[0].weight)
    network, labels = rv.nn.from_ann(model, x, percentile=100.0), x.argmax(1)
    measured = rv.nn.conversion_loss(model.train(), network, x, labels, steps=(5, 2))
    theta, names = float(x.max()), list(measured.error)
    assert measured.steps == (2, 5) and names == ["_1"] and model.training and measured.model_accuracy == 1.0
    for k, T in enumerate(measured.steps):
        rates = theta * np.clip(np.floor(T * x.numpy() / theta + 0.5), 0, T) / T
        assert measured.error["_1"][k] == pytest.approx(np.abs(rates - x.numpy()).mean() / theta)
        assert measured.correlation["_1"][k] == pytest.approx(np.corrcoef(rates.ravel(), x.numpy().ravel())[0, 1])
        assert measured.accuracy[k] == (torch.tensor(rates).argmax(1) == labels).double().mean()
