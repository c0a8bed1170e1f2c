"""Pictures that are no photographs of anything, by family: what they are drawn by, and which split they belong to.

Whole families are kept out of training, so that the test split shows how a detector fares with kinds of pictures that
it has never seen.
"""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from optophone.data.drawn import charts, clip_art, codes, documents, drawings, noise, patterns, plain, symbols, windows
from optophone.data.drawn.canvas import Generator, Size, number

Draw = Callable[[Generator, Size], Image.Image]
SMALLEST, LARGEST = 96, 1100  # pixels, of the geometric mean of the sides


@dataclass(frozen=True)
class Family:
    """One kind of non-photograph.

    Args:
        name: of the family.
        draw: how one is drawn.
        split: "train", or "test" for families that no detector is trained on.
    """

    name: str
    draw: Draw
    split: Literal["train", "test"]


_TRAIN: tuple[Draw, ...] = (
    plain.blank, plain.linear_gradient, plain.radial_gradient, plain.stripes,
    noise.white_noise, noise.pink_noise, noise.coloured_noise, noise.salt_and_pepper,
    documents.page, documents.scanned_page, documents.letter, documents.table, documents.poster, documents.newspaper,
    documents.label,
    windows.terminal, windows.editor, windows.desktop, windows.web_page, windows.spreadsheet, windows.game,
    charts.bar_chart, charts.line_chart, charts.scatter_plot, charts.area_chart, charts.dashboard,
    codes.square_code, codes.fingerprint_of_colours,
    symbols.icon, symbols.icon_sheet, symbols.road_sign, symbols.pixel_art, symbols.button,
    drawings.flow_chart, drawings.network, drawings.street_map, drawings.contour_map, drawings.shapes,
    drawings.scribble, drawings.animal, drawings.pencil, drawings.painted, drawings.mathematics,
    patterns.checkerboard, patterns.tiles, patterns.cells, patterns.test_card, patterns.spirals,
    clip_art.shaded_icon, clip_art.clip_art, clip_art.boxes_in_space, clip_art.small_pictures,
)  # fmt: skip
_TEST: tuple[Draw, ...] = (
    plain.soft_blobs, noise.television_static, noise.clouds,
    documents.receipt, documents.slide, documents.form,
    windows.dialog, windows.telephone, windows.file_list,
    charts.pie_chart, charts.heat_map, charts.gauge, codes.bar_code, codes.dot_code,
    symbols.logo, symbols.face,
    drawings.sheet_music, drawings.crossword, drawings.circuit, drawings.floor_plan, drawings.cartoon, drawings.comic,
    patterns.moire, patterns.fractal, patterns.board_game, patterns.halftone,
)  # fmt: skip
FAMILIES: dict[str, Family] = {
    **{draw.__name__: Family(draw.__name__, draw, "train") for draw in _TRAIN},
    **{draw.__name__: Family(draw.__name__, draw, "test") for draw in _TEST},
}


def families(split: str) -> list[Family]:
    """The families of a split, in the order of the table."""
    return [family for family in FAMILIES.values() if family.split == split]


def draw_non_photograph(family: Family, index: int, seed: int = 0) -> Image.Image:
    """The picture number `index` of a family; the same numbers and the same fonts draw the same picture."""
    generator = np.random.default_rng([seed, zlib.crc32(family.name.encode()), index])
    mean_side, aspect = number(generator, SMALLEST, LARGEST), number(generator, 0.5, 2.0)
    size = (max(32, round(mean_side * aspect**0.5)), max(32, round(mean_side / aspect**0.5)))
    return family.draw(generator, size).convert("RGB")


def file_content(image: Image.Image, index: int) -> tuple[str, bytes]:
    """Suffix and content of the file that keeps an image: PNG, every third time JPEG of some quality."""
    buffer = io.BytesIO()
    if index % 3 == 2:
        image.save(buffer, "JPEG", quality=35 + (index * 7) % 60)
        return "jpg", buffer.getvalue()
    image.save(buffer, "PNG", compress_level=1)  # five times as fast as the default
    return "png", buffer.getvalue()
