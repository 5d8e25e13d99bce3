"""Products with spikes at the small sizes of tests, where the layers leave them to torch."""

from collections.abc import Iterator

import pytest

from ranvier.nn import plain_modules
from ranvier.nn.spiking import products


@pytest.fixture(autouse=True)
def event_driven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unless a test is marked by the argument `dense_when_small`."""
    if "dense_when_small" not in request.fixturenames:
        for module in (plain_modules, products):
            monkeypatch.setattr(module, "SMALL", 0)
    yield


@pytest.fixture
def dense_when_small() -> None:
    """As outside of tests: small products are torch's."""
