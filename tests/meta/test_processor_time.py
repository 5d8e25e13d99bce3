"""The limit of a test's processor time counts the test and its children, and nothing but work."""

import subprocess
import sys
import time

import pytest

from tests import processor_time
from tests.processes import Child


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_counts_and_waiting_does_not():
    before = processor_time.used()
    time.sleep(0.2)
    waited = processor_time.used() - before
    work(0.2)
    assert waited < 0.1 and 0.15 < processor_time.used() - before - waited < 0.4


def in_a_child() -> None:
    subprocess.run([sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)


def in_a_fork() -> None:
    child = Child(work, 0.3)
    assert child.communicate() == ("", "")


@pytest.mark.parametrize("act", [lambda: work(0.3), in_a_child, in_a_fork], ids=["itself", "child", "fork"])
def test_whoever_takes_too_long_is_named(act):
    Child(work, 0.0).communicate()  # the server has been started
    with pytest.raises(pytest.fail.Exception, match=r"^a test took .* expected at most 0.2"), \
            processor_time.limit("a test", 0.2):  # fmt: skip
        act()
    with processor_time.limit("a test", 10.0):
        act()


def test_a_failure_of_its_own_goes_first():
    with pytest.raises(ZeroDivisionError), processor_time.limit("a test", 0.0):
        1 / 0  # noqa: B018
