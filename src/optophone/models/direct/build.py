"""A direct model from a name and options: the one place that knows the members of the family."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.models.direct.direct import Direct
from optophone.models.direct.frame_transformer import FrameTransformer, FrameTransformerConfig
from optophone.models.direct.interface import Ends
from optophone.models.direct.joint import Joint, JointConfig
from optophone.models.direct.show_and_speak import ShowAndSpeak, ShowAndSpeakConfig
from optophone.models.encoders.build import EncoderConfig, build_encoder


class Member(NamedTuple):
    """A speaker's configuration class and its class, which takes that configuration and `Ends`."""

    config: type
    speaker: type[nn.Module]


FAMILY: dict[str, Member] = {
    "joint": Member(JointConfig, Joint),
    "show-and-speak": Member(ShowAndSpeakConfig, ShowAndSpeak),
    "transformer": Member(FrameTransformerConfig, FrameTransformer),
}


@dataclass(frozen=True)
class DirectConfig:
    """Which direct model, and its options as its own configuration names them.

    Args:
        name: a key of `FAMILY`.
        options: of that member's configuration.

    Raises:
        ConfigurationError: no such model, or an option it does not know.
    """

    name: str = "joint"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no member knows."""
        self.typed()

    def typed(self) -> Any:
        """The member's own configuration."""
        if self.name not in FAMILY:
            raise ConfigurationError(f"model: {self.name!r} is not one of {', '.join(FAMILY)}.")
        return from_mapping(FAMILY[self.name].config, self.options, "model.options")


def build_direct(
    encoder: EncoderConfig, config: DirectConfig, mel: MelSpec, size: int, vocabulary: Vocabulary | None = None
) -> Direct:
    """Encoder and speaker with new weights.

    Args:
        mel: layout of the frames.
        size: height and width of the pictures in pixels, a multiple of the encoder's stride.
        vocabulary: of the units, for members that go by way of them.

    Raises:
        ConfigurationError: the member needs units and there are none.
    """
    ends = Ends(encoder.n_features, encoder.grid_for(size, size), mel, vocabulary)
    return Direct(build_encoder(encoder), FAMILY[config.name].speaker(config.typed(), ends))
