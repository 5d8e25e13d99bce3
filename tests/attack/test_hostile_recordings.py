"""Files of recordings and data sets that are made to do harm: links out of them, more than they hold, other numbers."""

import gzip
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.learners.datasets.events import read_bs2, read_nmnist
from ranvier.learners.datasets.idx import read_idx
from ranvier.networks.hdf5.reading import require_sound
from ranvier.recordings import read_session

SECRET = np.arange(8.0).reshape(2, 4)


def matlab(path: Path, write) -> Path:
    """A .mat file of version 7.3 with what `write` puts in it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["t"] = np.arange(4.0)[:, None]
        write(file)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


def elsewhere(file):
    file["traces"] = h5py.ExternalLink("secret.h5", "/x")


def stored_elsewhere(file):
    file.create_dataset("traces", SECRET.shape, "f8", external=[("/etc/passwd", 0, 64)])


def virtual(file):
    layout = h5py.VirtualLayout(SECRET.shape, "f8")
    layout[:] = h5py.VirtualSource("secret.h5", "x", SECRET.shape)
    file.create_virtual_dataset("traces", layout)


def bomb(file):
    file.create_dataset("traces", (2, 10**11), "f8", chunks=(2, 1024))


def deep(file):
    group = file
    for _ in range(60):
        group = group.create_group("g")


@pytest.mark.parametrize(
    ("write", "words"),
    [(elsewhere, "link to another file"), (stored_elsewhere, "in other files"), (virtual, "in other files"),
     (bomb, "far more than the file holds"), (deep, "nested more than 40")],
)  # fmt: skip
def test_hdf5_leads_nowhere_and_holds_what_it_says(write, words, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = SECRET
    path = matlab(tmp_path / "a.mat", write)
    with pytest.raises(ValueError, match=words) as caught:
        read_session(path)
    assert str(path) in str(caught.value)


def test_links_within_a_file_are_its_own(tmp_path):
    def write(file):
        file["traces"], file["group/same"] = SECRET, h5py.SoftLink("/traces")
        file["traces"].attrs["unit"] = "V"

    path = matlab(tmp_path / "a.mat", write)
    require_sound(path)
    assert read_session(path).activity.read().tolist() == SECRET.T.tolist()


def test_complex_numbers_and_unknown_options_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, traces=np.ones((4, 2)) + 1j, time_s=np.arange(4.0))
    with pytest.raises(ValueError, match="holds complex128; expected real"):
        read_session(path)
    table = tmp_path / "a.csv"
    table.write_text("time_s,a\n0,1\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv: bin is an option that recordings of this kind have not"):
        read_session(table, bin=1.0)


@pytest.mark.parametrize("read", [read_idx, read_bs2, read_session])
def test_devices_and_bombs_are_refused(read, tmp_path):
    for device in ("/dev/zero", "/proc/self/mem"):
        if os.path.exists(device):
            with pytest.raises((ValueError, OSError), match=device):
                read(device)
    if read is read_idx:
        path = tmp_path / "bomb.gz"
        path.write_bytes(gzip.compress(b"\0" * 2**24, 9) * 16)
        with pytest.raises(ValueError, match="holds"):
            read(path)


def test_a_list_of_samples_that_is_no_text_is_named(tmp_path):
    (tmp_path / "train1K.txt").write_bytes(b"\xff\xfe1 2\n")
    with pytest.raises(ValueError, match=r"train1K\.txt is no text"):
        read_nmnist(tmp_path)


def huge(path: Path) -> list[Path]:
    """Small files that speak of some 2e9 neurons or samples."""
    from scipy.io import savemat

    out = []
    for shape in ((0, 2**31 - 1), (2**31 - 1, 0)):
        out.append(path / f"empty{shape[0]}.npz")
        np.savez(out[-1], traces=np.empty(shape), t=np.empty(shape[0] and 1))
        out.append(path / f"empty{shape[0]}.npy")
        np.save(out[-1], np.empty(shape))
    out.append(path / "spikes.npz")
    np.savez(out[-1], spike_times=[1.0, 2.0], spike_neurons=np.array([3, 2**31 - 1]))
    for name, rows, columns in (("tall", 2**30, 1), ("wide", 4, 2**30)):
        out.append(path / f"{name}.mat")
        savemat(out[-1], {"traces": np.arange(8.0).reshape(4, 2), "t": np.arange(4.0)})
        data = out[-1].read_bytes()
        where = data.index(np.array([4, 2], "<i4").tobytes())
        out[-1].write_bytes(data[:where] + np.array([rows, columns], "<i4").tobytes() + data[where + 8 :])
    arrays = {"traces": np.arange(8.0).reshape(4, 2), "t": np.arange(4.0), "names": np.array(["abc", "def"])}
    for name, size in (("rows", [2**30, 0]), ("letters", [2, 2**28])):
        out.append(path / f"{name}.mat")
        savemat(out[-1], arrays)
        data = out[-1].read_bytes()
        where = data.index(np.array([2, 3], "<i4").tobytes())
        out[-1].write_bytes(data[:where] + np.array(size, "<i4").tobytes() + data[where + 8 :])
    return out


def test_sizes_that_a_file_only_claims_are_refused_before_anything_is_made_to_them(tmp_path):
    import time
    import tracemalloc

    for path in huge(tmp_path):
        tracemalloc.start()
        began = time.process_time()
        with pytest.raises(ValueError, match=path.name):
            read_session(path, bin=1.0)
        assert tracemalloc.get_traced_memory()[1] < 2**26 and time.process_time() - began < 5, path.name
        tracemalloc.stop()


def test_ids_taken_for_indices_are_refused():
    from ranvier.recordings import Neurons, Session

    with pytest.raises(ValueError, match="up to 2147483647; expected at most 10000000"):
        Neurons.unnamed(2**31)
    with pytest.raises(ValueError, match="owners holds 720575940600000000"):
        Session.from_times([1.0], [720575940600000000], duration=2.0)
