"""Every public reader goes through the laws of `tests.laws.readers`; one without a case fails by name."""

import shutil

import networkx as nx
import nir
import numpy as np
import pytest
import scipy.sparse as sp
import torch

import ranvier as rv
from ranvier import networks
from ranvier.networks import EdgeList
from tests.attack.attempts import attempts
from tests.laws.readers import Case, digest, mutations, specials

MATRIX = sp.csr_array(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 4.0]]))
EDGES = EdgeList.build(["0", "1", "2"], [1, 2, 0, 2], [0, 1, 2, 2], [2.0, 1.0, -1.0, 4.0])
SECONDS = 3.0  # of computing, children's too: a second, and the start of a process that HDF5 needs


def same_edges(back, expected):
    assert back.names == expected.names
    assert np.array_equal(back.matrix().toarray(), expected.matrix().toarray())


def same_network(back, expected):
    assert [p.name for p in back.populations] == [p.name for p in expected.populations]
    for p, q in zip(back.projections, expected.projections, strict=True):
        np.testing.assert_allclose(p.matrix().toarray(), q.matrix().toarray(), rtol=1e-6)


def same_layers(back, expected):
    x = torch.ones(20, 1, 3)
    torch.testing.assert_close(back(x)[0], expected(x)[0], rtol=1e-5, atol=1e-6)


