"""Captioners from names and options."""

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.build import FAMILY, DecoderConfig, build_captioner, build_decoder
from optophone.models.captioners.show_attend_tell import ShowAttendTell
from optophone.models.captioners.transformer import TransformerCaptioner
from optophone.models.encoders.residual_grid import ResidualGridConfig

ENCODER = ResidualGridConfig((4, 6), (1, 1))  # stride 4
TRANSFORMER = DecoderConfig("transformer", {"dim": 8, "n_heads": 2, "n_layers": 1, "feed_forward_dim": 8})
SHOW = DecoderConfig("show-attend-tell", {"embedding_dim": 8, "attention_dim": 6, "hidden_dim": 8})


@pytest.mark.parametrize(("config", "kind"), [(SHOW, ShowAttendTell), (TRANSFORMER, TransformerCaptioner)])
def test_sizes_follow_from_vocabulary_encoder_and_pictures(config: DecoderConfig, kind: type) -> None:
    model = build_captioner(ENCODER, config, n_symbols=11, size=20).eval()
    assert isinstance(model.decoder, ShowAttendTell | TransformerCaptioner)
    assert type(model.decoder) is kind
    assert (model.decoder.config.n_symbols, model.decoder.config.region_dim) == (11, 6)
    output = model(torch.randn(2, 3, 20, 20), torch.ones(6, 4, dtype=torch.long), 3)
    assert output.logits.shape == (6, 4, 11)
    assert output.attention.shape == (6, 4, 25)


def test_the_transformer_knows_its_grid() -> None:
    """20 pixels at a stride of 4 are 5 by 5 regions, and pictures of other sizes are welcome."""
    model = build_captioner(ENCODER, TRANSFORMER, n_symbols=11, size=20)
    assert isinstance(model.decoder, TransformerCaptioner)
    assert model.decoder.config.grid == (5, 5)
    assert model(torch.randn(1, 3, 32, 32), torch.ones(1, 2, dtype=torch.long)).attention.shape == (1, 2, 64)


def test_options_reach_the_decoder() -> None:
    decoder = build_decoder(DecoderConfig("transformer", {**TRANSFORMER.options, "dropout": 0.4}), 9, 5, (2, 3))
    assert isinstance(decoder, TransformerCaptioner)
    assert (decoder.config.dropout, decoder.config.grid) == (0.4, (2, 3))


def test_the_default_is_a_member() -> None:
    assert isinstance(build_decoder(DecoderConfig(), 9, 5, (1, 1)), ShowAttendTell)


def test_unknown_decoders_are_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=f"'lstm' is not one of {', '.join(FAMILY)}"):
        build_decoder(DecoderConfig("lstm"), 9, 5, (1, 1))


@pytest.mark.parametrize("config", [SHOW, TRANSFORMER], ids=lambda config: config.name)
def test_unknown_options_are_named(config: DecoderConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"decoder\.options: unknown option 'layers'"):
        build_decoder(DecoderConfig(config.name, {**config.options, "layers": 2}), 9, 5, (1, 1))
