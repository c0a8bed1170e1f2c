"""A captioner from names and options: the one place that knows the members of the family."""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from torch import nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.adaptive_attention import AdaptiveAttention, AdaptiveAttentionConfig
from optophone.models.captioners.attention_on_attention import AttentionOnAttention, AttentionOnAttentionConfig
from optophone.models.captioners.bottleneck import BottleneckConfig, BottleneckedDecoder
from optophone.models.captioners.captioner import Captioner
from optophone.models.captioners.hard_attend_tell import HardAttendTell, HardAttendTellConfig
from optophone.models.captioners.look_back_predict_forward import LookBackPredictForward, LookBackPredictForwardConfig
from optophone.models.captioners.semantic_attention import SemanticAttention, SemanticAttentionConfig
from optophone.models.captioners.show_and_tell import ShowAndTell, ShowAndTellConfig
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.top_down import TopDown, TopDownConfig
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig
from optophone.models.captioners.x_transformer import XTransformer, XTransformerConfig
from optophone.models.captioners.xlan import XLan, XLanConfig
from optophone.models.encoders.build import EncoderConfig, build_encoder


class Member(NamedTuple):
    """A decoder's configuration class and its class, which takes that configuration."""

    config: type
    decoder: type[nn.Module]


FAMILY: dict[str, Member] = {
    "adaptive-attention": Member(AdaptiveAttentionConfig, AdaptiveAttention),
    "attention-on-attention": Member(AttentionOnAttentionConfig, AttentionOnAttention),
    "hard-attend-tell": Member(HardAttendTellConfig, HardAttendTell),
    "look-back-predict-forward": Member(LookBackPredictForwardConfig, LookBackPredictForward),
    "semantic-attention": Member(SemanticAttentionConfig, SemanticAttention),
    "show-and-tell": Member(ShowAndTellConfig, ShowAndTell),
    "top-down": Member(TopDownConfig, TopDown),
    "show-attend-tell": Member(ShowAttendTellConfig, ShowAttendTell),
    "transformer": Member(TransformerCaptionerConfig, TransformerCaptioner),
    "x-lan": Member(XLanConfig, XLan),
    "x-transformer": Member(XTransformerConfig, XTransformer),
}


@dataclass(frozen=True)
class DecoderConfig:
    """Which decoder, and its options as its own configuration names them.

    Args:
        name: a key of `FAMILY`.
        options: of that member's configuration; the sizes that follow from vocabulary and encoder (n_symbols,
            region_dim, and grid where it has one) are filled in.
        bottleneck: what pictures go through before it; None for nothing.
    """

    name: str = "show-attend-tell"
    options: dict[str, Any] = field(default_factory=dict)
    bottleneck: BottleneckConfig | None = None


def build_decoder(config: DecoderConfig, n_symbols: int, region_dim: int, grid: tuple[int, int] | None) -> nn.Module:
    """The decoder of `config`: an nn.Module with the methods of `CaptionDecoder`.

    Args:
        n_symbols: V.
        region_dim: D of the regions it reads.
        grid: rows and columns of the regions; None where they have no order.

    Raises:
        ConfigurationError: no such decoder, or an option it does not know.
    """
    if config.name not in FAMILY:
        raise ConfigurationError(f"decoder: {config.name!r} is not one of {', '.join(FAMILY)}.")
    member = FAMILY[config.name]
    sizes: dict[str, Any] = {"n_symbols": n_symbols, "region_dim": region_dim}
    if "grid" in {option.name for option in fields(member.config)}:
        sizes["grid"] = grid
    decoder = member.decoder(from_mapping(member.config, {**config.options, **sizes}, "decoder.options"))
    return BottleneckedDecoder(decoder, config.bottleneck, region_dim) if config.bottleneck else decoder


def build_captioner(encoder: EncoderConfig, decoder: DecoderConfig, n_symbols: int, size: int) -> Captioner:
    """Encoder and decoder with new weights.

    Args:
        size: height and width of the pictures in pixels, a multiple of the encoder's stride.
    """
    grid = encoder.grid_for(size, size)
    return Captioner(build_encoder(encoder), build_decoder(decoder, n_symbols, encoder.n_features, grid))
