"""The transformations of graphs one by one, on graphs small enough to see through."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from optophone.export.onnx_graph import export_graph
from optophone.export.quantize import quantize_convolutions, quantize_embeddings, quantize_products, store_in_half
from optophone.runtime.session import Graph, SessionConfig


class Net(nn.Module):
    """Convolution, norm, residual sum, then a product with a matrix and one with a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.out = nn.Linear(16, 300)
        self.vector = nn.Parameter(torch.randn(300))

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.norm(self.first(picture)))
        features = self.out(torch.relu(x + self.second(x)).flatten(2).transpose(1, 2))
        return features, features @ self.vector


class Lookup(nn.Module):
    """An embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(400, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids)


@pytest.fixture
def net(tmp_path: Path) -> tuple[Net, Path]:
    torch.manual_seed(0)
    net = Net()
    net.train()(torch.randn(16, 3, 8, 8) * 2 + 1)  # the norm has statistics of its own
    path = tmp_path / "net.onnx"
    rows = {name: {0: "rows"} for name in ("picture", "features", "score")}
    export_graph(net, path, {"picture": torch.zeros(2, 3, 8, 8)}, ["features", "score"], rows)
    return net.eval(), path


def outputs(path: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    """As the runtime computes it, also where the processor's own sums of signed bytes overflow."""
    return Graph(path, SessionConfig(threads=1)).run(feeds)


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@torch.no_grad()
def test_norms_are_folded_and_no_trace_of_the_machine_stays(net: tuple[Net, Path]) -> None:
    model, path = net
    assert "BatchNormalization" not in operators(path)
    content = path.read_bytes()
    for trace in (str(Path.cwd()), "site-packages", ".py"):
        assert trace.encode() not in content
    picture = torch.randn(3, 3, 8, 8)
    for found, expected in zip(outputs(path, picture=picture.numpy()), model(picture), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@torch.no_grad()
def test_eight_bits_stay_near(net: tuple[Net, Path], tmp_path: Path) -> None:
    model, path = net
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(20, 3, 8, 8, generator=generator)
    feeds = [{"picture": pictures[i : i + 8].numpy()} for i in range(0, 20, 8)]  # the last one is smaller
    quantize_convolutions(path, tmp_path / "small.onnx", feeds)
    quantize_products(tmp_path / "small.onnx", tmp_path / "small.onnx")
    assert {"QuantizeLinear", "MatMulInteger"} <= operators(tmp_path / "small.onnx")
    found = outputs(tmp_path / "small.onnx", picture=pictures.numpy())
    for mine, theirs in zip(found, model(pictures), strict=True):
        error = np.linalg.norm(mine - theirs.numpy()) / np.linalg.norm(theirs.numpy())
        assert 0 < error < 0.05


@torch.no_grad()
def test_rows_of_embeddings_lose_no_more_than_half_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = Lookup().eval(), tmp_path / "lookup.onnx"
    model.embedding.weight *= torch.logspace(-4, 2, 400)[:, None]  # rows of very different sizes
    export_graph(model, path, {"ids": torch.zeros(2, dtype=torch.long)}, ["rows"], {"ids": {0: "n"}, "rows": {0: "n"}})
    graph = onnx.load(path)
    quantize_embeddings(graph)
    onnx.save(graph, tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * path.stat().st_size
    found = outputs(tmp_path / "small.onnx", ids=np.arange(400))[0]
    expected = model.embedding.weight.numpy()
    largest = np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(found - expected) <= largest / 254 * 1.001).all()


@torch.no_grad()
def test_half_storage_halves_the_file_and_keeps_eleven_bits(net: tuple[Net, Path], tmp_path: Path) -> None:
    model, path = net
    graph = onnx.load(path)
    store_in_half(graph)
    onnx.save(graph, tmp_path / "small.onnx")
    weights = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in weights.values()  # the matrix
    assert onnx.TensorProto.FLOAT in weights.values()  # small ones stay
    picture = torch.randn(3, 3, 8, 8)
    for found, expected in zip(outputs(tmp_path / "small.onnx", picture=picture.numpy()), model(picture), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=2e-2, atol=2e-2)


class Shifted(nn.Module):
    """Two products of shifted rows side by side, one of the rows as they are, and one with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Buffer(torch.randn(36, 20))
        self.rows = nn.Buffer(torch.randn(12, 20))
        self.out = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0] - 4
        taps = torch.cat([x[i : i + n] for i in (0, 2, 4)], dim=1)
        return self.out(torch.tanh(taps @ self.taps / 8 + x[2 : 2 + n] @ self.rows / 8))


@torch.no_grad()
def test_shifted_rows_are_scaled_once_and_shifted_as_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path, small = Shifted().eval(), tmp_path / "shifted.onnx", tmp_path / "small.onnx"
    export_graph(model, path, {"x": torch.zeros(9, 12)}, ["y"], {"x": {0: "rows"}, "y": {0: "fewer"}})
    quantize_products(path, small)
    nodes = onnx.load(small).graph.node
    scaled = [node.input[0] for node in nodes if node.op_type == "DynamicQuantizeLinear"]
    assert scaled.count("x") == 1
    assert len(scaled) == 2  # and what the last product reads
    assert [node.op_type for node in nodes].count("MatMulInteger") == 3
    assert [node.op_type for node in nodes].count("Concat") == 1  # that of the float rows is gone
    x = torch.randn(50, 12)
    expected, found = model(x).numpy(), outputs(small, x=x.numpy())[0]
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.02


def test_products_that_are_kept_stay_exact(net: tuple[Net, Path], tmp_path: Path) -> None:
    _, path = net
    quantize_products(path, tmp_path / "kept.onnx", kept=["/out/"])
    picture = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    for mine, theirs in zip(
        outputs(tmp_path / "kept.onnx", picture=picture), outputs(path, picture=picture), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
