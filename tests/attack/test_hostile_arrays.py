"""Arrays that compiled code indexes by: pointers, indices, shapes and types that lie, opened in another process."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ranvier as rv
from tests.attack.attempts import attempts
from tests.attack.payloads import payloads
from tests.attack.runs import network

BIG = 2**40
GOOD = {
    "csr": {"indices": [1, 2, 0], "indptr": [0, 1, 2, 3], "data": [1.0, 2.0, 3.0]},
    "csc": {"indices": [1, 2, 0], "indptr": [0, 1, 2, 3], "data": [1.0, 2.0, 3.0]},
    "bsr": {"indices": [1, 2, 0], "indptr": [0, 1, 2, 3], "data": np.ones((3, 1, 1))},
    "coo": {"row": [0, 1, 2], "col": [1, 2, 0], "data": [1.0, 2.0, 3.0]},
    "dia": {"offsets": [0, 1], "data": np.ones((2, 3))},
}


def sparse_attacks():
    for layout, arrays in GOOD.items():
        common = {"format": np.array(layout.encode()), "shape": [3, 3], **arrays}
        ends = [k for k in arrays if k != "data"]
        for name in ends:
            size = len(arrays[name])
            for what, value in {
                "far": [0] + [BIG] * (size - 1), "below": [-1] * size, "one more": [3] * size, "short": [0], "none": [],
                "falling": list(range(size))[::-1], "floats": [0.5] * size, "square": [[0, 1], [2, 0]],
                "unsigned": np.full(size, 2**64 - 1, np.uint64), "least": [-(2**63)] * size,
            }.items():  # fmt: skip
                yield f"{layout}, {name}: {what}", {**common, name: value}
        shapes = {"negative": [-3, 3], "huge": [BIG, BIG], "flat": [3], "deep": [3, 3, 3], "none": [0, 0]}
        for what, shape in shapes.items():
            yield f"{layout}, shape: {what}", {**common, "shape": shape}
        values = {"complex": [1j] * 3, "text": ["a"] * 3, "few": [1.0], "nan": [np.nan] * 3, "none": []}
        for what, value in values.items():
            data = np.array(value)
            yield f"{layout}, data: {what}", {**common, "data": data.reshape(-1, 1, 1) if layout == "bsr" else data}
    yield "another format", {**GOOD["csr"], "format": np.array(b"lil"), "shape": [3, 3]}
    yield "a format of many", {**GOOD["csr"], "format": np.array([b"csr", b"csc"]), "shape": [3, 3]}


def test_sparse_matrices(tmp_path):
    paths = {}
    for k, (what, arrays) in enumerate(sparse_attacks()):
        paths[what] = tmp_path / f"{k}.npz"
        np.savez(paths[what], **{name: np.asarray(value) for name, value in arrays.items()})
    outcomes = attempts([(name, path) for path in paths.values() for name in ("read_sparse", "read_edges")])
    # harmless though odd: diagonals anywhere, an order of entries, an empty matrix
    harmless = {"coo, row: falling", "coo, col: falling", "csr, indices: falling", "csc, indices: falling",
                "bsr, indices: falling", "dia, offsets: falling", "dia, offsets: far"}  # fmt: skip
    for k, out in enumerate(outcomes):
        what = list(paths)[k // 2]
        assert out.kind in ("read", "refused"), f"{what}: {out}"
        if out.kind == "read":
            assert what in harmless or "none" in what or "dia" in what, f"{what}: {out}"
        else:
            assert paths[what].name in out.message, f"{what}: {out}"


def npy(shape, kind="<f8", body=b"\0" * 72, version=1):
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header.encode() + body


def test_headers_that_lie(tmp_path):
    canary = tmp_path / "ran"
    data = {
        "huge": npy("(1099511627776, 1099511627776)"), "negative": npy("(-3, -3)"),
        "short": npy("(3, 3)", body=b"\0" * 8),
        "long": npy("(2, 2)"), "object": npy("(3, 3)", "|O"), "structure": npy("(3, 3)", "V8"),
        "version": npy("(3, 3)", version=9),
        "a call": npy(f"__import__('os').system('touch {canary}')"), "no shape": npy("None"),
        "dates": npy("(3, 3)", "<M8[s]"),
        "deep": npy("(" * 50 + "3" + ")" * 50), "text": npy("(3, 3)", "<U2"), "endless": npy("(3,) * 10**9"),
    }  # fmt: skip
    for what, value in data.items():
        (tmp_path / what).write_bytes(value)
    for (what, _), out in zip(data.items(), attempts([("read_edges", tmp_path / w) for w in data]), strict=True):
        assert out.kind == "refused" and what in out.message and out.cpu < 2.0, f"{what}: {out}"
    assert not canary.exists()


def test_a_networks_tensors(tmp_path):
    """The tensors beside network.json, against what the network says of them."""
    net = rv.Network()
    a = net.add(rv.LIF(tau_m=[10.0, 20.0, 30.0]), 3, "a", positions=np.zeros((3, 2)))
    net.add(rv.SpikeTimes([0.5, 1.5], [1, 0]), 2, "s")
    rule = rv.rules.STDP(w_max=9.0)
    net.connect("s", a, weight=[1.0, 2.0], delay=[1.0, 2.0], edges=([0, 1], [0, 2]), plasticity=rule)
    good = rv.write_network(net, tmp_path / "good")
    file = next(good.glob("tensors*"))
    tensors = load_file(file)
    paths = []
    for name, value in tensors.items():
        for new in (
            value[:1], np.append(value, value), value.reshape(1, -1), np.full_like(value, -1), np.zeros(0, value.dtype),
            np.full(value.shape, 2**31, np.int64), np.full(value.shape, np.nan), np.full(value.shape, np.inf),
            np.full(value.shape, -(2**63), np.int64), np.full(value.shape, 255, np.uint8), value.astype(np.float16),
        ):  # fmt: skip
            path = shutil.copytree(good, tmp_path / str(len(paths)))
            save_file({**tensors, name: np.ascontiguousarray(new)}, path / file.name)
            paths.append(path)
    path = shutil.copytree(good, tmp_path / str(len(paths)))
    value = json.loads((path / "network.json").read_text())
    value["tensors"] = "/dev/zero"
    (path / "network.json").write_text(json.dumps(value))
    outcomes = attempts([("read_network", p) for p in [*paths, path]])
    assert not [out for out in outcomes if out.kind not in ("read", "refused")]
    assert sum(out.kind == "refused" for out in outcomes) > len(outcomes) // 2 and outcomes[-1].kind == "refused"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    rv.simulate(network(), 10.0, dt=0.5, seed=3, path=path, record=["V"])
    return path


def test_a_runs_folder(run, tmp_path):
    canary, paths = tmp_path / "ran", []

    def copy():
        paths.append(shutil.copytree(run, tmp_path / f"r{len(paths)}"))
        return paths[-1]

    segment = load_file(run / "segment-000000.safetensors")
    for name, value in segment.items():
        for new in (
            value[:1], np.append(value, value), np.full_like(value, 7), np.full(value.shape, -1, np.int64),
            np.full(value.shape, BIG, np.int64), np.full(value.shape, np.nan), np.full(value.shape, 2**63, np.uint64),
            value.reshape(1, -1),
        ):  # fmt: skip
            save_file({**segment, name: np.ascontiguousarray(new)}, copy() / "segment-000000.safetensors")
        save_file({k: v for k, v in segment.items() if k != name}, copy() / "segment-000000.safetensors")
    traces = load_file(run / "traces.safetensors")
    for new in (np.array([6]), np.array([-1]), np.array([[0]]), np.array([0.5]), np.arange(7)):
        save_file(dict.fromkeys(traces, new), copy() / "traces.safetensors")
    manifest = json.loads((run / "manifest.json").read_text())
    for key in ("n_neurons", "dt", "duration", "populations", "first_step"):
        for new in (-1, 0, 1e300, 10**400, None, "a", [], {}, True, np.nan, np.inf, payloads(canary)[0], BIG):
            path = copy()
            (path / "manifest.json").write_text(json.dumps({**manifest, key: new}))
    for start, size in ((-5, 9), (0, BIG), (2, -3), (0.5, 1)):
        path, group = copy(), {"name": "a", "start": start, "size": size}
        (path / "manifest.json").write_text(json.dumps({**manifest, "populations": [group]}))
    outcomes = attempts([("Recording.open", path) for path in paths])
    for path, out in zip(paths, outcomes, strict=True):
        assert out.kind in ("read", "refused"), f"{path}: {out}"
    assert sum(out.kind == "refused" for out in outcomes) > len(outcomes) * 0.7
    assert not canary.exists()


def test_a_state_to_go_on_from(run, tmp_path):
    state, paths = load_file(next(run.glob("state-*"))), []
    for name, value in state.items():
        flat = np.zeros_like(value).reshape(-1, 1)
        for new in (value[:1], np.full(value.shape, -1, np.int64), flat, np.full(value.shape, np.nan)):
            if new.shape == value.shape and new.dtype == value.dtype:
                continue  # other numbers in the right place: another run, but no harm
            path = shutil.copytree(run, tmp_path / f"{name}-{len(paths)}")
            save_file({**state, name: np.ascontiguousarray(new)}, path / next(run.glob("state-*")).name)
            paths.append(path)
    for step in (-1, 0, 19, BIG):
        path = shutil.copytree(run, tmp_path / f"at-{step}")
        save_file({**state, "step": np.array([step])}, path / next(run.glob("state-*")).name)
        paths.append(path)
    for path, out in zip(paths, attempts([("resume", path) for path in paths]), strict=True):
        assert out.kind == "refused", f"{path.name}: {out}"


def test_checkpoints_and_results(tmp_path):
    canary, jobs = tmp_path / "ran", []
    about = {"format": "ranvier checkpoint 2", "step": 1, "tensors": "checkpoint-0123456789abcdef.safetensors",
             "learner": {"name": "a"}, "state": {"dict": []}}  # fmt: skip
    deep = json.loads("[" * 900 + "]" * 900)
    for key in about:
        for new in (None, 1, "/dev/zero", "../../etc/passwd", [], {}, {"tensor": "x"}, {"dict": [[[], 1]]}, deep,
                    {"a": 1, "b": 2}, *payloads(canary)[:4]):  # fmt: skip
            folder = tmp_path / str(len(jobs))
            folder.mkdir()
            (folder / "checkpoint.json").write_text(json.dumps({**about, key: new}))
            jobs.append(("checkpoint", folder))
    odd = ('{"claims": 3}', '{"claims": [1]}', '{"claims": [{"verdict": {}}]}')
    for text in ("", "[]", "null", *odd, "{", "[" * 10**5):
        folder = tmp_path / str(len(jobs))
        folder.mkdir()
        (folder / "result.json").write_text(text)
        jobs.append(("atlas", folder))
    for (_, path), out in zip(jobs, attempts(jobs), strict=True):
        assert out.kind == "refused" and path.name in out.message, f"{path}: {out}"
    assert not canary.exists()
