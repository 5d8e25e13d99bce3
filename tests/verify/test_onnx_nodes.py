"""ONNX nodes with inputs or attributes that their operator does not have, or without those that it needs."""

import pytest

pytest.importorskip("onnx")
from onnx import TensorProto, helper

from ranvier.verify import from_onnx
from ranvier.verify.graphs import onnx_files
from tests.laws.readers import foreign

OPERATORS = sorted({*onnx_files._RULES, *onnx_files.FUNCTIONS})
ATTRIBUTES = ({}, {"axis": 9}, {"axes": [7]}, {"kernel_shape": [3]}, {"kernel_shape": [3, 3], "strides": [0, 0]},
              {"perm": [5]}, {"to": 999})  # fmt: skip


def written(path, operator, count, shape, attributes):
    node = helper.make_node(operator, ["x", "c", "c"][:count], ["y"], **attributes)
    constant = helper.make_tensor("c", TensorProto.FLOAT, [2], [1.0, 2.0])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None)))
    model = helper.make_model(helper.make_graph([node], "g", [x], [y], [constant]),
                              opset_imports=[helper.make_opsetid("", 13)])  # fmt: skip
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_node_is_translated_or_refused_in_words_about_it(operator, tmp_path):
    refused = 0
    for count in range(4):
        for shape in ((1, 4), (1, 2, 4, 4)):
            for attributes in ATTRIBUTES:
                file = written(tmp_path / "net.onnx", operator, count, shape, attributes)
                try:
                    from_onnx(file)
                except ValueError as error:
                    refused += 1
                    assert "net.onnx" in str(error) and operator in str(error), (count, attributes, str(error))
                    assert not foreign(str(error)), (count, attributes, str(error))
    assert refused  # no operator takes all of these


def test_missing_inputs_and_attributes_are_said_by_number_and_name(tmp_path):
    with pytest.raises(ValueError, match=r"0 \(Add\)' has 1 inputs; expected 2"):
        from_onnx(written(tmp_path / "net.onnx", "Add", 1, (1, 4), {}))
    with pytest.raises(ValueError, match=r"0 \(Concat\)' lacks the attribute 'axis'"):
        from_onnx(written(tmp_path / "net.onnx", "Concat", 2, (1, 4), {}))
