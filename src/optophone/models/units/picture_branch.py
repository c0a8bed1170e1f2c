"""The half that sees: an encoder and a 1 × 1 convolution into the space that it shares with speech."""

from torch import Tensor, nn

from optophone.models.encoders.build import EncoderConfig, build_encoder


class PictureBranch(nn.Module):
    """Pictures (B, 3, H, W) → regions (B, R, n_features) in the space that speech shares."""

    def __init__(self, encoder: EncoderConfig, n_features: int) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder)
        self.embedder = nn.Linear(encoder.n_features, n_features)  # over regions, it is a 1 × 1 convolution

    def forward(self, pictures: Tensor) -> Tensor:
        """Regions (B, R, n_features) of pictures, or of regions (B, R, D) that the encoder made beforehand."""
        return self.embedder(pictures if pictures.ndim == 3 else self.encoder(pictures))
