"""A captioner that learned from more than pairs is a bundle like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_configuration

METHODS: dict[str, dict[str, Any]] = {
    "language_model": {},
    "back_translation": {"first_step": 1},
    "pseudo_labels": {"first_step": 1, "every": 1, "n_pictures": 4},
    "bottleneck": {"n_tokens": 1},
}


@pytest.mark.parametrize("decoder", ["transformer", "show-attend-tell"])
def test_from_training_to_a_caption(decoder: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    dataset = write_captioned_pictures(tmp_path / "data")
    photo = tmp_path / "photo.png"
    Image.fromarray(np.asarray(dataset.array("dev", "pictures")[0])).save(photo)
    mapping = captioner_experiment(tmp_path / "data")
    mapping["data"]["pairs_share"] = 0.5
    if decoder != "transformer":
        options = {"embedding_dim": 12, "attention_dim": 8, "hidden_dim": 12}
        mapping["decoder"] = {"name": decoder, "options": options}
    mapping["decoder"]["bottleneck"] = {"n_slots": 5, "dim": 8, "n_heads": 2}
    mapping["unpaired"] = METHODS
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 0
    assert "6 pictures with captions, 6 alone; 30 captions alone" in capfd.readouterr().out
    bundle = tmp_path / "captioner"
    assert run(["export", str(tmp_path / "run"), "-o", str(bundle), "--precision", "fp32"]) == 0
    assert open_bundle(bundle).manifest.cls == decoder
    capfd.readouterr()
    assert run(["caption", str(photo), "-m", str(bundle), "--force"]) == 0
    assert capfd.readouterr().out.strip()
