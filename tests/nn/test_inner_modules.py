"""Modules within layers are called: what is hung on them, put round them or in their place counts, on every way
through time."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import ranvier as rv
from tests.laws.cells import tensors
from tests.nn.cases import CELLS, OTHERS

#: large enough for the products with spikes of `LIF`, which small ones do not take
LARGE = {
    "LIF": lambda fused: rv.nn.LIF(96, 64, threshold=0.5, fused=fused),
    "recurrent": lambda fused: rv.nn.LIF(96, 64, threshold=0.5, recurrent=True, fused=fused),
    "LI": lambda fused: rv.nn.LI(96, 64, fused=fused),
    "from_neuron": lambda fused: rv.nn.from_neuron(
        rv.LIF(), 96, 64, dt=0.5, synapse=rv.Delta(), drive=14.0, fused=fused
    ),
    "CfC": lambda fused: rv.nn.CfC(96, 16, backbone=(24,), fused=fused),
    "CfC, wired": lambda fused: rv.nn.CfC(96, rv.nn.AutoNCP(12, 3), mixed_memory=True, projection=3, fused=fused),
    "LTC": lambda fused: rv.nn.LTC(96, 8, projection=5, fused=fused),
    "ELM": lambda fused: rv.nn.ELM(96, 5, memory=6, branches=8, fused=fused),
    "Sequential": lambda fused: rv.nn.Sequential(nn.Linear(96, 64), rv.nn.LIF(64, threshold=0.5, fused=fused)),
    "TimeDistributed": lambda fused: rv.nn.TimeDistributed(nn.Linear(96, 64)),
}


def drive() -> torch.Tensor:
    return (torch.rand(8, 5, 96, generator=torch.Generator().manual_seed(3)) < 0.15).float()


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    """The layer with its loops, and in plain torch."""
    torch.manual_seed(0)
    ours = LARGE[name](True)
    if name == "from_neuron":  # jumps in mV
        ours.linear.weight.data.mul_(60)
    plain = LARGE[name](False)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def linears(layer: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """(holder, name, module) of every nn.Linear within."""
    return [
        (layer.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], part)
        for path, part in layer.named_modules() if path and isinstance(part, nn.Linear)
    ]  # fmt: skip


class LoRA(nn.Linear):
    """An nn.Linear with a correction of low rank, as adapters are."""

    def __init__(self, base: nn.Linear, seed: int) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None)
        self.load_state_dict(base.state_dict(), strict=False)
        generator = torch.Generator().manual_seed(seed)
        self.a = nn.Parameter(0.1 * torch.randn(2, base.in_features, generator=generator))
        self.b = nn.Parameter(0.1 * torch.randn(base.out_features, 2, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x @ self.a.T @ self.b.T


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def hooked(layer):
    for _, _, part in linears(layer):
        part.register_forward_hook(lambda module, args, y: 1.5 * y + 0.1)


def pre_hooked(layer):
    for _, _, part in linears(layer):
        part.register_forward_pre_hook(lambda module, args: (0.5 * args[0],))


def back_hooked(layer):
    for _, _, part in linears(layer):
        part.register_full_backward_hook(lambda module, g_in, g_out: tuple((g and None) or 2 * g for g in g_in))


def parametrized(layer):
    for _, _, part in linears(layer):
        parametrizations.weight_norm(part)
        parametrize.register_parametrization(part, "bias", Doubled())


def norm_hooked(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # old, and in use
        for _, _, part in linears(layer):
            nn.utils.weight_norm(part)


def pruned(layer):
    for _, _, part in linears(layer):
        prune.l1_unstructured(part, "weight", 0.4)


def adapted(layer):
    for k, (holder, name, part) in enumerate(linears(layer)):
        if type(part) is nn.Linear:
            setattr(holder, name, LoRA(part, k)) if not name.isdigit() else holder.__setitem__(int(name), LoRA(part, k))


def patched(layer):
    for _, _, part in linears(layer):
        part.forward = lambda x, part=part: 2 * type(part).forward(part, x)


CHANGES = {
    "forward hook": hooked, "pre-hook": pre_hooked, "parametrisations": parametrized, "old weight_norm": norm_hooked,
    "pruning": pruned, "adapter": adapted, "a forward on the instance": patched,
}  # fmt: skip


def two_steps_of_training(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Outputs and gradients of both: what is recomputed in a pre-hook must be so each time."""
    result = []
    optimizer = torch.optim.SGD(layer.parameters(), 1e-4)
    for _ in range(2):
        inputs = x.clone().requires_grad_()
        optimizer.zero_grad()
        y, _ = layer(inputs)
        (y.square().sum() + y.sum()).backward()
        result += [y.detach(), inputs.grad, *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]
        optimizer.step()
    return result


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", LARGE)
def test_what_is_hung_on_an_inner_module_counts(name, change):
    layers, x = twins(name), drive()
    before = layers[0](x)[0].detach()
    for layer in layers:
        CHANGES[change](layer)
    changed = layers[0](x)[0].detach()
    assert (changed != before).any() or change in ("old weight_norm",)
    ours, plain = (two_steps_of_training(layer, x) for layer in layers)
    assert len(ours) == len(plain)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(b.abs().max())))
    if change == "adapter":
        learned = [p for n, p in layers[0].named_parameters() if n.rpartition(".")[2] in "ab"]
        assert learned and all(float(p.grad.abs().sum()) > 0 for p in learned)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", LARGE)
