"""The variants of `rv.nn.LIF` that the tests go through."""

import torch

import ranvier as rv

F64 = torch.float64

VARIANTS = {
    "leaky": {},
    "zero": {"reset": "zero"},
    "delayed": {"reset": "delayed"},
    "filtered": {"alpha": 0.7},
    "adaptive": {"adaptation": (0.95, 0.3)},
    "recurrent": {"recurrent": True},
    "delayed_recurrent": {"recurrent": True, "recurrent_delay": 3},
    "each_delayed": {"recurrent": True, "recurrent_delay": torch.tensor([1, 4, 2, 2, 7]), "adaptation": (0.9, 0.2)},
    "all": {"alpha": 0.5, "adaptation": (0.9, 0.2), "recurrent": True, "reset": "zero"},
}
LEARN = {"alpha": ("alpha",), "adaptation": ("rho", "kappa")}


def layer(name: str, inputs: int = 7, outputs: int | None = 5, **more) -> rv.nn.LIF:
    """A layer in float64 whose every parameter is learned."""
    options = VARIANTS[name]
    learn = ["beta", "threshold", *(n for key, names in LEARN.items() if key in options for n in names)]
    torch.manual_seed(0)
    return rv.nn.LIF(inputs, outputs, **{"learn": learn, "dtype": F64, **options, **more})


def drive(steps: int, batch: int, features: int, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.rand(steps, batch, features, dtype=F64, generator=torch.Generator().manual_seed(1))
