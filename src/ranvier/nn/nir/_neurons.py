"""Layers of neurons, to NIR and from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ranvier.networks.nir.files import MS
from ranvier.nn.elementwise import Scale, Shift
from ranvier.nn.nir._graph import Chain, refuse_from, refuse_to
from ranvier.nn.nir._modules import fill, filled, read_steps
from ranvier.nn.nir._time import Array, Clock
from ranvier.nn.spiking.layer import DynamicalLayer
from ranvier.nn.spiking.lif import LI, LIF


def write_neurons(layer: DynamicalLayer, shape: tuple[int, ...], clock: Clock, soft_reset: bool) -> Any:
    """The node of a layer's neurons, of that shape."""
    import nir

    if type(layer) not in (LIF, LI):
        refuse_to(f"the layer {type(layer).__name__}")
    value = {
        name: np.broadcast_to(tensor.detach().cpu().double().numpy(), shape).copy()
        for name, tensor in layer._constants().items()
    }
    if "rho" in value:
        refuse_to(f"the adaptation of a {type(layer).__name__}")
    if "initial" in layer._values:
        refuse_to(f"the initial membrane of a {type(layer).__name__}", "NIR's begins at 0: leave out `initial`.")
    common, note = {}, {}
    if isinstance(layer, LIF):
        common = {"v_threshold": value["threshold"], "v_reset": value.get("reset_to", np.zeros(shape))}
        if layer.reset != "zero":
            note = {"metadata": {"reset": layer.reset}}
            if not soft_reset:
                refuse_to(
                    f"reset={layer.reset!r} of a {type(layer).__name__}",
                    'Train with reset="zero"; soft_reset=True writes it as that to zero, with a note that few read.',
                )
    beta, alpha = value["beta"], value.get("alpha")
    for name in ("beta", "alpha"):
        decay = value.get(name, np.full(1, 0.5))
        if not clock.euler and (decay == 0.0).any():
            refuse_to(f"{name} = 0 of a {type(layer).__name__} with exact decay, which never forgets all in one step")
        if (decay == 1.0).any() and not ((beta == 1.0).all() and alpha is None):
            refuse_to(f"{name} = 1 of some neurons only, or behind a current, in a {type(layer).__name__}")
    if alpha is None and (beta == 1.0).all() and beta.size:
        return (nir.IF if common else nir.I)(r=np.full(shape, 1.0 / clock.dt), **common, **note)
    common |= {"v_leak": np.zeros(shape)}
    tau = clock.tau(beta)
    if alpha is None:
        return (nir.LIF if "v_reset" in common else nir.LI)(tau=tau, r=1.0 / clock.membrane(tau), **common, **note)
    tau_syn, kind = clock.tau(alpha), nir.CubaLIF if "v_reset" in common else nir.CubaLI
    w_in = tau_syn / clock.dt
    r = 1.0 / (w_in * clock.current(tau, tau_syn))
    return kind(tau_mem=tau, tau_syn=tau_syn, r=r, w_in=w_in, **common, **note)


class LayerPath:
    """From neurons back to themselves: weight, steps and bias, if any."""

    def __init__(self, name: str, loop: Chain, clock: Clock) -> None:
        import nir

        weights = [node for _, node in loop if not isinstance(node, nir.Delay)]
        if len(weights) != 1:
            refuse_from(f"{len(weights)} weights in a row from {name!r} back to itself")
        self.weight, bias = np.asarray(weights[0].weight), getattr(weights[0], "bias", None)
        self.bias = np.asarray(bias) if bias is not None and np.any(bias) else None
        self.steps = torch.ones((), dtype=torch.int64)
        weighted = False
        for key, node in loop:
            if not isinstance(node, nir.Delay):
                weighted = True
                continue
            steps = read_steps(key, node, clock)
            if weighted and bool((steps != steps.reshape(-1)[0]).any()):
                refuse_from(f"the delays {key!r} that differ behind weights")
            self.steps = self.steps + (steps.reshape(-1)[0] if weighted else steps)
        if self.weight.ndim != 2 or self.weight.shape[0] != self.weight.shape[1]:
            refuse_from(f"the weights of shape {self.weight.shape} from {name!r} back to itself")


def _plain(values: Array, dtype: torch.dtype) -> Any:
    """A number where all are alike, else a tensor."""
    return float(values.flat[0]) if np.ptp(values) == 0.0 else torch.as_tensor(values).to(dtype)


def read_values(name: str, node: Any) -> dict[str, Array]:
    """The parameters of neurons, by name."""
    read = {key: np.asarray(value, np.float64) for key, value in vars(node).items() if key[0] in "trvw"}
    for key, value in read.items():
        if not np.isfinite(value).all() or (key.startswith("tau") and (value <= 0.0).any()):
            refuse_from(f"{key} of {name!r}, not all of which is finite and, for time constants, positive")
    return read