def test_steps_go_through_it_too(name, change):
    layer, x = twins(name)[0], drive()
    CHANGES[change](layer)
    with torch.no_grad():
        whole, _ = layer(x)
        state = layer.init_state(x.shape[1])
        for row, y in zip(x, whole, strict=True):
            state, single = layer.step(state, row)
            torch.testing.assert_close(single, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LARGE)
def test_backward_hooks_are_called(name):
    """Of every inner module, also such as are called without being nn.Linear; a gradient is theirs to change."""
    layer, x, called = LARGE[name](True), drive().requires_grad_(), set()
    for path, part in layer.named_modules():
        if path and next(part.parameters(recurse=False), None) is not None:
            part.register_full_backward_hook(lambda module, g_in, g_out, path=path: called.add(path))
    y, _ = layer(x)
    (y.square().sum() + y.sum()).backward()
    owners = {
        path for path, part in layer.named_modules()
        if path and next(part.parameters(recurse=False), None) is not None and type(part).__name__ != "ClosedForm"
    }  # fmt: skip
    assert called >= owners


def test_a_gradient_changed_by_a_hook_is_changed():
    layer, x = rv.nn.LIF(96, 64), drive().requires_grad_()
    (expected,) = torch.autograd.grad(layer(x)[0].sum(), x)
    layer.linear.register_full_backward_hook(lambda module, g_in, g_out: (3 * g_in[0],))
    (result,) = torch.autograd.grad(layer(x)[0].sum(), x)
    torch.testing.assert_close(result, 3 * expected)


@pytest.mark.parametrize("name", LARGE)
def test_hooks_of_all_modules_are_called(name):
    """As profilers and counters of operations set them."""
    layer, called = LARGE[name](True), set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, y: called.add(module))
    try:
        layer(drive())
        sequence = set(called)
        called.clear()
        layer.step(layer.init_state(5), drive()[0])
    finally:
        handle.remove()
    owners = {part for _, _, part in linears(layer)}
    assert owners <= sequence and owners <= called and layer in sequence and layer in called


@pytest.mark.parametrize("change", ["forward hook", "parametrisations"])
@pytest.mark.parametrize("name", ["LIF, all", "LIF", "LI", "LIF, delayed"])
def test_what_is_hung_on_the_layer_itself_counts_in_steps(name, change):
    """Old weight_norm and pruning recompute the recurrent weight in a pre-hook of the layer."""
    layer, x = CELLS[name].layer(torch.float32), CELLS[name].drive().float()
    if change == "forward hook":
        layer.register_forward_hook(lambda module, args, out: (2 * out[0], out[1]))
    else:
        parametrize.register_parametrization(layer, "beta", Doubled())
        with torch.no_grad():
            layer.parametrizations.beta.original.div_(2.1)
        if layer.recurrent is not None:
            prune.l1_unstructured(layer, "recurrent", 0.5)
    for _ in range(2):
        y, _ = layer(x)
        state, rows = layer.init_state(x.shape[1]), []
        for row in x:
            state, single = layer.step(state, row)
            rows.append(single)
        torch.testing.assert_close(torch.stack(rows), y, rtol=1e-4, atol=1e-4)
        (y.sum() + torch.stack(rows).sum()).backward()


