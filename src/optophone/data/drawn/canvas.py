"""Colours, fonts and words that drawings draw from."""

import functools
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Size = tuple[int, int]
Generator = np.random.Generator
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "C:/Windows/Fonts")
_MOST_FONTS = 60
_SCRIPTS = (
    ("bcdfghjklmnprstvwz", "aeiou"),
    ("bcdfghjklmnprstvwz", "aeiou"),
    ("bcdfghjklmnprstvwz", "aeiou"),
    ("бвгджзклмнпрст", "аеиоуя"),
    ("βγδζθκλμνπρστ", "αεηιου"),
)


@functools.cache
def font_files() -> tuple[str, ...]:
    """TrueType files of this machine, in the order of their names; none is needed."""
    folders = [*map(Path, _FONT_FOLDERS), *(Path(path) / "matplotlib/mpl-data/fonts" for path in sys.path)]
    found = {path.name: str(path) for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*.ttf"))}
    return tuple(found[name] for name in sorted(found))[:_MOST_FONTS]


def font(generator: Generator, size: float, monospaced: bool = False) -> Font:
    """A font of `size` pixels: one of the machine's, or the one that comes with Pillow."""
    files = font_files()
    if monospaced:
        files = tuple(name for name in files if "mono" in name.lower() or "tt" in Path(name).stem.lower()[-4:])
    choice = int(generator.integers(len(files) + 1))
    return _load_font(files[choice] if choice < len(files) else "", max(6, round(size)))


@functools.lru_cache(maxsize=256)
def _load_font(name: str, size: int) -> Font:
    if name:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            pass  # a file that is no font after all
    return ImageFont.load_default(size)


def sheet(size: Size, colour: Colour = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty image and what draws on it."""
    image = Image.new("RGB", size, colour)
    return image, ImageDraw.Draw(image)


def colour(generator: Generator) -> Colour:
    """Any colour."""
    return _as_colour(generator.integers(0, 256, 3))


def light(generator: Generator) -> Colour:
    """The colour of a paper or of a bright window; plain white half of the time."""
    if generator.random() < 0.5:
        return WHITE
    return _as_colour(255 - generator.integers(0, 60) * generator.random(3))


def dark(generator: Generator) -> Colour:
    """The colour of ink or of a dark window; plain black one time out of three."""
    if generator.random() < 0.33:
        return BLACK
    return _as_colour(generator.integers(0, 90, 3))


def vivid(generator: Generator) -> Colour:
    """A saturated colour."""
    values = np.array([generator.integers(180, 256), generator.integers(0, 90), generator.integers(0, 256)])
    return _as_colour(generator.permutation(values))


def paper_and_ink(generator: Generator, share_dark: float = 0.15) -> tuple[Colour, Colour]:
    """Two colours that can be told apart: light and dark, or dark and light."""
    pair = light(generator), dark(generator)
    return pair[::-1] if generator.random() < share_dark else pair


def between(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from `a` to `b`."""
    return _as_colour(np.array(a) * (1 - share) + np.array(b) * share)


def palette(generator: Generator, n: int) -> list[Colour]:
    """`n` colours that were chosen together: all vivid, all pale, or shades of one."""
    style = generator.integers(3)
    if style == 0:
        return [vivid(generator) for _ in range(n)]
    if style == 1:
        return [between(vivid(generator), WHITE, 0.5) for _ in range(n)]
    first, last = vivid(generator), colour(generator)
    return [between(first, last, i / max(n - 1, 1)) for i in range(n)]


def _as_colour(values: np.ndarray) -> Colour:
    red, green, blue = (int(value) for value in np.clip(values, 0, 255))
    return red, green, blue


def number(generator: Generator, low: float, high: float) -> float:
    """A number between, small ones as likely as large ones (log-uniform); both above 0."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def whole(generator: Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(generator.integers(low, max(low, high) + 1))


def word(generator: Generator, script: int = 0) -> str:
    """Something that looks like a word."""
    consonants, vowels = _SCRIPTS[script]
    syllables = [
        consonants[generator.integers(len(consonants))] + vowels[generator.integers(len(vowels))]
        for _ in range(generator.integers(1, 5))
    ]
    return "".join(syllables) + ("" if generator.random() < 0.6 else consonants[generator.integers(len(consonants))])


def words(generator: Generator, n: int) -> str:
    """`n` words in one script, with figures and capitals among them."""
    script = int(generator.integers(len(_SCRIPTS)))
    made = []
    for _ in range(n):
        kind = generator.random()
        text = str(generator.integers(2, 3000)) if kind < 0.06 else word(generator, script)
        made.append(text.capitalize() if kind > 0.85 else text)
    return " ".join(made)


def paragraph(
    draw: ImageDraw.ImageDraw,
    generator: Generator,
    box: tuple[float, float, float, float],
    ink: Colour,
    text_font: Font,
    leading: float = 1.3,
    ragged: float = 0.15,
) -> None:
    """Lines of words that fill `box` (left, top, right, bottom); the last line is short."""
    left, top, right, bottom = box
    height = draw.textbbox((0, 0), "Áp", font=text_font)[3]
    letter = max(draw.textlength("abcdefghijkl", font=text_font) / 12, 1.0)
    rows = np.arange(top, bottom - height, height * leading)
    for number_of_row, y in enumerate(rows):
        width = (right - left) * (1 - ragged * generator.random())
        if number_of_row == len(rows) - 1:
            width *= generator.uniform(0.2, 0.9)
        text = words(generator, max(1, int(width / letter / 5.5)))
        draw.text((left, float(y)), text[: max(1, int(width / letter))], fill=ink, font=text_font)


def from_values(values: np.ndarray) -> Image.Image:
    """(H, W) or (H, W, 3) of numbers 0..255 as an image."""
    values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return Image.fromarray(values if values.ndim == 3 else np.repeat(values[:, :, None], 3, axis=2))


def smooth_field(generator: Generator, size: Size, cells: int) -> np.ndarray:
    """(H, W) smooth random numbers, about 0..1: noise on `cells` points a side, made larger."""
    small = Image.fromarray(generator.random((cells, cells)).astype(np.float32))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))
