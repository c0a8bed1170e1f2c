"""Networks that tell spoken mels from true ones, for training voices against them."""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from optophone.models.verdict import SLOPE, Verdict, verdict_of

_USUAL_LEVEL, _USUAL_SPREAD = -5.0, 3.0  # of mels, in ln units


@dataclass(frozen=True)
class MelDiscriminatorsConfig:
    """How mels are looked at.

    Args:
        channels: after each layer of a network; each but the first halves bands and frames.
        kernels: bands and frames that the first layer sees, odd; one network for each pair.
    """

    channels: tuple[int, ...] = (16, 32, 64, 64)
    kernels: tuple[tuple[int, int], ...] = ((3, 9), (9, 3))


class MelDiscriminators(nn.Module):
    """Several networks that see a mel as a picture, some along the bands and some along the frames.

    Source: the patches of Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
    section 3.2.2; for mels as in Yang et al. 2021, "GANSpeech", section 2.2.
    """

    def __init__(self, config: MelDiscriminatorsConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(MelDiscriminator(config.channels, kernel) for kernel in config.kernels)

    def forward(self, mel: Tensor) -> list[Verdict]:
        """A verdict of each on mels (B, M, T)."""
        return [member(mel) for member in self.members]


class MelDiscriminator(nn.Module):
    """One of them; `kernel` is of its first layer, bands and frames."""

    def __init__(self, channels: tuple[int, ...], kernel: tuple[int, int]) -> None:
        super().__init__()
        first = nn.Conv2d(1, channels[0], kernel, padding=(kernel[0] // 2, kernel[1] // 2))
        others = [nn.Conv2d(given, made, 3, 2, 1) for given, made in pairwise(channels)]
        self.layers = nn.ModuleList(weight_norm(_loud(layer)) for layer in (first, *others))
        self.end = weight_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, mel: Tensor) -> Verdict:
        """The verdict on mels (B, M, T)."""
        return verdict_of(self.layers, self.end, ((mel - _USUAL_LEVEL) / _USUAL_SPREAD)[:, None])


def _loud(layer: nn.Conv2d) -> nn.Conv2d:
    """Give out as much as comes in.

    PyTorch's own beginning halves it in each layer; judges that heard so little of a mel were undecided for hundreds of
    steps.
    """
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    return layer
