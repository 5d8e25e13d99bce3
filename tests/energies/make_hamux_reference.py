"""Numbers of hamux 0.2.2 (JAX, float64) for `test_graph.py`. In a separate environment:

pip install hamux==0.2.2 safetensors && python tests/energies/make_hamux_reference.py
"""

from pathlib import Path

import hamux as hmx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

STEPS, WIDTH, BATCH = 40, 0.1, 3
NEURONS = {
    "image": (hmx.lagr_identity, (6, 6, 2)),
    "maps": (hmx.lagr_relu, (3, 3, 4)),
    "tanh": (hmx.lagr_tanh, (5,)),
    "sigmoid": (hmx.lagr_sigmoid, (4,)),
    "softmax": (hmx.lagr_softmax, (7,)),
    "layernorm": (hmx.lagr_layernorm, (8,)),
    "spherical": (hmx.lagr_spherical_norm, (6,)),
}
CHAIN = [("tanh", "sigmoid"), ("sigmoid", "softmax"), ("softmax", "layernorm"), ("layernorm", "spherical")]


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    conv = 0.4 * rng.normal(size=(4, 2, 2, 2))
    synapses = {"conv": hmx.ConvSynapse(W=jnp.array(conv), window_strides=(2, 2), padding="VALID")}
    connections = [(("image", "maps"), "conv")]
    out = {"conv": conv}
    for a, b in CHAIN:
        W = rng.normal(size=(*NEURONS[a][1], *NEURONS[b][1]))
        out[f"{a}-{b}"] = W
        synapses[f"{a}-{b}"] = hmx.LinearSynapse(W=jnp.array(W))
        connections.append(((a, b), f"{a}-{b}"))
    bias = rng.normal(size=5)
    out["bias"] = bias
    synapses["bias"] = hmx.BiasSynapse(b=jnp.array(bias))
    connections.append((("tanh",), "bias"))
    ham = hmx.HAM({k: hmx.NeuronLayer(*v) for k, v in NEURONS.items()}, synapses, connections).vectorize()
    xs = {k: jnp.array(2 * rng.normal(size=(BATCH, *shape))) for k, (_, shape) in NEURONS.items()}

    def layer(x) -> np.ndarray:
        """Channels first."""
        x = np.asarray(x)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)

    step = jax.jit(lambda xhats, xs: ham.dEdact(xhats, xs, return_energy=True))
    energies = []
    for k, x in xs.items():
        out[f"x_{k}"] = layer(x)
    for t in range(STEPS):
        energy, slope = step(ham.activations(xs), xs)
        energies.append(np.asarray(energy))
        if t == 0:
            for k in xs:
                out[f"y_{k}"], out[f"slope_{k}"] = layer(ham.activations(xs)[k]), layer(slope[k])
        xs = {k: xs[k] - WIDTH * slope[k] for k in xs}
    for k, x in xs.items():
        out[f"end_{k}"] = layer(x)
    out["energies"] = np.stack(energies)
    save_file(out, Path(__file__).parent / "hamux.safetensors")


if __name__ == "__main__":
    main()
