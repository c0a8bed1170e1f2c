"""The residual encoder: a grid of regions, row by row, each of its own part of the picture."""

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.encoders.residual_grid import PictureClassifier, ResidualBlock, ResidualGrid, ResidualGridConfig

TINY = ResidualGridConfig(widths=(4, 6, 8), depths=(1, 2, 1), stem_stride=2)


def build(config: ResidualGridConfig = TINY) -> ResidualGrid:
    torch.manual_seed(0)
    return ResidualGrid(config).eval()


@pytest.mark.parametrize(
    ("config", "stride", "n_features"),
    [
        (ResidualGridConfig(), 16, 384),
        (TINY, 8, 8),
        (ResidualGridConfig((5,), (1,), stem_stride=1), 1, 5),
        (ResidualGridConfig((5, 7), (2, 1), stem_stride=4), 8, 7),
    ],
)
def test_stride_and_features_are_what_comes_out(config: ResidualGridConfig, stride: int, n_features: int) -> None:
    assert (config.stride, config.n_features) == (stride, n_features)
    small = ResidualGridConfig(tuple(min(width, 8) for width in config.widths), config.depths, config.stem_stride)
    assert build(small).grid(torch.zeros(1, 3, 2 * stride, 3 * stride)).shape == (1, small.n_features, 2, 3)


def test_regions_are_the_grid_row_by_row() -> None:
    model, pictures = build(), torch.randn(2, 3, 16, 24)
    grid, regions = model.grid(pictures), model(pictures)
    assert regions.shape == (2, 6, 8)
    for row in range(2):
        for column in range(3):
            torch.testing.assert_close(regions[:, row * 3 + column], grid[:, :, row, column])


@pytest.mark.parametrize(("height", "width"), [(17, 16), (16, 20)])
def test_sides_that_are_no_multiple_of_the_stride_are_refused(height: int, width: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{width} x {height} .* stride of 8"):
        build()(torch.zeros(1, 3, height, width))


def test_pictures_do_not_see_each_other() -> None:
    model, pictures = build(), torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(model(pictures)[1], model(pictures[1:2])[0])


def test_a_region_looks_at_its_part_of_the_picture() -> None:
    model = build(ResidualGridConfig((4, 6), (1, 1)))
    picture = torch.randn(1, 3, 64, 64, requires_grad=True)
    regions = model(picture)
    corner = torch.autograd.grad(regions[0, 0].sum(), picture)[0].abs().sum((0, 1))
    assert corner[:4, :4].sum() > 0
    assert corner[32:].sum() == 0
    assert corner[:, 32:].sum() == 0


def test_a_block_starts_as_its_shortcut() -> None:
    block = ResidualBlock(4, 4, 1).eval()
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), x.relu())
    halved = ResidualBlock(4, 6, 2).eval()
    torch.testing.assert_close(halved(x), halved.shortcut(x).relu())


def test_every_parameter_learns() -> None:
    model = build().train()
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            torch.nn.init.ones_(module.norm2.weight)  # open the residual branches, which start at 0
    (model(torch.randn(4, 3, 16, 16)) * torch.randn(4, 4, 8)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_configuration_survives_json() -> None:
    assert from_mapping(ResidualGridConfig, to_mapping(TINY)) == TINY


def test_one_depth_for_each_width() -> None:
    with pytest.raises(AssertionError, match="depth"):
        ResidualGrid(ResidualGridConfig((4, 6), (1,)))


def test_the_classifier_reads_the_mean_region() -> None:
    classifier = PictureClassifier(build(), n_classes=5, dropout=0.5).eval()
    pictures = torch.randn(2, 3, 16, 24)
    expected = classifier.classify(classifier.encoder(pictures).mean(1))
    assert expected.shape == (2, 5)
    torch.testing.assert_close(classifier(pictures), expected)
    assert not torch.equal(classifier.train().dropout(torch.ones(9)), torch.ones(9))
