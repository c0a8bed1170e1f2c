"""Every member of the captioner family as a bundle: encoder and decoder in ONNX Runtime against torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.bundle import open_bundle
from optophone.core.picture import prepare_picture
from optophone.core.search import SearchConfig
from optophone.export.captioner import TrainedCaptioner, export_captioner
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


def mean(parts: list[Tensor]) -> Tensor:
    """Of floating numbers; whole numbers are the same for all."""
    return torch.stack(parts).mean(0) if parts[0].is_floating_point() else parts[0]


@torch.no_grad()
def guided_by_torch(trained: TrainedCaptioner, picture: np.ndarray, others: list[np.ndarray]) -> tuple[int, ...]:
    """The greedy caption under guidance of 1, with the mean of what the model remembers of `others`."""
    model: Any = trained.model
    assert trained.picture is not None
    begun = [model.begin(torch.from_numpy(prepare_picture(one, trained.picture)[None])) for one in [picture, *others]]
    (memory, state), rest = begun[0], begun[1:]
    of_any, its_state = (
        tuple(mean(list(parts)) for parts in zip(*some, strict=True)) for some in zip(*rest, strict=True)
    )
    ids, said = torch.tensor([trained.vocabulary.start]), []
    for _ in range(trained.search.max_length):
        own, _, state = model.step(ids, memory, state)
        without, _, its_state = model.step(ids, of_any, its_state)
        own[:, list(trained.exported_search().forbidden)] = -torch.inf
        plausible = own.double().exp() >= 0.1 * own.double().exp().max()
        ids = torch.where(plausible, 2 * own.double() - without.double(), -torch.inf).argmax(1)
        if int(ids) == trained.vocabulary.end:
            break
        said.append(int(ids))
    return tuple(said)


@pytest.mark.parametrize("name", FAMILY)
def test_guided_captions_are_those_of_torch(name: str, tmp_path: Path) -> None:
    trained = tiny_captioner(name, OPTIONS[name])
    with torch.no_grad():
        for parameter in trained.model.decoder.parameters():  # type: ignore[union-attr]
            parameter.mul_(2.0)  # opinions that differ from picture to picture
    export_captioner(trained, tmp_path, "fp32", pictures(3, 0), pictures(2, 1))
    captioner = OnnxCaptioner(open_bundle(tmp_path / "fp32"))
    shown = pictures(4, 2)
    search = SearchConfig(method="greedy", max_length=6, guidance=1.0, forbidden=trained.exported_search().forbidden)
    for picture, (said, *_) in zip(shown, captioner.captions(shown, search), strict=True):
        assert said.ids == guided_by_torch(trained, picture, pictures(3, 0))
