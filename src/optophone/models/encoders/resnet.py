"""The residual network of the public ImageNet weights: picture → grid of region features.

Parameters and buffers carry the names of torchvision's state dictionaries, so that those weights load as they are. The
classifier at their end (`fc`) is left out: a captioner reads the grid before it.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError


class Depth(NamedTuple):
    """Residual blocks of each stage, and of which kind."""

    blocks: tuple[int, ...]
    bottleneck: bool


# He et al. 2016, table 1.
DEPTHS = {
    18: Depth((2, 2, 2, 2), False),
    34: Depth((3, 4, 6, 3), False),
    50: Depth((3, 4, 6, 3), True),
    101: Depth((3, 4, 23, 3), True),
    152: Depth((3, 8, 36, 3), True),
}


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a `ResNet`.

    Args:
        depth: 18, 34, 50, 101 or 152 layers as published; None where `blocks` and `bottleneck` say it.
        blocks: residual blocks of each stage; the first stage keeps the stem's resolution, each later one halves it.
        bottleneck: blocks of 1 × 1, 3 × 3, 1 × 1 convolutions instead of two 3 × 3.
        stem_width: channels of the first convolution.
        widths: channels of the 3 × 3 convolutions of each stage.
        expansion: channels that leave a bottleneck, per channel of its 3 × 3 convolution.
        groups: of the 3 × 3 convolutions of bottlenecks (Xie et al. 2017, "ResNeXt").
        grid: rows and columns that the regions are averaged to, whatever the size of the picture; None leaves them.
        name: tells this encoder from others in a configuration.

    Raises:
        ConfigurationError: no such depth, depth and blocks both or neither, or stages without a width.
    """

    depth: int | None = None
    blocks: tuple[int, ...] | None = None
    bottleneck: bool | None = None
    stem_width: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512)
    expansion: int = 4
    groups: int = 1
    grid: tuple[int, int] | None = None
    name: Literal["resnet"] = "resnet"

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        free = self.blocks is not None and self.bottleneck is not None
        if (self.depth is None) != free or (not free and (self.blocks, self.bottleneck) != (None, None)):
            raise ConfigurationError("resnet: give either depth, or blocks and bottleneck.")
        if self.depth is not None and self.depth not in DEPTHS:
            raise ConfigurationError(f"resnet: depth {self.depth} is not one of {', '.join(map(str, DEPTHS))}.")
        if len(self.kind.blocks) != len(self.widths) or min(self.kind.blocks, default=0) < 1:
            raise ConfigurationError("resnet: give one width per stage, and each stage at least one block.")
        if self.grid is not None and min(self.grid) < 1:
            raise ConfigurationError(f"resnet: a grid of {self.grid[0]} x {self.grid[1]} regions has none.")

    @property
    def kind(self) -> Depth:
        """Blocks of each stage, and of which kind."""
        if self.depth is not None:
            return DEPTHS[self.depth]
        assert self.blocks is not None
        assert self.bottleneck is not None
        return Depth(self.blocks, self.bottleneck)

    @property
    def n_features(self) -> int:
        """D, the features of a region."""
        return self.widths[-1] * (self.expansion if self.kind.bottleneck else 1)

    @property
    def stride(self) -> int:
        """Picture pixels per cell of the network's own grid, along one side."""
        return 4 * 2 ** (len(self.widths) - 1)

    def grid_for(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the regions of a picture of `height` × `width` pixels."""
        return self.grid or (-(-height // self.stride), -(-width // self.stride))


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions around a shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn2.weight)  # a block starts as its shortcut (Goyal et al. 2017, section 5.1)
        self.downsample = projection(n_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        hidden = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(hidden)) + shortcut).relu()


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions around a shortcut (He et al. 2016, figure 5 right).

    The stride is that of the 3 × 3 convolution, as the public weights were trained (their "v1.5"), not of the first
    1 × 1 as in the paper.
    """

    def __init__(self, n_in: int, width: int, stride: int, expansion: int, groups: int) -> None:
        super().__init__()
        n_out = width * expansion
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        nn.init.zeros_(self.bn3.weight)  # a block starts as its shortcut (Goyal et al. 2017, section 5.1)
        self.downsample = projection(n_in, n_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        hidden = self.bn1(self.conv1(x)).relu()
        hidden = self.bn2(self.conv2(hidden)).relu()
        return (self.bn3(self.conv3(hidden)) + shortcut).relu()


def projection(n_in: int, n_out: int, stride: int) -> nn.Sequential | None:
    """The shortcut where a block changes size (He et al. 2016, option B); None where it does not."""
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


class ResNet(nn.Module):
    """Picture (B, 3, H, W) → regions (B, R, D), row by row.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition". Proof against another reading:
    tests/unit/models/encoders/test_resnet.py
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(3, config.stem_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layers = [f"layer{i}" for i in range(1, len(config.widths) + 1)]
        n_in = config.stem_width
        for i, name in enumerate(self.layers):
            stage, n_in = self._stage(i, n_in)
            self.add_module(name, stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, i: int, n_in: int) -> tuple[nn.Sequential, int]:
        """Stage `i`, counted from 0, and the channels that leave it."""
        config, width = self.config, self.config.widths[i]
        blocks: list[nn.Module] = []
        for j in range(config.kind.blocks[i]):
            stride = 2 if i > 0 and j == 0 else 1
            if config.kind.bottleneck:
                blocks.append(Bottleneck(n_in, width, stride, config.expansion, config.groups))
                n_in = width * config.expansion
            else:
                blocks.append(BasicBlock(n_in, width, stride))
                n_in = width
        return nn.Sequential(*blocks), n_in

    def grid(self, picture: Tensor) -> Tensor:
        """Feature map (B, D, rows, columns) of a normalised picture (B, 3, H, W)."""
        hidden = self.maxpool(self.bn1(self.conv1(picture)).relu())
        for name in self.layers:
            hidden = self.get_submodule(name)(hidden)
        return hidden if self.config.grid is None else average_to(hidden, self.config.grid)

    def forward(self, picture: Tensor) -> Tensor:
        """Regions (B, R, D) of a normalised picture (B, 3, H, W), R = rows · columns, row by row."""
        return self.grid(picture).flatten(2).transpose(1, 2)


def average_to(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, D, H, W) averaged to (B, D, *size): adaptive average pooling, up as well as down.

    Two products with constant matrices; the operator of the same name exports to ONNX for divisible sizes only.
    """
    rows = averaging_matrix(int(grid.shape[2]), size[0]).to(grid)
    columns = averaging_matrix(int(grid.shape[3]), size[1]).to(grid)
    return rows @ grid @ columns.T


def averaging_matrix(n_in: int, n_out: int) -> Tensor:
    """(n_out, n_in): row i averages the inputs from ⌊i · n_in / n_out⌋ up to, without, ⌈(i + 1) · n_in / n_out⌉."""
    matrix = torch.zeros(n_out, n_in)
    for i in range(n_out):
        first, end = i * n_in // n_out, -(-(i + 1) * n_in // n_out)
        matrix[i, first:end] = 1 / (end - first)
    return matrix
