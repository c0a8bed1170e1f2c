"""A captioner from names and options: the one place that knows the members of the family."""

from dataclasses import dataclass, field
from typing import Any

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.captioners.captioner import Captioner
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig
from optophone.models.encoders.residual_grid import ResidualGrid, ResidualGridConfig


@dataclass(frozen=True)
class DecoderConfig:
    """Which decoder, and its options as its own configuration names them.

    Args:
        name: "show-attend-tell" or "transformer".
        options: of `ShowAttendTellConfig` or `TransformerCaptionerConfig`; the sizes that follow from vocabulary and
            encoder (n_symbols, region_dim, grid) are filled in.
    """

    name: str = "show-attend-tell"
    options: dict[str, Any] = field(default_factory=dict)


def build_decoder(
    config: DecoderConfig, n_symbols: int, region_dim: int, grid: tuple[int, int]
) -> ShowAttendTell | TransformerCaptioner:
    """The decoder of `config`.

    Args:
        n_symbols: V.
        region_dim: D of the regions it reads.
        grid: rows and columns of the regions.

    Raises:
        ConfigurationError: no such decoder, or an option it does not know.
    """
    sizes = {"n_symbols": n_symbols, "region_dim": region_dim}
    if config.name == "show-attend-tell":
        options = from_mapping(ShowAttendTellConfig, {**config.options, **sizes}, "decoder.options")
        return ShowAttendTell(options)
    if config.name == "transformer":
        sized = {**config.options, **sizes, "grid": grid}
        return TransformerCaptioner(from_mapping(TransformerCaptionerConfig, sized, "decoder.options"))
    raise ConfigurationError(f"decoder: {config.name!r} is not one of show-attend-tell, transformer.")


def build_captioner(encoder: ResidualGridConfig, decoder: DecoderConfig, n_symbols: int, size: int) -> Captioner:
    """Encoder and decoder with new weights.

    Args:
        size: height and width of the pictures in pixels, a multiple of the encoder's stride.
    """
    side = size // encoder.stride
    return Captioner(ResidualGrid(encoder), build_decoder(decoder, n_symbols, encoder.n_features, (side, side)))