@pytest.mark.parametrize("name", [n for n in LARGE if n not in ("TimeDistributed",)])
def test_quantised_modules_are_called(name):
    """torch's dynamic quantisation puts int8 modules in place of nn.Linear, whose weight is a method."""
    if torch.backends.quantized.engine == "none":
        pytest.skip("torch has no engine for quantised products here")
    layers, x = twins(name), drive()
    exact = layers[0](x)[0].detach()
    result = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way out
        for layer in layers:
            quantised = torch.ao.quantization.quantize_dynamic(copy.deepcopy(layer).eval(), {nn.Linear, nn.LSTMCell})
            with torch.no_grad():
                y, state = quantised(x)
                _, single = quantised.step(quantised.init_state(x.shape[1]), x[0])
            assert all(torch.isfinite(t).all() for t in tensors(state))
            size = float(y.abs().max())  # the scale of 8 bits is chosen for each call
            torch.testing.assert_close(single, y[0], rtol=0, atol=1.0 if "LIF" in str(layer) else 0.05 * size)
            result.append(y)
    torch.testing.assert_close(result[0], result[1], rtol=1e-4, atol=1e-4)
    close = (result[0] - exact).abs().mean() <= 0.1 * exact.abs().mean()  # of 8 bits
    assert close and not torch.equal(result[0], exact)


@pytest.mark.parametrize("change", [c for c in CHANGES if c not in ("adapter",)])
@pytest.mark.parametrize("name", [n for n in OTHERS if n not in ("QuadraticConv2d", "Scale", "Shift", "Threshold")])
def test_layers_that_are_no_cells_call_theirs(name, change):
    make, shape = OTHERS[name]
    torch.manual_seed(0)
    layer, x = make(), torch.randn(*shape)
    before = layer(x).detach()
    CHANGES[change](layer)
    same = change in ("old weight_norm", "parametrisations")  # of a bias of zeros
    assert same or not torch.equal(layer(x), before)
    for _ in range(2):
        layer(x).square().sum().backward()


def hung(kind: str, layer: nn.Module) -> nn.Module:
    """A layer whose product is not its weight times x: `kind` says what hangs on it."""
    linear = layer.linear
    if kind == "hook":
        linear.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    elif kind == "pruned":
        prune.random_unstructured(linear, "weight", amount=0.5)
    elif kind == "adapter":
        layer.linear = LoRA(linear, 0)
    elif kind == "forward":
        linear.forward = lambda x: nn.functional.linear(2 * x, linear.weight, linear.bias)
    return layer


@pytest.mark.parametrize("kind", ["hook", "pruned", "adapter", "forward"])
def test_rules_that_read_a_weight_refuse_modules_that_take_another(kind):
    """Local learners and NIR read `linear.weight`; where the call does otherwise, they would learn or write another."""
    def model() -> nn.Module:
        return rv.nn.Sequential(hung(kind, rv.nn.LIF(6, 5, threshold=0.3, reset="zero")), rv.nn.LI(5, 3))

    batch = torch.rand(4, 2, 6), torch.tensor([0, 1])
    for make in (
        lambda m, o: rv.learners.TESS(m, o),
        lambda m, o: rv.learners.EProp(m, o),
        lambda m, o: rv.learners.HLOP(m, rv.learners.rate_mse, o, [2, 2]),
    ):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        with pytest.raises(ValueError, match=r"subclass or one with hooks|parametrized"):
            make(net, optimizer).step(batch)
    with pytest.raises(ValueError, match="a subclass or one with hooks, whose call need not take its weight"):
        rv.nn.to_nir(model(), dt=1.0)


def test_parametrized_weights_are_written_as_they_are_used():
    layer = rv.nn.LIF(6, 5, threshold=0.3, reset="zero")
    parametrizations.weight_norm(layer.linear)
    node = next(n for n in rv.nn.to_nir(layer, dt=1.0).nodes.values() if hasattr(n, "weight"))
    assert torch.equal(torch.from_numpy(node.weight), layer.linear.weight.detach())


def test_layered_energies_call_maps_on_which_something_hangs():
    """After construction, too: the force is the gradient of what `coupling` calls."""
    for hang in (lambda m: m.register_forward_hook(lambda *a: 2 * a[-1]), parametrizations.weight_norm):
        energy = rv.energies.Layered.dense(4, 5, 3)
        x = torch.rand(2, energy.units, generator=torch.Generator().manual_seed(0))
        before = energy.force(x)
        hang(energy.maps[1])
        with torch.no_grad():
            for p in energy.parameters():
                p.mul_(1.5)
        at = energy.activations(x).requires_grad_()
        (pull,) = torch.autograd.grad(energy.coupling(at).sum(), at)
        torch.testing.assert_close(energy.force(x), pull - x)
        assert not torch.allclose(before, energy.force(x))
