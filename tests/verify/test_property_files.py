"""ONNX and VNN-LIB: what is read means what it says, and hostile files are refused in words."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier import verify
from ranvier.verify.competition import result_text, run_instance

onnx = pytest.importorskip("onnx", reason="the extra 'verify' is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402


def model(nodes, shape=(2, 3), constants=None, opset=17, open_batch=False):
    """A ModelProto from (operator, inputs, attributes) in a chain of values x, v0, v1 ..."""
    chain = []
    for k, (kind, inputs, attributes) in enumerate(nodes):
        chain.append(helper.make_node(kind, list(inputs), [f"v{k}"], name=f"n{k}", **attributes))
    sizes = ["N", *shape[1:]] if open_batch else list(shape)
    graph = helper.make_graph(
        chain, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(f"v{len(nodes) - 1}", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(tmp_path: Path, proto, name="net.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


F = np.float32
W = np.arange(12, dtype=F).reshape(3, 4) / 7 - 0.6
CASES = {
    "gemm": ([("Gemm", "xwb", {"alpha": 0.5, "beta": 2.0})], (2, 3), {"w": W, "b": F([1, 2, 3, 4])}),
    "gemm_t": ([("Gemm", "xw", {"transB": 1})], (2, 3), {"w": W.T.copy()}),
    "matmul_left": ([("MatMul", "wx", {})], (4, 2), {"w": W}),
    "self_attention": ([("Transpose", "x", {"perm": [1, 0]}), ("MatMul", ["x", "v0"], {}),
                        ("Softmax", ["v1"], {"axis": -1}), ("MatMul", ["v2", "x"], {})], (2, 3), {}),
    "conv": ([("Conv", "xwb", {"strides": [2, 1], "pads": [1, 0, 0, 2], "dilations": [1, 2]})], (1, 2, 5, 6),
             {"w": np.linspace(-1, 1, 36, dtype=F).reshape(3, 2, 3, 2), "b": F([1, 2, 3])}),
    "conv_groups": ([("Conv", "xw", {"group": 2, "pads": [1, 1, 1, 1]})], (1, 2, 3, 3),
                    {"w": np.linspace(-1, 1, 18, dtype=F).reshape(2, 1, 3, 3)}),
    "batch_norm": ([("BatchNormalization", "xsbmv", {"epsilon": 1e-3})], (1, 2, 3),
                   {"s": F([1, 2]), "b": F([0.5, 1]), "m": F([0.2, -1]), "v": F([0.5, 2])}),
    "layer_norm": ([("LayerNormalization", "xsb", {"axis": -1})], (2, 3), {"s": F([1, 2, 3]), "b": F([0, 1, 0])}),
    "pools": ([("MaxPool", "x", {"kernel_shape": [2, 2], "strides": [1, 1]}),
               ("AveragePool", ["v0"], {"kernel_shape": [2, 1]})], (1, 2, 4, 4), {}),
    "global_pool": ([("GlobalAveragePool", "x", {}), ("Flatten", ["v0"], {})], (1, 3, 2, 2), {}),
    "slices": ([("Slice", ["x", "a", "e", "ax", "st"], {}), ("Concat", ["x", "v0"], {"axis": 1}),
                ("Gather", ["v1", "i"], {"axis": 1})], (2, 5),
               {"a": np.int64([4]), "e": np.int64([-6]), "ax": np.int64([1]), "st": np.int64([-2]),
                "i": np.int64([0, -1, 3])}),
    "shape": ([("Shape", "x", {}), ("Gather", ["v0", "i"], {}), ("Unsqueeze", ["v1", "ax"], {}),
               ("Concat", ["v2", "m"], {"axis": 0}), ("Reshape", ["x", "v3"], {}), ("Pad", ["v4", "p", "c"], {})],
              (2, 3, 2), {"i": np.int64(0), "ax": np.int64([0]), "m": np.int64([-1]), "p": np.int64([0, 1, 0, 2]),
                          "c": F(3.0)}),
    "arithmetic": ([("Pow", "xp", {}), ("Add", ["v0", "c"], {}), ("Sqrt", ["v1"], {}), ("Div", ["x", "v2"], {}),
                    ("Neg", ["v3"], {}), ("Sub", ["c", "v4"], {}), ("Mul", ["v5", "x"], {}),
                    ("Clip", ["v6", "l", "h"], {})], (2, 3), {"p": F(2.0), "c": F(1.5), "l": F(-1), "h": F(2)}),
    "functions": ([(k, [f"v{i - 1}" if i else "x"], {}) for i, k in enumerate(
        ("Sin", "Tanh", "Sigmoid", "Exp", "Reciprocal", "Log", "Cos", "Erf", "Softplus", "Abs", "LeakyRelu", "Elu"))],
        (2, 3), {}),
    "reduce": ([("ReduceMean", "x", {"axes": [-1], "keepdims": 1}), ("Sub", ["x", "v0"], {}),
                ("ReduceSum", ["v1", "ax"], {"keepdims": 0})], (2, 3), {"ax": np.int64([0])}),
    "extremes": ([("Max", "xc", {}), ("Min", ["v0", "x"], {}), ("Sum", ["v0", "v1", "x"], {})], (2, 3),
                 {"c": F([0.1, 0.2, -1])}),
    "where": ([("Where", "mxc", {}), ("Expand", ["v0", "s"], {})], (1, 3),
              {"m": np.array([True, False, True]), "c": F([9, 8, 7]), "s": np.int64([2, 3])}),
    "split": ([("Split", "xs", {"axis": 1})], (2, 3), {"s": np.int64([1, 2])}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_operators_mean_what_onnx_means(tmp_path: Path, name: str):
    nodes, shape, constants = CASES[name]
    proto = model(nodes, shape, constants)
    if name == "split":
        proto.graph.node[0].output.append("other")
    graph = verify.from_onnx(write(tmp_path, proto))
    rng = np.random.default_rng(0)
    evaluator = ReferenceEvaluator(proto)
    for _ in range(3):
        x = rng.normal(size=shape).astype(F)
        expected = evaluator.run(None, {"x": x})[0]
        out = graph(torch.from_numpy(x)[None].double())[0]
        assert tuple(out.shape) == expected.shape
        np.testing.assert_allclose(out.numpy(), expected, rtol=2e-5, atol=2e-6)  # float32 of the reference
        l = torch.from_numpy(x)[None].double() - 0.02
        low, high = verify.bounds(graph, l, l + 0.04)
        assert bool((low <= out + 1e-12).all() & (high >= out - 1e-12).all())


def broken(tmp_path: Path, change) -> Path:
    proto = model([("Relu", "x", {}), ("MatMul", ["v0", "w"], {})], (2, 3), {"w": W})
    change(proto)
    return write(tmp_path, proto)


def _external(p):
    p.graph.initializer[0].data_location = 1
    entry = p.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def _huge(p):
    p.graph.initializer[0].ClearField("raw_data")
    del p.graph.initializer[0].dims[:]
    p.graph.initializer[0].dims.extend([2**40, 2**20])


def _operator(kind, **attributes):
    def change(p):
        p.graph.node[0].op_type = kind
        for name, value in attributes.items():
            p.graph.node[0].attribute.append(helper.make_attribute(name, value))

    return change


def _domain(p):
    p.graph.node[0].domain = "evil.org"


def _dangling(p):
    p.graph.node[1].input[0] = "nowhere"


def _nan(p):
    p.graph.initializer[0].CopyFrom(numpy_helper.from_array(W * np.nan, "w"))


def _short(p):
    p.graph.initializer[0].raw_data = b"abc"


def _misfit(p):
    p.graph.initializer[0].CopyFrom(numpy_helper.from_array(W.T.copy(), "w"))


REFUSED = {
    "external data": (_external, "other files"), "a huge tensor": (_huge, "smaller one"),
    "an unknown operator": (_operator("Hardmax"), r"n0 \(Hardmax\)' has no translation"),
    "a subgraph": (_operator("If"), "no translation"), "a foreign domain": (_domain, "no translation"),
    "a missing value": (_dangling, "nowhere"), "weights of nan": (_nan, "not finite"),
    "too few bytes": (_short, "broken tensor"), "shapes that do not fit": (_misfit, "expected matrices that fit"),
    "norms without statistics": (_operator("BatchNormalization"), "has 1 inputs; expected 5"),
    "an axis out of range": (_operator("Softmax", axis=7), "Softmax|out of range"),
    "a wild permutation": (_operator("Transpose", perm=[0, 9]), "does not fit"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_hostile_networks_are_refused(tmp_path: Path, name: str):
    change, words = REFUSED[name]
    if name == "an axis out of range":
        graph = verify.from_onnx(broken(tmp_path, change))  # axes count modulo the rank
        assert graph.output_shape == (2, 4)
        return
    with pytest.raises(ValueError, match=words):
        verify.from_onnx(broken(tmp_path, change))


def test_bytes_that_are_no_network_are_refused(tmp_path: Path):
    good = write(tmp_path, model([("Relu", "x", {})])).read_bytes()
    rng = np.random.default_rng(1)
    for k in range(60):
        data = bytearray(good)
        for _ in range(1 + k % 5):
            data[rng.integers(len(data))] = rng.integers(256)
        path = tmp_path / "mutated.onnx"
        path.write_bytes(bytes(data[: len(data) - k % 7]))
        try:
            graph = verify.from_onnx(path)
        except ValueError:
            continue
        assert graph.nodes[graph.output].size > 0
    with pytest.raises(FileNotFoundError):
        verify.from_onnx(tmp_path / "none.onnx")


SPEC = """; a comment (with brackets
(declare-const X_0 Real) (declare-const X_1 Real)
(declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (<= X_0 0.1)) (assert (>= X_0 -1e-1))
(assert (or (and (<= X_1 1) (>= X_1 0)) (and (<= X_1 3) (>= X_1 2))))
(assert (or (and (>= Y_0 Y_1) (< Y_1 2.5)) (<= (+ Y_0 (* 2 Y_1)) (- 1))))
"""


def test_a_property_means_what_it_says():
    prop = verify.parse_vnnlib(SPEC, 2, 2)
    assert [(c.lower[1].item(), c.upper[1].item()) for c in prop.cases] == [(0.0, 1.0), (2.0, 3.0)]
    assert all(c.lower[0] <= -0.1 and c.upper[0] >= 0.1 for c in prop.cases)
    first, second = prop.cases[0].unsafe
    y = torch.tensor([[1.0, 0.0], [1.0, 2.0], [3.0, 2.5], [-1.0, 0.0], [-1.0, 1e-9]]).double()
    assert first.holds(y).tolist() == [True, False, False, False, False]
    assert second.holds(y).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(assert (<= X_0 1))", "declared"), ("(declare-const X_9 Real)", "the network's 2"),
        ("(declare-const evil Real)", "expected X_0"), ("(assert", "ends within"), (")", "without"), ("x", "outside"),
        ("(" * 100, "nested deeper"), (SPEC + "(assert (<= X_0 X_1))", "bounds of one input"),
        (SPEC + "(assert (<= (* X_0 X_1) 1))", "product of variables"),
        (SPEC + "(assert (not (<= X_0 1)))", "expected and, or"), (SPEC + "(assert (<= X_0 1e9999))", "number"),
        (SPEC + "(assert (<= X_0 __import__))", "number"),
        (SPEC + "(assert (and " + " ".join(["(or (<= Y_0 1) (<= Y_1 2))"] * 40) + "))", "too many alternatives"),
        ("(declare-const X_0 Real)(assert (<= X_0 1))", "no lower bound"),
        ("(define-fun f () Real 1)", "declare-const"),
        ("\x00", "expected|SMT"),
    ],
)  # fmt: skip
def test_hostile_properties_are_refused(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        verify.parse_vnnlib(text, 2, 2)


def test_decimals_are_rounded_so_that_nothing_is_lost():
    prop = verify.parse_vnnlib(SPEC.replace("0.1))", "0.3))"), 2, 2)
    from fractions import Fraction

    assert Fraction(float(prop.cases[0].upper[0])) >= Fraction("0.3")
    assert Fraction(float(prop.cases[0].lower[0])) <= Fraction("-0.1")


def test_an_instance_from_files_to_result(tmp_path: Path, capsys: pytest.CaptureFixture):
    """y = relu(x) w: the property holds in the box, and not in a larger one; the counterexample is real."""
    net = tmp_path / "net.onnx.gz"
    nodes = [("Relu", "x", {}), ("MatMul", ["v0", "w"], {})]
    proto = model(nodes, (1, 2), {"w": np.eye(2, dtype=F)}, open_batch=True)
    net.write_bytes(gzip.compress(proto.SerializeToString()))
    text = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)" + "".join(
        f"(assert (<= X_{k} 0.5))(assert (>= X_{k} -1))" for k in (0, 1)
    )
    held, broke = tmp_path / "held.vnnlib", tmp_path / "broke.vnnlib"
    held.write_text(text + "(assert (>= Y_0 0.51))")
    broke.write_text(text + "(assert (>= Y_0 0.25))(assert (<= Y_1 0.1))")
    out = tmp_path / "result.txt"
    assert run_instance(net, held, out=out).verdict == "verified" and out.read_text() == "unsat\n"
    result = run_instance(net, broke, out=out)
    assert result.verdict == "falsified"
    lines = out.read_text().split()
    assert lines[0] == "sat" and float(lines[lines.index("(Y_0") + 1].strip(")")) >= 0.25
    from ranvier.cli.commands import app

    assert app(["verify", str(net), str(held), "--timeout", "5"], standalone_mode=False) in (0, None)
    assert capsys.readouterr().out.startswith("verified")


def test_results_are_worded_as_in_the_competition():
    unknown = verify.VerificationResult("unknown", None, None, -1.0, 3, 2.0)
    assert result_text(unknown, 2.0) == "timeout\n" and result_text(unknown, 60.0) == "unknown\n"


DATA = os.environ.get("RANVIER_DATA")


@pytest.mark.skipif(not DATA or not Path(DATA, "verify").is_dir(), reason="RANVIER_DATA names no folder with verify/")
def test_the_competition_s_own_files():
    folder = Path(str(DATA), "verify")
    for net, prop, expected in (
        ("acasxu/1_9.onnx.gz", "acasxu/prop_3.vnnlib.gz", "falsified"),
        ("eran/ffnnSIGMOID__Point_6x200.onnx.gz", "eran/mnist_spec_idx_0_eps_0.01200.vnnlib.gz", "verified"),
    ):
        assert run_instance(folder / net, folder / prop, timeout=60).verdict == expected
    for net in ("acopf/14_ieee_ml4acopf.onnx.gz", "vit/pgd_2_3_16.onnx.gz"):
        subject = verify.load(folder / net)
        x = torch.rand(subject.graph.input_shape, generator=torch.Generator().manual_seed(0)).double()
        y = subject.run(x)
        assert float((subject.graph(x[None])[0] - y).abs().max()) < 1e-4 * max(1.0, float(y.abs().max()))
        assert math.prod(subject.graph.output_shape) in (186, 10)
