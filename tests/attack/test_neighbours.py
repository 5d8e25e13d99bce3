"""Two users on one machine: what a hostile one prepares in folders that both can write to.

Run by root alone, in child processes that become two other users; what belongs to the victim must stay as it is, and
nothing of the neighbour's is run.
"""

import os
import stat
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
import torch

import ranvier as rv
from ranvier.codegen.cache import folder as cache_folder
from ranvier.files.atomic import atomic_path, write_atomic
from ranvier.files.locks import folder_lock
from ranvier.files.run_folder import run_folder
from ranvier.learners.fitting._log import Log

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can become two other users"
)
VICTIM, NEIGHBOUR = 41_001, 41_002


def as_user(user: int, work) -> str:
    """"" where `work` ends well in a process of that user's, else what it raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            work()
            message = ""
        except BaseException:
            message = traceback.format_exc()
        os.write(write, message[-4000:].encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        message = file.read()
    os.waitpid(child, 0)
    return message


@pytest.fixture
def place():
    """A folder that every user can enter, as none of pytest's own is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def shared(place):
    """A folder like /tmp, and in it the victim's own with a secret of 0600."""
    common = place / "common"
    common.mkdir()
    common.chmod(0o1777)
    home = place / "home"
    home.mkdir(mode=0o700)
    os.chown(home, VICTIM, VICTIM)

    def secret():
        (home / "secret").write_text("the victim's")
        (home / "secret").chmod(0o600)

    assert not as_user(VICTIM, secret)
    return common, home / "secret"


def untouched(secret: Path) -> bool:
    status = secret.stat()
    return secret.read_text() == "the victim's" and stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == VICTIM


def folder_of_the_neighbour(common: Path, act=lambda folder: None) -> Path:
    folder = common / "out"

    def prepare():
        folder.mkdir()
        folder.chmod(0o777)
        act(folder)

    assert not as_user(NEIGHBOUR, prepare)
    return folder


def simulate(path):
    net = rv.Network(seed=1)
    net.add(rv.SpikeTimes(torch.tensor([1.0]), torch.tensor([0])), 1, "a")
    rv.simulate(net, 5.0, dt=0.5, path=path, engine="torch")


@pytest.mark.parametrize("name", ["a.json", ".lock", "run", "settings.json", ".discarded", "log.jsonl"])
def test_a_link_of_the_neighbours_is_not_followed(shared, name):
    """Each name that is written in an output folder leads to the victim's secret."""
    common, secret = shared
    folder = folder_of_the_neighbour(common, lambda folder: (folder / name).symlink_to(secret))
    ways = {
        "a.json": lambda: write_atomic(folder / "a.json", "new"),
        ".lock": lambda: folder_lock(folder),
        "log.jsonl": lambda: Log(folder / "log.jsonl", 0, []).write({"epoch": 0, "step": 1}),
    }

    def again():
        with run_folder(folder, {"seed": 1}, again=True) as run:
            run.mkdir()

    as_user(VICTIM, ways.get(name, again))  # whether refused or done, elsewhere nothing changes
    assert untouched(secret)
    if name not in ways:
        as_user(VICTIM, lambda: simulate(folder / "run"))
        assert untouched(secret)


def test_again_does_not_empty_what_a_link_leads_to(shared):
    common, secret = shared
    for name in ("run", ".discarded"):
        folder = folder_of_the_neighbour(common, lambda folder, name=name: (folder / name).symlink_to(secret.parent))

        def again(folder=folder):
            with run_folder(folder, {"seed": 1}, again=True):
                pass

        assert ("ValueError" in as_user(VICTIM, again)) == (name == "run")
        assert untouched(secret)

        def put_away(folder=folder, name=name):
            folder.rename(common / f"old {name}")

        assert not as_user(NEIGHBOUR, put_away)


def test_a_temporary_file_that_is_swapped_for_a_link(shared):
    """The neighbour's folder, the victim's file in it, replaced in the midst of a write."""
    common, secret = shared
    folder = folder_of_the_neighbour(common)

    def swapped():
        with atomic_path(folder / "a.json") as temporary:
            temporary.write_text("new")
            temporary.unlink()
            temporary.symlink_to(secret)

    assert "was replaced by somebody" in as_user(VICTIM, swapped)
    assert untouched(secret) and not (folder / "a.json").exists()


def test_what_is_written_is_for_whom_the_umask_lets(shared):
    common, _ = shared

    def private():
        os.umask(0o077)
        write_atomic(common / "private", "a")

    def group():
        os.umask(0o002)
        write_atomic(common / "group", "a")

    assert not as_user(VICTIM, private) and not as_user(VICTIM, group)
    assert [stat.S_IMODE((common / name).stat().st_mode) for name in ("private", "group")] == [0o600, 0o644]


@pytest.mark.parametrize("way", ["folder", "link", "file", "parent"])
def test_the_neighbours_cache_is_not_read(shared, way, monkeypatch):
    """Code in a folder, or a file, of somebody else's is not taken, and the victim's is not left there."""
    common, secret = shared
    folder = common / "kernels"
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(folder))
    key = "0" * 40

    def plant(place=folder):
        place.mkdir(mode=0o755)
        place.chmod(0o755)
        body = b"code"
        (place / f"{key}.bin").write_bytes(cache_folder._MAGIC + cache_folder._digest(key, body) + body)

    if way == "folder":
        assert not as_user(NEIGHBOUR, lambda: (plant(), folder.chmod(0o777)))
    elif way == "link":
        assert not as_user(NEIGHBOUR, lambda: (plant(common / "real"), folder.symlink_to(common / "real")))
    elif way == "file":
        assert not as_user(NEIGHBOUR, plant)
        os.chown(folder, VICTIM, VICTIM)
    else:  # the folder itself is the victim's; the neighbour, who owns what it lies in, has put it away
        common.chmod(0o777)
        os.chown(common, NEIGHBOUR, NEIGHBOUR)
        assert not as_user(VICTIM, lambda: cache_folder.write(key, b"the victim's"))
        assert not as_user(NEIGHBOUR, lambda: (folder.rename(common / "away"), plant()))

    def read():
        assert cache_folder.read(key) is None
        cache_folder.write("1" * 40, b"mine")
        if way != "file":
            assert cache_folder.read("1" * 40) is None
            assert not list(common.rglob("1" * 40 + "*"))

    assert not as_user(VICTIM, read)
    assert untouched(secret)


def test_a_full_cache_deletes_nothing_of_a_users_own(shared, monkeypatch):
    """The cache's folder set to the home by mistake."""
    _, secret = shared
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(secret.parent))
    monkeypatch.setattr(cache_folder, "_MOST", 10)
    assert not as_user(VICTIM, lambda: [cache_folder.write(f"{k:040x}", bytes(100)) for k in range(3)])
    assert untouched(secret) and len(list(secret.parent.iterdir())) == 2
