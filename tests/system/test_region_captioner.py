"""From region features to captions: prepare, train, export, caption and evaluate, as users type it."""

import json
from pathlib import Path

import numpy as np
import pytest

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_configuration

DIM = 16


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with pictures, their features, the packed features and a finished run."""
    write_captioned_pictures(tmp_path / "data")
    rng = np.random.default_rng(0)
    (tmp_path / "features").mkdir()
    for split, n in (("train", 12), ("dev", 4)):
        for i in range(n):
            np.savez(tmp_path / "features" / f"{split}{i}.npz", feat=rng.normal(size=(i % 4 + 1, DIM)))
    assert run(["prepare", "region-features", str(tmp_path / "features"), str(tmp_path / "packed")]) == 0
    mapping = captioner_experiment(tmp_path / "data")
    mapping["data"]["regions"], mapping["encoder"] = str(tmp_path / "packed"), {"n_features": DIM}
    mapping["decoder"]["options"]["n_encoder_layers"] = 1
    mapping["search"]["min_length"] = 3
    configuration = write_configuration(tmp_path / "tiny.yaml", mapping)
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    return tmp_path


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_describes_features_of_any_number(trained: Path, precision: str, capfd: pytest.CaptureFixture) -> None:
    bundle = trained / precision
    assert run(["export", str(trained / "run"), "-o", str(bundle), "--precision", precision]) == 0
    manifest = open_bundle(bundle).manifest
    assert manifest.picture is None
    assert manifest.configuration["regions"] == {"dim": DIM}
    capfd.readouterr()
    features = [str(trained / "features" / f"dev{i}.npz") for i in range(4)]
    assert run(["caption", *features, "-m", str(bundle), "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(lines) == 4
    assert all(len(line["text"].split()) >= 3 for line in lines)

    scores = trained / "scores.json"
    arguments = ["evaluate", "captions", str(bundle), str(trained / "data"), "--no-java", "-q", "-o", str(scores)]
    assert run([*arguments, "--regions", str(trained / "packed")]) == 0
    found = json.loads(scores.read_text())
    assert list(found["captions"].values()) == [line["text"] for line in lines]
    assert run(arguments) == 2
    assert "give them with --regions" in capfd.readouterr().err


def test_a_captioner_of_pictures_takes_no_features(trained: Path, capfd: pytest.CaptureFixture) -> None:
    arguments = ["evaluate", "captions", "default", str(trained / "data"), "-q", "--regions", str(trained / "packed")]
    assert run(arguments) == 2
    assert "leave out --regions" in capfd.readouterr().err


def test_a_captioner_over_a_resnet_becomes_a_bundle(tmp_path: Path) -> None:
    write_captioned_pictures(tmp_path / "data")
    mapping = captioner_experiment(tmp_path / "data")
    mapping["encoder"] = {
        "blocks": [1, 1], "bottleneck": True, "stem_width": 4, "widths": [4, 4], "expansion": 2, "grid": [3, 3],
    }  # fmt: skip
    configuration = write_configuration(tmp_path / "tiny.yaml", mapping)
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "bundle"), "--precision", "fp32"]) == 0
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    from optophone.runtime.load import load_describer

    attention = load_describer(str(tmp_path / "bundle")).captioner.caption(picture)[0].attention
    assert attention is not None
    assert attention.shape[1:] == (3, 3)
