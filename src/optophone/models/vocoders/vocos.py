"""Vocos: a network at the rate of frames whose spectra an inverse Fourier transform makes audible."""

from dataclasses import dataclass

from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.conv_next import ConvNeXtLayer
from optophone.models.vocoders.inverse_transform import InverseTransform

_LARGEST_LOG_MAGNITUDE = 7.0  # a full-scale sine has ln 256 = 5.5 in 1,024 samples


@dataclass(frozen=True)
class VocosConfig:
    """Sizes of a `Vocos`; the published one has dim 512, hidden_dim 1536 and 8 layers.

    Args:
        n_mels: bands of a frame.
        hop_length: samples of a frame.
        n_fft: samples of a transform.
        dim, hidden_dim: features of a frame between and inside the layers.
        n_layers: ConvNeXt layers.
        kernel_size: frames that a layer sees, odd.
    """

    n_mels: int = 80
    hop_length: int = 256
    n_fft: int = 1024
    dim: int = 256
    hidden_dim: int = 768
    n_layers: int = 6
    kernel_size: int = 7

    def __post_init__(self) -> None:
        """Refuse sizes that no Vocos has."""
        if self.kernel_size % 2 == 0:
            raise ConfigurationError(f"VocosConfig.kernel_size is {self.kernel_size}; give an odd number.")
        for name in ("n_mels", "hop_length", "n_fft", "dim", "hidden_dim", "n_layers"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"VocosConfig.{name} is {getattr(self, name)}; give at least 1.")

    @property
    def context_frames(self) -> int:
        """Frames to either side that the samples of a frame depend on."""
        return (self.n_layers + 1) * (self.kernel_size // 2) + self.n_fft // self.hop_length // 2


class Vocos(nn.Module):
    """Mel → wave. Nothing runs at the rate of samples but the inverse transform, so it is quick on any processor.

    Source: Siuzdak 2023, "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders", section 3.
    """

    def __init__(self, config: VocosConfig) -> None:
        super().__init__()
        self.config = config
        dim, margin = config.dim, config.kernel_size // 2
        self.embedding = nn.Conv1d(config.n_mels, dim, config.kernel_size, padding=margin)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.layers = nn.ModuleList(
            ConvNeXtLayer(dim, config.hidden_dim, config.kernel_size, 1 / config.n_layers)
            for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, config.n_fft + 2)
        self.inverse = InverseTransform(config.n_fft, config.hop_length)
        self.apply(_initialise)

    def forward(self, mel: Tensor) -> Tensor:
        """The wave (B, T * hop_length), not limited, of `mel` (B, M, T): frame i has samples i * hop_length on."""
        real, imaginary = self.spectra(mel)
        return self.inverse(real, imaginary)

    def spectra(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts (B, T, n_fft // 2 + 1) float32.

        The phase is the angle whose cosine and sine are taken, so it wraps by itself (section 3.3).
        """
        x = self.norm(self.embedding(mel).transpose(1, 2))
        for layer in self.layers:
            x = layer(x)
        # In full precision from here, also under autocast: an angle has many turns.
        log_magnitude, angle = self.head(self.final_norm(x)).float().chunk(2, dim=2)
        magnitude = log_magnitude.clamp(max=_LARGEST_LOG_MAGNITUDE).exp()
        return magnitude * angle.cos(), magnitude * angle.sin()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
