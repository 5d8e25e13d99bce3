"""Every public name is there, and none is imported before it is requested."""

import subprocess
import sys

import ranvier as rv


def test_every_public_name_resolves():
    for name in rv.__all__:
        assert getattr(rv, name) is not None
    assert set(rv.__all__) <= set(dir(rv))


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, ranvier; print(sorted({'torch', 'numba', 'sympy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(rv, "no_such_thing")
