"""Every public name is there, and none is imported before it is asked for."""

import subprocess
import sys

import ganglion as gg


def test_every_public_name_resolves():
    for name in gg.__all__:
        assert getattr(gg, name) is not None
    assert set(gg.__all__) <= set(dir(gg))


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, ganglion; print(sorted({'torch', 'numba', 'sympy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(gg, "no_such_thing")
