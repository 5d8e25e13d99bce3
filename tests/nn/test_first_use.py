"""A first layer loads what it needs, and nothing of its neighbours."""

import subprocess
import sys

import ranvier as rv
from ranvier.nn import _HOMES

FIRST = """
import sys, torch, ranvier as rv
layer = rv.nn.LIF(8, 4)
for _ in range(2):
    y, _ = layer(torch.rand(5, 2, 8))
print(*sorted(sys.modules))
"""
#: what a first sequence has no use for: other layers, networks, and packages that take long
ABSENT = ("ranvier.nn.nir", "ranvier.nn.liquid", "ranvier.nn.counting", "ranvier.networks", "ranvier.theory",
          "ranvier.engines.compiled", "triton", "nir", "h5py", "matplotlib", "sklearn", "torch._dynamo")  # fmt: skip


#: what numba loads to compile, a fifth of a second: kept machine code needs none of it
COMPILER = ("scipy.linalg", "numba.np.linalg", "numba.typed.typeddict")


def loaded_by_a_first_layer() -> set[str]:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_first_layer_loads_no_other():
    loaded = loaded_by_a_first_layer()
    if any(name in loaded for name in COMPILER):
        loaded = loaded_by_a_first_layer()  # the cache is filled now
    assert not [name for name in COMPILER if name in loaded]
    assert "ranvier.nn.spiking.lif" in loaded
    assert not [name for name in ABSENT if name in loaded]
    assert sum(name.startswith("ranvier") for name in loaded) < 60  # 46 when this was written; 135 before


def test_every_name_has_its_home():
    assert sorted(rv.nn.__all__) == sorted(name for names in _HOMES.values() for name in names)
    assert all(getattr(rv.nn, name) is not None for name in rv.nn.__all__)
    assert set(rv.nn.__all__) <= set(dir(rv.nn)) and not hasattr(rv.nn, "no_such_layer")
