"""A residual convolutional encoder: picture → grid of region features.

Small enough to train from nothing on two cores: basic residual blocks (He et al. 2016, figure 5 left) behind a
stride-2 stem, with the average-pooled shortcut of He et al. 2019 (ResNet-D, figure 2c), which keeps every position of
the input in the projection. Only 3 × 3 and 1 × 1 convolutions, batch norm and ReLU: what int8 runtimes do best.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class ResidualGridConfig:
    """Sizes of a `ResidualGrid`.

    Args:
        widths: channels of each stage; the first stage keeps the stem's resolution, each later one halves it.
        depths: residual blocks of each stage.
        stem_stride: stride of the stem convolution.
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    stem_stride: int = 2

    @property
    def n_features(self) -> int:
        """D, the features of a region."""
        return self.widths[-1]

    @property
    def stride(self) -> int:
        """Picture pixels per grid cell, along one side."""
        return self.stem_stride * 2 ** (len(self.widths) - 1)

    def grid_for(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the regions of a picture of `height` × `width` pixels."""
        return height // self.stride, width // self.stride


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions around a shortcut (He et al. 2016, equation 2)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        nn.init.zeros_(self.norm2.weight)  # a block starts as its shortcut (Goyal et al. 2017, section 5.1)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            pool = nn.AvgPool2d(stride) if stride != 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H / stride, W / stride)."""
        hidden = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


class ResidualGrid(nn.Module):
    """Picture (B, 3, H, W) → regions (B, R, D), row by row over a grid of `config.stride` pixels."""

    def __init__(self, config: ResidualGridConfig) -> None:
        super().__init__()
        assert len(config.widths) == len(config.depths), "one depth per width"
        self.config = config
        width = config.widths[0]
        kernel = 2 * config.stem_stride + 1
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, kernel, config.stem_stride, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        for stage, (n_out, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            for i in range(depth):
                blocks.append(ResidualBlock(width, n_out, 2 if i == 0 and stage > 0 else 1))
                width = n_out
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def grid(self, picture: Tensor) -> Tensor:
        """Feature map (B, D, H / stride, W / stride) of a normalised picture (B, 3, H, W).

        Raises:
            ConfigurationError: H or W is no multiple of the stride, so that shortcuts would miss the last cells.
        """
        height, width = picture.shape[2:]
        if height % self.config.stride or width % self.config.stride:
            raise ConfigurationError(
                f"Pictures of {width} x {height} pixels do not fit an encoder with a stride of {self.config.stride}; "
                "make the sizes multiples of it."
            )
        return self.blocks(self.stem(picture))

    def forward(self, picture: Tensor) -> Tensor:
        """Regions (B, R, D) of a normalised picture (B, 3, H, W), R = rows · columns, row by row."""
        return self.grid(picture).flatten(2).transpose(1, 2)


class PictureClassifier(nn.Module):
    """An encoder under a linear classifier over the mean region: how encoders are pretrained."""

    def __init__(self, encoder: ResidualGrid, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(encoder.config.n_features, n_classes)

    def forward(self, picture: Tensor) -> Tensor:
        """Class logits (B, n_classes) of a normalised picture (B, 3, H, W)."""
        return self.classify(self.dropout(self.encoder.grid(picture).mean((2, 3))))
