"""Products of bytes come out right on every processor."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from optophone.runtime import session
from optophone.runtime.byte_sums import _PRODUCT, sums_overflow
from optophone.runtime.session import Graph, SessionConfig

VNNI = {"avx512_vnni", "avx_vnni"}


def test_the_graph_that_is_tried_is_one_product() -> None:
    model = onnx.load_from_string(_PRODUCT)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]


def test_processors_with_the_instructions_do_not_overflow() -> None:
    try:
        listed = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        pytest.skip("this system does not list the processor's instructions")
    if not listed & VNNI:
        pytest.skip("this processor lacks the instructions")
    assert not sums_overflow()


@pytest.mark.parametrize("overflow", [None, True])
@pytest.mark.parametrize("n_rows", [1, 70])
def test_the_largest_sums_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overflow: bool | None, n_rows: int
) -> None:
    if overflow is not None:
        monkeypatch.setattr(session, "sums_overflow", lambda: overflow)
    constants = {"w": np.full((96, 48), 127, np.int8), "zero": np.zeros(48, np.int8), "x_zero": np.uint8(0)}
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w", "x_zero", "zero"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, ["rows", 96])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, ["rows", 48])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "product.onnx")
    found = Graph(tmp_path / "product.onnx", SessionConfig()).run({"x": np.full((n_rows, 96), 255, np.uint8)})[0]
    assert (found == 96 * 255 * 127).all()
