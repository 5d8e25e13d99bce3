"""Monitors record what layers do, and change nothing; pictures show what was recorded."""

import matplotlib

matplotlib.use("Agg")

import copy
import math

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image

import ranvier as rv

F64 = torch.float64


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def model() -> rv.nn.Sequential:
    torch.manual_seed(0)
    return rv.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, dtype=F64), rv.nn.LIF((2, 4, 4), threshold=0.2, dtype=F64), torch.nn.Flatten(),
        rv.nn.LIF(32, 5, alpha=0.5, recurrent=True, threshold=0.3, dtype=F64), rv.nn.LI(5, 3, dtype=F64),
    )  # fmt: skip


def train(net, steps=4):
    x = torch.rand(6, 3, 1, 6, 6, dtype=F64, generator=torch.Generator().manual_seed(1))
    optimizer, outputs = torch.optim.SGD(net.parameters(), 0.1), []
    for _ in range(steps):
        optimizer.zero_grad()
        y, _ = net(x)
        y.square().sum().backward()
        optimizer.step()
        outputs.append(y.detach())
    return torch.stack(outputs), x


def test_a_model_trains_as_without_its_monitor_and_is_left_as_it_was():
    plain, _ = train(model())
    net = model()
    with rv.nn.LayerMonitor(net, membranes=True, weights=True) as monitor:
        watched, _ = train(net)
    assert torch.equal(plain, watched)
    assert not any(part._forward_hooks for part in net.modules())
    train(net)
    assert all(len(calls) == 4 for calls in monitor.calls.values())
    assert [len(monitor.weights[name]) for name in ("1", "3", "4")] == [0, 4, 4]


def test_numbers_are_those_of_the_layers_by_hand():
    """Rates, silence, gradients by autograd, membranes by stepping the layer from its own inputs."""
    net, x = model(), torch.rand(6, 3, 1, 6, 6, dtype=F64)
    with rv.nn.LayerMonitor(net, sample=2, membranes=True) as monitor:
        y, _ = net(x)
        y.square().sum().backward()
    hidden = net[1](net[:1](x)[0])[0].detach()
    second = net[3](hidden.flatten(2))[0].detach().requires_grad_()
    net[4](second)[0].square().sum().backward()
    assert monitor.rates["1"][0] == pytest.approx(float(hidden.mean())) and 0 < monitor.rates["1"][0] < 1
    assert monitor.silent["1"][0] == pytest.approx(float((hidden.sum((0, 1)) == 0).double().mean()))
    assert monitor.gradients["3"][0] == pytest.approx(float(second.grad.square().mean().sqrt()), rel=1e-9)
    assert torch.equal(monitor.spikes["3"], second.detach()[:, 2]) and monitor.spikes["3"].sum() > 0
    state, rows = net[3].init_state(1), []
    for row in hidden.flatten(2)[:, 2:3].detach():
        state, _ = net[3].step(state, row)
        rows.append(state["v"][0])
    torch.testing.assert_close(monitor.voltages["3"], torch.stack(rows).detach())
    torch.testing.assert_close(monitor.voltages["4"], y.detach()[:, 2])
    assert monitor.voltages["1"].shape == (6, 32)


def test_a_state_that_is_passed_on_and_other_cells():
    net, x = rv.nn.LIF(4, 3, dtype=F64), torch.rand(8, 2, 4, dtype=F64)
    with rv.nn.LayerMonitor(net, every=2, membranes=True) as monitor:
        _, state = net(x[:2])
        net(x[2:4], state)
        _, state = net(x[:4])
        net(x[4:], state)
        whole = net(x)[1]
    assert monitor.calls["LIF"] == [0, 2, 4] and math.isnan(monitor.gradients["LIF"][0])
    torch.testing.assert_close(monitor.voltages["LIF"][-1], whole["v"][0].detach())
    with rv.nn.LayerMonitor(net, membranes=True) as monitor:
        net(x[4:], state)
    torch.testing.assert_close(monitor.voltages["LIF"][-1], whole["v"][0].detach())
    lstm = rv.nn.Sequential(rv.nn.SpikingLSTM(4, 3), rv.nn.SlidingPSN(3))
    with rv.nn.LayerMonitor(lstm, membranes=True) as monitor:
        lstm(torch.rand(5, 2, 4))
    assert list(monitor.voltages) == ["0"] and list(monitor.rates) == ["0", "1"]


def test_what_cannot_be_monitored_is_refused():
    for wrong, error in ((torch.nn.Linear(2, 2), ValueError), ("net", TypeError)):
        with pytest.raises(error, match="expected"):
            rv.nn.LayerMonitor(wrong)
    with rv.nn.LayerMonitor(rv.nn.LIF(2, 2), sample=5) as monitor, pytest.raises(ValueError, match="sample is 5"):
        monitor.layers["LIF"](torch.rand(3, 2, 2))


