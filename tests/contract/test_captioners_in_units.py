"""Every member of the captioner family over units of speech: many more symbols than a sentence has words."""

from typing import Any

import pytest
import torch

from optophone.core.search import SearchConfig
from optophone.core.vocabulary import build_units
from optophone.data.captioned_pictures import pad_captions
from optophone.models.captioners.build import FAMILY, DecoderConfig, build_captioner
from optophone.models.encoders.given_regions import GivenRegionsConfig
from optophone.training.caption_loss import caption_cross_entropy
from optophone.training.describing import describe

UNITS = build_units(20)
LENGTH = 54  # more than the 50 that captions of words end at
ATTENTIVE = {"embedding_dim": 16, "attention_dim": 10, "hidden_dim": 16}
HEADS = {"dim": 16, "n_heads": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "attention-on-attention": {**HEADS, "n_refining_layers": 1},
    "semantic-attention": {"dim": 16, "first_attribute": 3, "n_attributes": 8, "n_chosen": 4},
    "show-and-tell": {"embedding_dim": 16, "hidden_dim": 16},
    "transformer": {**HEADS, "n_layers": 1, "feed_forward_dim": 24, "max_length": LENGTH + 1},
    "x-lan": {**HEADS, "n_encoder_blocks": 1, "encoder_mid_dim": 6, "decoder_mid_dim": 5},
    "x-transformer": {**HEADS, "n_layers": 1, "n_encoder_layers": 1, "feed_forward_dim": 24, "max_length": LENGTH + 1},
}


@pytest.mark.parametrize("name", FAMILY)
def test_it_learns_and_writes_long_sequences_of_units(name: str) -> None:
    torch.manual_seed(0)
    decoder = build_captioner(
        GivenRegionsConfig(12), DecoderConfig(name, OPTIONS.get(name, ATTENTIVE)), len(UNITS), 32
    ).decoder
    regions = torch.randn(2, 4, 12)
    captions = [
        [*UNITS.encode(" ".join(str((i * step) % 20) for i in range(length))), UNITS.end]
        for step, length in ((3, LENGTH), (7, 41))
    ]
    inputs, targets = pad_captions(captions, UNITS, LENGTH + 1)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.01)
    losses = []
    for _ in range(4):
        loss = caption_cross_entropy(decoder(regions, None, inputs).logits, targets, UNITS.pad)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    found = describe(decoder.eval(), regions, UNITS, SearchConfig(beam_size=2, max_length=LENGTH, min_length=LENGTH))
    for best, *_ in found:
        assert len(best.ids) == LENGTH
        assert len(UNITS.decode(best.ids).split()) == LENGTH, "no padding, no start"
