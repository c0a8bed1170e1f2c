"""The encoder out of a captioner's bundle: the very same eyes, in float32 as in eight bits, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from optophone.core.bundle import BundleWriter
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.picture import PictureSpec
from optophone.core.vocabulary import build_words
from optophone.export.captioner import export_captioner
from optophone.models.encoders.residual_grid import ResidualGrid, ResidualGridConfig
from optophone.runtime.load import EMBEDDED
from optophone.training.bundled_encoder import load_encoder
from tiny_bundles import write_system, write_voice
from tiny_models import SIZE, pictures, tiny_captioner

SIZES = ResidualGridConfig(widths=(8, 16, 24), depths=(1, 1, 1))
LARGEST_LOSS = 0.05  # of seven-bit weights, by the regions' length


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles fp32 and int8."""
    folder = tmp_path_factory.mktemp("captioner")
    export_captioner(tiny_captioner("transformer"), folder, "int8", pictures(24, 0), pictures(6, 1))
    return folder


def fresh(config: ResidualGridConfig = SIZES) -> ResidualGrid:
    torch.manual_seed(9)
    return ResidualGrid(config).eval()


@torch.no_grad()
def difference(encoder: nn.Module) -> float:
    """Of its regions from those of the exported captioner's encoder, in shares of these."""
    seen = torch.randn(4, 3, SIZE, SIZE)
    expected = tiny_captioner("transformer").model.encoder(seen)
    return float((encoder(seen) - expected).norm() / expected.norm())


@pytest.mark.parametrize(("precision", "largest"), [("fp32", 1e-5), ("int8", LARGEST_LOSS)])
def test_it_sees_what_the_exported_one_saw(exported: Path, precision: str, largest: float) -> None:
    encoder = fresh()
    assert difference(encoder) > 0.5
    load_encoder(encoder, exported / precision)
    assert difference(encoder) < largest


def test_it_goes_on_learning(exported: Path) -> None:
    encoder = fresh()
    load_encoder(encoder, exported / "int8")
    encoder.train()(torch.randn(4, 3, SIZE, SIZE)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_the_embedded_model_lends_its_eyes() -> None:
    encoder = fresh(ResidualGridConfig())
    load_encoder(encoder, EMBEDDED / "default")
    captioner = fresh(ResidualGridConfig())
    load_encoder(captioner, EMBEDDED / "default" / "captioner")
    bright = torch.ones(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(encoder(bright), captioner(bright))
        assert not torch.equal(encoder(bright), encoder(-bright))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (ResidualGridConfig((8, 16, 24), (1, 1, 2)), "of other sizes than the configuration's, see blocks.3"),
        (ResidualGridConfig((8, 16), (1, 1)), "of another kind than the configuration's, see blocks.2"),
        (ResidualGridConfig((8, 16, 32), (1, 1, 1)), "does not fit the model; differs in blocks.2"),
    ],
)
def test_an_encoder_of_other_sizes_is_refused(exported: Path, sizes: ResidualGridConfig, words: str) -> None:
    encoder = fresh(sizes)
    with pytest.raises((BundleError, ConfigurationError), match=words):
        load_encoder(encoder, exported / "fp32")


def test_what_has_no_such_encoder_is_refused(tmp_path: Path) -> None:
    for folder, words in (
        (tmp_path, "bundle.json"),
        (write_voice(tmp_path / "voice"), "has no encoder of pictures"),
        (write_system(tmp_path / "system"), "normalised otherwise"),
    ):
        with pytest.raises(BundleError, match=words):
            load_encoder(fresh(), folder)
    with pytest.raises(ConfigurationError, match="no such weights"):
        load_encoder(fresh(), tmp_path / "gone.safetensors")


def test_other_colours_and_damaged_graphs_are_refused(exported: Path, tmp_path: Path) -> None:
    graph = (exported / "fp32" / "encoder.onnx").read_bytes()
    infinite = onnx.load_from_string(graph)
    for tensor in infinite.graph.initializer:
        if list(tensor.dims) == [8, 3, 5, 5]:
            tensor.raw_data = b"\x00\x00\x80\x7f" * (8 * 3 * 25)
    outside = onnx.load_from_string(graph)
    for tensor in outside.graph.initializer:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="elsewhere")
    for name, content, spec, words in (
        ("colours", graph, replace(PictureSpec(), mean=(0.5, 0.5, 0.5)), "normalised otherwise"),
        ("damaged", b"no graph", PictureSpec(), "encoder.onnx is no graph"),
        ("outside", outside.SerializeToString(), PictureSpec(), "encoder.onnx is no graph"),
        ("infinite", infinite.SerializeToString(), PictureSpec(), "weights of stem.0 in encoder.onnx cannot be read"),
    ):
        folder = write_bundle(tmp_path / name, content, spec)
        with pytest.raises(BundleError, match=words):
            load_encoder(fresh(), folder)


def write_bundle(folder: Path, graph: bytes, picture: PictureSpec) -> Path:
    options: dict[str, Any] = {"kind": "captioner", "cls": "transformer", "name": "x", "picture": picture}
    with BundleWriter(folder, vocabulary=build_words(["a"]), **options) as writer:
        writer.path("encoder.onnx").write_bytes(graph)
    return folder