def read_layer(
    name: str,
    node: Any,
    linear: tuple[Array, Array | None] | None,
    way: LayerPath | None,
    clock: Clock,
    reset: str | None,
    dtype: torch.dtype,
) -> list[nn.Module]:
    """The layer of a node with a potential, the weights and bias before it, if any, and its way back to itself; with
    what scales its input or shifts its output, if NIR's potential is not the layer's."""
    import nir

    spiking, filtered = isinstance(node, nir.LIF | nir.CubaLIF | nir.IF), isinstance(node, nir.CubaLIF | nir.CubaLI)
    read = read_values(name, node)
    shape = read["r"].shape
    options: dict[str, Any] = {"dtype": dtype, "beta": 1.0}
    if isinstance(node, nir.IF | nir.I):
        gain = read["r"] * clock.pulse
    else:
        tau = read["tau_mem" if filtered else "tau"]
        options["beta"] = _decay(name, "tau", tau, clock, dtype)
        gain = read["r"] * clock.membrane(tau)
        if filtered:
            options["alpha"] = _decay(name, "tau_syn", read["tau_syn"], clock, dtype)
            gain = read["r"] * read["w_in"] * clock.current(tau, read["tau_syn"])
    # what was written with r such that a spike adds its weight, in float32 as it may be
    gain = np.where(np.isclose(gain, 1.0, rtol=0.0, atol=1e-6), 1.0, gain)
    if spiking and not (gain > 0).all():
        refuse_from(f"r of {name!r} that is not positive")
    leak = read.get("v_leak", np.zeros(shape))
    sizes: tuple[Any, ...] = (shape or None,)
    if linear is not None:
        if shape not in ((), linear[0].shape[:1]):
            raise ValueError(
                f"The neurons {name!r} have shape {shape}; expected {linear[0].shape[:1]}, as of their weights."
            )
        sizes = linear[0].shape[1], linear[0].shape[0]
        options["bias"] = linear[1] is not None
    if spiking:
        options["reset"] = reset or _noted_reset(node)
        if (read["v_threshold"] <= leak).any() and not filtered and linear is not None and "v_leak" in read:
            # it spikes on its own: from 0, and towards v_leak by a constant input
            towards = (1.0 - clock.decay(tau)) * leak / gain
            linear, leak = (linear[0], towards + (0.0 if linear[1] is None else linear[1])), np.zeros(shape)
            options["bias"] = True
        threshold = (read["v_threshold"] - leak) / gain
        if not (threshold > 0).all():
            refuse_from(f"the threshold of {name!r}, not above where it rests")
        options["threshold"] = _plain(threshold, dtype)
        floor = (read["v_reset"] - leak) / gain
        if np.any(floor):
            if options["reset"] != "zero":
                refuse_from(f"v_reset of {name!r} other than v_leak with reset={options['reset']!r}")
            if (floor >= threshold).any():
                refuse_from(f"v_reset of {name!r}, not below its threshold")
            options["reset_to"] = _plain(floor, dtype)
        if way is not None:
            options |= {"recurrent": True, "recurrent_delay": way.steps}
        modules: list[nn.Module] = [LIF(*sizes, **options)]
    else:
        if way is not None:
            refuse_from(f"the way of {name!r}, which does not spike, back to itself")
        modules = [LI(*sizes, **options)]
        if (gain != 1.0).any() and linear is not None:
            linear = linear[0] * gain.reshape(-1, 1), None if linear[1] is None else linear[1] * gain
        elif (gain != 1.0).any():
            modules.insert(0, Scale(_plain(gain, dtype), dtype=dtype))
        if np.any(leak):
            modules.append(Shift(_plain(leak, dtype), dtype=dtype))
    layer = next(module for module in modules if isinstance(module, DynamicalLayer))
    if linear is not None and layer.linear is not None:
        filled(name, layer.linear, *linear)
    if way is not None and layer.recurrent is not None:
        fill(name, layer.recurrent, way.weight)
    return modules


def _noted_reset(node: Any) -> str:
    noted = node.metadata.get("reset", "zero")
    return noted.decode() if isinstance(noted, bytes) else str(noted)


def _decay(name: str, key: str, tau: Array, clock: Clock, dtype: torch.dtype) -> Any:
    decay = clock.decay(tau)
    if (decay < -1e-6).any() or not np.isfinite(decay).all():
        what = f"{tau.min() / MS:g} ms, shorter than the step of {clock.dt / MS:g} ms"
        refuse_from(f"{key} of {name!r} of {what}", 'Choose a smaller dt, or decay="exponential".')
    return _plain(np.maximum(decay, 0.0), dtype)


__all__ = ["LayerPath", "read_layer", "read_values", "write_neurons"]