def small():
    net = rv.Network(seed=2)
    silent = rv.SpikeTimes(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    a, b = net.add(silent, 2, "a"), net.add(rv.LIF(t_ref=0.0), 3, "b")
    net.connect(a, b, weight=[1.0, 2.0, -1.0], edges=([0, 1, 1], [0, 1, 2]), delay=torch.tensor([1.0, 1.5, 1.5]))
    return net


def layers():
    torch.manual_seed(0)
    return rv.nn.Sequential(rv.nn.LIF(3, 4, beta=0.9, reset="zero"), rv.nn.LI(4, 2, beta=0.8))


def graph():
    return networks.to_networkx(EDGES)


def wrote_edges(path):
    path.write_text("source,target,weight\n1,0,2\n2,1,1\n0,2,-1\n2,2,4\n")
    return EDGES


def wrote(write, value):
    def act(path):
        write(value, path)
        return value

    return act


def wrote_graphml(path):
    nx.write_graphml(graph(), path)
    return EDGES


def wrote_network(path):
    return wrote(rv.write_network, small())(path)


def wrote_sparse(path):
    sp.save_npz(path, MATRIX)
    return EDGES


CASES = [
    Case("read_edges", wrote_edges, same_edges),
    Case("read_graphml", wrote_graphml, same_edges),
    Case("read_sparse", wrote_sparse, same_edges, suffix=".npz"),
    Case("read_network", wrote_network, same_network, part="network.json"),
    Case("read_nir", lambda path: wrote(rv.write_nir, small())(path), same_network),
    Case("nn.read_nir", lambda path: wrote(rv.nn.write_nir, layers())(path), same_layers),
    Case("from_networkx", lambda _: (graph(), EDGES), same_edges, objects=True),
    Case("from_sparse", lambda _: (MATRIX, EDGES), same_edges, objects=True),
    Case("from_nir", lambda _: (networks.to_nir(small()), small()), same_network, objects=True),
    Case("nn.from_nir", lambda _: (rv.nn.to_nir(layers()), layers()), same_layers, objects=True),
]
FILES = [case for case in CASES if not case.objects]
TENSORS = Case("read_network", wrote_network, same_network, part="tensors-*.safetensors")


def reader(name):
    return getattr(rv.nn, name[3:]) if name.startswith("nn.") else getattr(networks, name)


def test_every_reader_has_a_case():
    public = [n for n in networks.__all__ if n.startswith(("read_", "from_"))]
    public += [f"nn.{n}" for n in dir(rv.nn) if n in ("read_nir", "from_nir")]
    missing = set(public) - {case.name for case in CASES}
    assert not missing, f"give a Case to: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_was_written_comes_back(case, tmp_path):
    path = tmp_path / f"x{case.suffix}"
    written = case.write(path)
    argument, expected = written if case.objects else (path, written)
    case.same(reader(case.name)(argument), expected)


@pytest.mark.parametrize("wrong", [None, 3, "text", [1, 2], {"a": 1}, np.zeros(3), np.zeros((2, 2), complex), object()])
@pytest.mark.parametrize("case", [case for case in CASES if case.objects], ids=lambda case: case.name)
def test_other_objects_are_refused(case, wrong):
    with pytest.raises((ValueError, TypeError), match=r"[Ee]xpected|[Ff]ound"):
        reader(case.name)(wrong)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """(case, what, path, digest before) of every attack, and what came of each, by one process for all."""
    root, jobs = tmp_path_factory.mktemp("hostile"), []
    for k, case in enumerate([*FILES, TENSORS]):
        good = root / f"good-{k}{case.suffix}"
        case.write(good)
        data = case.file(good).read_bytes()
        changed = {f"mutation {m}": new for m, new in enumerate(mutations(data, 16, seed=k))}
        for m, what in enumerate([*changed, *specials(root / "x")]):
            path = root / f"{k}-{m}{case.suffix}"
            if case.part is None:
                file = path
            else:
                shutil.copytree(good, path)
                file = case.file(path)
                file.unlink()
            if what in changed:
                file.write_bytes(changed[what])
            else:
                specials(file)[what]()
            jobs.append((case, what, path, digest(path) if path.exists() and "GiB" not in what else ""))
    outcomes = attempts([(case.name, path) for case, _, path, _ in jobs])
    return list(zip(jobs, outcomes, strict=True))


@pytest.mark.parametrize("case", [*FILES, TENSORS], ids=lambda case: f"{case.name}-{case.part or 'file'}")
def test_hostile_files_are_refused_by_name_and_nothing_changes(hostile, case):
    mine = [(what, path, before, out) for (c, what, path, before), out in hostile if c is case]
    assert len(mine) > 25
    for what, path, before, out in mine:
        assert out.kind in ("read", "refused"), f"{what}: {out}"
        if not what.startswith("mutation"):
            assert out.kind == "refused", f"{what}: {out}"
        if out.kind == "refused":
            assert path.name in out.message, f"{what}: {out}"
        assert out.cpu < SECONDS, f"{what}: {out}"
        if before:
            assert digest(path) == before, what


def test_nirs_nodes_are_a_tree(tmp_path):
    """Complex weights, links to other files, and arrays of zeros without end are refused where they stand."""
    import h5py

    ok = tmp_path / "ok.nir"
    rv.nn.write_nir(layers(), ok)

    def changed(name, act):
        path = tmp_path / name
        shutil.copy(ok, path)
        with h5py.File(path, "a") as file:
            act(file)
        return path

    def replace(value, **options):
        def act(file):
            weight = next(n for n in file["node/nodes"] if "weight" in file[f"node/nodes/{n}"])
            del file[f"node/nodes/{weight}/weight"]
            if isinstance(value, np.ndarray):
                file.create_dataset(f"node/nodes/{weight}/weight", data=value, **options)
            elif value is None:
                file.create_dataset(f"node/nodes/{weight}/weight", **options)
            else:
                file[f"node/nodes/{weight}/weight"] = value

        return act

    (tmp_path / "secret.h5").write_bytes(ok.read_bytes())
    attacks = {
        "complex": replace(np.ones((4, 3)) + 1j),
        "ExternalLink": replace(h5py.ExternalLink("secret.h5", "/node")),
        "SoftLink": replace(h5py.SoftLink("/node/nodes")),
        "far more": replace(None, shape=(2**20, 2**20), dtype="f8", chunks=(1024, 1024), compression="gzip"),
        "other files": replace(None, shape=(4, 3), dtype="f8", external=[("secret.h5", 0, 96)]),
        "object": replace(np.array([b"a" * 10], dtype="S10")),
        "two ways": lambda file: file["node"].__setitem__("again", file["node/nodes"]),
        "control": lambda file: file["node/nodes"].create_group("a\x1b[31m"),
    }
    paths = {what: changed(f"{k}.nir", act) for k, (what, act) in enumerate(attacks.items())}
    for (what, path), out in zip(paths.items(), attempts([("nn.read_nir", p) for p in paths.values()]), strict=True):
        assert out.kind == "refused" and path.name in out.message, (what, out)
        if what not in ("object", "control"):
            assert what in out.message, out


def test_a_layered_graph_of_weights_does_not_grow_without_end():
    nodes, edges = {"input": nir.Input({"input": np.array([1])})}, []
    last = ["input"]
    for k in range(30):
        new = [f"a{k}", f"b{k}"]
        nodes |= {name: nir.Linear(np.ones((1, 1))) for name in new}
        edges += [(one, other) for one in last for other in new]
        last = new
    cell = nir.LIF(*np.ones((4, 1)))
    nodes |= {"cell": cell, "output": nir.Output({"output": np.array([1])})}
    edges += [(one, "cell") for one in last] + [("cell", "output")]
    (p,) = networks.from_nir(nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)).projections
    assert p.matrix().toarray() == [[2.0**30]]  # ways, each of r·1 s/tau = 1 mV
