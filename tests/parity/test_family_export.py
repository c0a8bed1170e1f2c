"""Every member of the captioner family as a bundle: encoder and decoder in ONNX Runtime against torch."""

from pathlib import Path
from typing import Any

import pytest

from optophone.core.bundle import open_bundle
from optophone.export.captioner import export_captioner
from optophone.models.captioners.build import FAMILY
from optophone.runtime.onnx_captioner import OnnxCaptioner
from tiny_models import pictures, tiny_captioner

ATTENTIVE = {"embedding_dim": 24, "attention_dim": 16, "hidden_dim": 24}
HEADS = {"dim": 24, "n_heads": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "adaptive-attention": ATTENTIVE,
    "attention-on-attention": {**HEADS, "n_refining_layers": 1},
    "hard-attend-tell": {**ATTENTIVE, "at_test": "arg-max"},
    "look-back-predict-forward": ATTENTIVE,
    "semantic-attention": {"dim": 24, "n_attributes": 20, "n_chosen": 5},
    "show-and-tell": {"embedding_dim": 24, "hidden_dim": 24},
    "show-attend-tell": ATTENTIVE,
    "top-down": ATTENTIVE,
    "transformer": {**HEADS, "n_layers": 1, "feed_forward_dim": 32},
    "x-lan": {**HEADS, "n_encoder_blocks": 1},
    "x-transformer": {**HEADS, "n_layers": 1, "n_encoder_layers": 1, "feed_forward_dim": 32},
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_bundle_says_what_torch_says(name: str, tmp_path: Path) -> None:
    trained = tiny_captioner(name, OPTIONS[name])
    measured = export_captioner(trained, tmp_path, "fp32", pictures(2, 0), pictures(3, 1))
    assert measured["difference_from_torch"] <= 1e-4
    bundle = open_bundle(tmp_path / "fp32")
    assert bundle.manifest.cls == name
    (said, *_) = OnnxCaptioner(bundle).caption(pictures(1, 2)[0])
    assert said.attention is not None
    assert said.attention.reshape(len(said.attention), -1).sum(-1) == pytest.approx(1, abs=1e-4)
