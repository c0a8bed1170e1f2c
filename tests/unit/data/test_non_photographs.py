"""Drawn pictures: every family draws, always the same, at any size; histories keep what a picture is."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from optophone.data.drawn import canvas
from optophone.data.non_photographs import FAMILIES, draw_non_photograph, families, file_content
from optophone.data.picture_history import with_history


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_draws_the_same_again_and_something_else_next(name: str) -> None:
    draw = FAMILIES[name].draw
    images = []
    for seed in (1, 1, 2, 3, 4):
        images.append(draw(np.random.default_rng([seed, zlib.crc32(name.encode())]), (90, 60)))
        assert images[-1].mode == "RGB"
        assert min(images[-1].size) >= 16
    contents = [image.tobytes() for image in images]
    assert contents[0] == contents[1]
    assert len(set(contents)) >= 3


def test_families_stand_in_one_split() -> None:
    train, test = ({family.name for family in families(split)} for split in ("train", "test"))
    assert not train & test
    assert len(train) > 40
    assert len(test) > 20
    assert train | test == set(FAMILIES)


def test_numbers_decide_the_picture() -> None:
    family = FAMILIES["shapes"]
    first, again, other = (draw_non_photograph(family, i, seed) for i, seed in ((3, 0), (3, 0), (3, 1)))
    assert first.tobytes() == again.tobytes()
    assert first.size != other.size


def test_files_are_png_and_jpeg() -> None:
    image = draw_non_photograph(FAMILIES["stripes"], 0)
    kinds = [file_content(image, index)[0] for index in range(3)]
    assert kinds == ["png", "png", "jpg"]
    for kind, content in (file_content(image, index) for index in range(3)):
        assert Image.open(io.BytesIO(content)).size == image.size, kind


def test_without_fonts_the_one_of_pillow_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "font_files", tuple)
    image = FAMILIES["page"].draw(np.random.default_rng(0), (200, 200))
    assert len(set(np.asarray(image).reshape(-1, 3).sum(1))) > 2


def photograph() -> Image.Image:
    generator = np.random.default_rng(0)
    return canvas.from_values(200 * canvas.smooth_field(generator, (160, 120), 5)[..., None] + np.zeros(3))


def test_histories_differ_and_are_the_same_again() -> None:
    image = photograph()
    sizes, contents = set(), set()
    for seed in range(40):
        aged = with_history(image, np.random.default_rng(seed), is_photograph=True)
        assert aged.mode == "RGB"
        assert min(aged.size) >= 8
        sizes.add(aged.size)
        contents.add(aged.tobytes())
    assert len(sizes) > 20
    assert len(contents) > 25
    assert image.tobytes() in contents  # some stay as they were
    again = with_history(image, np.random.default_rng(3), is_photograph=True)
    assert again.tobytes() == with_history(image, np.random.default_rng(3), is_photograph=True).tobytes()


def test_the_smallest_picture_survives_its_history() -> None:
    for seed in range(30):
        with_history(Image.new("RGB", (1, 3)), np.random.default_rng(seed), is_photograph=True)