def test_pictures_show_what_was_recorded():
    net = model()
    with rv.nn.LayerMonitor(net, membranes=True) as monitor:
        train(net)
    ax = rv.plot.layer_rates(monitor)
    assert [line.get_ydata().tolist() for line in ax.lines] == [
        rates for rates in monitor.rates.values() if not math.isnan(rates[0])
    ]
    monitor.gradients["3"][1], monitor.gradients["3"][2] = 0.0, math.nan
    ax = rv.plot.layer_gradients(monitor)
    labels = {line.get_label(): line for line in ax.lines}
    assert labels["1"].get_ydata().tolist() == monitor.gradients["1"]
    assert labels["3: 0"].get_xdata().tolist() == [1] and labels["3: not finite"].get_xdata().tolist() == [2]
    ax = rv.plot.membranes(monitor, "3", neurons=[4])
    assert np.array_equal(ax.lines[0].get_ydata(), monitor.voltages["3"][:, 4])
    assert ax.lines[1].get_xdata().tolist() == monitor.spikes["3"][:, 4].nonzero()[:, 0].tolist()
    for layer, neurons in (("9", [0]), ("3", [5])):
        with pytest.raises(ValueError, match="expected"):
            rv.plot.membranes(monitor, layer, neurons=neurons)
    for draw in (rv.plot.layer_rates, rv.plot.layer_gradients):
        with pytest.raises(ValueError, match="no call"):
            draw(rv.nn.LayerMonitor(net))


def test_what_does_not_spike_has_no_rate():
    net = rv.nn.Sequential(rv.nn.LIF(3, 4, threshold=0.1), rv.nn.LI(4, 2))
    with rv.nn.LayerMonitor(net, membranes=True) as monitor:
        net(torch.rand(9, 5, 3))
    assert list(monitor.spikes) == ["0"] and 0 < monitor.rates["0"][0] < 1
    assert math.isnan(monitor.rates["1"][0]) and math.isnan(monitor.silent["1"][0])
    assert [line.get_label() for line in rv.plot.layer_rates(monitor).lines] == ["0"]
    assert not len(rv.plot.membranes(monitor, "1", neurons=[0]).lines[1].get_xdata())
    readout = rv.nn.LI(3, 2)
    with rv.nn.LayerMonitor(readout) as monitor:
        readout(torch.rand(9, 5, 3))
    with pytest.raises(ValueError, match="no spikes of LI; expected"):
        rv.plot.layer_rates(monitor)


def test_a_second_run_leaves_norms_and_whole_sequences_alone():
    nets = [
        rv.nn.Sequential(torch.nn.Linear(4, 6), rv.nn.BatchNormThroughTime(6, 9), rv.nn.PSN(6, 5, causal=False))
        for _ in range(2)
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.rand(5, 3, 4)
    y, _ = nets[0](x)
    with rv.nn.LayerMonitor(nets[1], membranes=True) as monitor:
        assert torch.equal(nets[1](x)[0], y)
    for name, value in nets[0].state_dict().items():
        assert torch.equal(value, nets[1].state_dict()[name])
    assert not monitor.voltages and list(monitor.spikes) == ["2"]


def test_a_readout_of_silent_neurons_has_no_rate():
    net = rv.nn.Sequential(rv.nn.LIF(3, 4, threshold=1e6), rv.nn.LI(4, 2, bias=False))
    with rv.nn.LayerMonitor(net) as monitor:
        assert not net(torch.rand(9, 5, 3))[0].any()
    assert monitor.rates["0"] == [0.0] and monitor.silent["0"] == [1.0] and math.isnan(monitor.rates["1"][0])


def test_copies_and_empty_batches_are_not_recorded():
    net = rv.nn.LIF(3, 4)
    with rv.nn.LayerMonitor(net) as monitor:
        other = copy.deepcopy(net)
        other(torch.rand(2, 1, 3))
        net(torch.rand(2, 0, 3))
        rv.nn.LIF(3, 4, device="meta")
        assert not monitor.calls["LIF"]
        net(x=torch.rand(2, 1, 3), state=net.init_state(1))
    assert monitor.calls["LIF"] == [1] and not net._forward_hooks


def test_a_gradient_that_is_not_finite_is_shown():
    layer = torch.nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.full((1, 2), 3.0), torch.tensor([float("nan")])
    ax = rv.plot.gradients(layer)
    assert [text.get_text() for text in ax.texts] == ["nan"] and ax.patches[0].get_height() == 3.0


def test_an_animation_has_a_frame_a_step_and_fades(tmp_path):
    spikes = torch.zeros(4, 6)
    spikes[0, 1] = spikes[2, 5] = 1
    weights = [torch.full((2, 3), float(k)) for k in range(2)]
    moving = rv.plot.animation(spikes, shape=(2, 3), weights=weights, decay=0.5)
    light, shown = moving._func(2)
    assert light.get_array().tolist() == [[0, 0.25, 0], [0, 0, 1]] and shown.get_array().max() == 1.0
    assert moving._func(1)[1].get_array().max() == 0.0
    rv.plot.write_animation(moving, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 4
    rv.plot.write_animation(moving, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text("utf-8").count("data:image/png;base64") == 4
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(ValueError, match=r"expected \.gif"):
        rv.plot.write_animation(moving, tmp_path / "a.mp4")
    for options in ({"shape": (2, 2)}, {"decay": 2.0}, {"weights": torch.zeros(2, 3)}):
        with pytest.raises(ValueError, match="expected"):
            rv.plot.animation(spikes, **options)
