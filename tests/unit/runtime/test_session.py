"""Graphs load with few threads, and a broken one is one plain line."""

from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import BundleError, ConfigurationError
from optophone.runtime.session import (
    Graph,
    SessionConfig,
    default_threads,
    numbered,
    resolve_threads,
    session_options,
    step_threads,
)
from tiny_bundles import save_graph

DOUBLE = 'double (float[N] x) => (float[N] "state.0", float[N] "state.1") { "state.0" = Add(x, x) "state.1" = Neg(x) }'


def test_a_graph_runs_and_names_its_inputs_and_outputs(tmp_path: Path) -> None:
    save_graph(tmp_path / "double.onnx", DOUBLE, {})
    graph = Graph(tmp_path / "double.onnx", SessionConfig())
    assert list(graph.inputs) == ["x"]
    assert graph.outputs == ["state.0", "state.1"]
    twice, negative = graph.run({"x": np.array([1, 2], np.float32)})
    assert twice.tolist() == [2, 4]
    assert negative.tolist() == [-1, -2]


@pytest.mark.parametrize("content", [b"", b"no graph at all"])
def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"bad\.onnx") as caught:
        Graph(tmp_path / "bad.onnx", SessionConfig())
    assert "\n" not in str(caught.value)


def test_missing_inputs_and_outputs_are_named(tmp_path: Path) -> None:
    save_graph(tmp_path / "double.onnx", DOUBLE, {})
    graph = Graph(tmp_path / "double.onnx", SessionConfig())
    graph.require(["x"], ["state.1"])
    with pytest.raises(BundleError, match="no input 'picture'"):
        graph.require(["picture"])
    with pytest.raises(BundleError, match="no output 'mel'"):
        graph.require(outputs=["mel"])


def test_sessions_take_the_threads_and_the_memory_they_are_given() -> None:
    options = session_options(SessionConfig(threads=3))
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.enable_cpu_mem_arena is False
    assert session_options(SessionConfig(arena=True)).enable_cpu_mem_arena is True


def test_threads() -> None:
    assert 1 <= default_threads() <= 4
    assert resolve_threads(None) == default_threads()
    assert resolve_threads(7) == 7
    with pytest.raises(ConfigurationError, match="threads: 0"):
        resolve_threads(0)


def test_numbered_names_are_sorted_by_number() -> None:
    names = ["state.10", "state.2", "memory.0", "state.x", "state.0", "states.1"]
    assert numbered(names, "state") == ["state.0", "state.2", "state.10"]


def test_only_large_step_graphs_take_more_than_one_thread() -> None:
    assert step_threads(4_000_000, 2) == 1
    assert step_threads(155_000_000, 2) == 2
    assert step_threads(155_000_000, 1) == 1
