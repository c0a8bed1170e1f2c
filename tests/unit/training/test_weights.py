"""Weights in safetensors files: whole, strict, with tied weights and prefixes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.build import DecoderConfig, build_captioner
from optophone.models.captioners.captioner import Captioner
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.training.weights import load_weights, save_weights


def captioner(seed: int, dim: int = 8) -> Captioner:
    torch.manual_seed(seed)
    options = {"dim": dim, "n_heads": 2, "n_layers": 1, "feed_forward_dim": 8, "tied_embeddings": True}
    model = build_captioner(ResidualGridConfig((4, 6), (1, 1)), DecoderConfig("transformer", options), 11, 16)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved, loaded = captioner(0), captioner(1)
    save_weights(saved, tmp_path / "a.safetensors")
    load_weights(loaded, tmp_path / "a.safetensors")
    assert_equal(saved, loaded)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_tied_weights_save_load_and_stay_tied(tmp_path: Path) -> None:
    saved, loaded = captioner(0), captioner(1)
    save_weights(saved, tmp_path / "a.safetensors")
    content = load_file(tmp_path / "a.safetensors")
    assert torch.equal(content["decoder.output.weight"], content["decoder.embedding.weight"])
    load_weights(loaded, str(tmp_path / "a.safetensors"))
    assert loaded.decoder.output.weight is loaded.decoder.embedding.weight  # type: ignore[attr-defined]


def test_a_part_is_loaded_by_its_prefix(tmp_path: Path) -> None:
    saved, loaded = captioner(0), captioner(1)
    save_weights(saved, tmp_path / "a.safetensors")
    load_weights(loaded.encoder, tmp_path / "a.safetensors", prefix="encoder.")
    assert_equal(saved.encoder, loaded.encoder)
    assert not torch.equal(saved.decoder.embedding.weight, loaded.decoder.embedding.weight)  # type: ignore[attr-defined]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(captioner(0), tmp_path / "a.safetensors")
    before = (tmp_path / "a.safetensors").read_bytes()

    def write_half(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("optophone.training.weights.save_file", write_half)
    with pytest.raises(OSError, match="no space"):
        save_weights(captioner(1), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == before


def test_names_and_sizes_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(captioner(0), path)
    with pytest.raises(ConfigurationError, match=r"a\.safetensors: does not fit .*decoder\.region_projection\.weight"):
        load_weights(captioner(1, dim=4), path)
    with pytest.raises(ConfigurationError, match="does not fit"):
        load_weights(captioner(1).encoder, path)
    with pytest.raises(ConfigurationError, match="does not fit"):
        load_weights(captioner(1).encoder, path, prefix="nothing.")


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.safetensors: no such weights"):
        load_weights(captioner(0), tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_bytes(b"hello, this is a text")
    with pytest.raises(ConfigurationError, match=r"text\.safetensors: not a safetensors file"):
        load_weights(captioner(0), tmp_path / "text.safetensors")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"empty\.safetensors: not a safetensors file"):
        load_weights(captioner(0), tmp_path / "empty.safetensors")
