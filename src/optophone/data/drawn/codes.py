"""Marks for machines: square codes and bar codes."""

import numpy as np
from PIL import Image

from optophone.data.drawn.canvas import (
    BLACK,
    WHITE,
    Generator,
    Size,
    between,
    dark,
    font,
    from_values,
    light,
    paper_and_ink,
    sheet,
    vivid,
    whole,
)  # fmt: skip


def _modules(generator: Generator, n: int) -> np.ndarray:
    """(n, n) bool as of a QR code: random, with the three finders, their quiet zones and the timing lines."""
    grid = generator.random((n, n)) < 0.5
    finder = np.ones((7, 7), bool)
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    for row, column in ((0, 0), (0, n - 7), (n - 7, 0)):
        grid[max(row - 1, 0) : row + 8, max(column - 1, 0) : column + 8] = False
        grid[row : row + 7, column : column + 7] = finder
    grid[6, 8 : n - 8] = grid[8 : n - 8, 6] = np.arange(n - 16) % 2 == 0
    return grid


def square_code(generator: Generator, size: Size) -> Image.Image:
    """Looks like a QR code, alone or on a label with a line of text."""
    grid = _modules(generator, 17 + 4 * whole(generator, 1, 9))
    paper, ink = (WHITE, BLACK) if generator.random() < 0.6 else paper_and_ink(generator, 0.05)
    image, draw = sheet(size, paper)
    share = generator.uniform(0.55, 0.95)
    side = max(int(min(size) * share), 16)
    code = Image.fromarray(np.where(grid[:, :, None], np.array(ink), np.array(paper)).astype(np.uint8))
    code = code.resize((side, side), Image.Resampling.NEAREST)
    image.paste(code, ((size[0] - side) // 2, (size[1] - side) // 2))
    if generator.random() < 0.3:
        draw.text((size[0] * 0.1, size[1] * 0.94), "scan me", fill=ink, font=font(generator, size[1] * 0.05))
    return image


def dot_code(generator: Generator, size: Size) -> Image.Image:
    """Round or rectangular modules between solid borders, as on parcels."""
    n = whole(generator, 10, 40)
    grid = generator.random((n, n)) < 0.5
    grid[:, 0] = grid[-1] = True
    paper, ink = paper_and_ink(generator, 0.1)
    image, draw = sheet(size, paper)
    cell = min(size) * generator.uniform(0.6, 0.95) / n
    left, top = (size[0] - cell * n) / 2, (size[1] - cell * n) / 2
    mark = draw.ellipse if generator.random() < 0.5 else draw.rectangle
    for row, column in np.argwhere(grid):
        x, y = left + column * cell, top + row * cell
        mark((x, y, x + cell * 0.9, y + cell * 0.9), fill=ink)
    return image


def bar_code(generator: Generator, size: Size) -> Image.Image:
    """Bars of a few widths with figures below, straight or lying on its side."""
    image, draw = sheet(size, light(generator))
    x, unit = size[0] * 0.08, max(size[0] * 0.84 / generator.integers(60, 140), 1)
    top, bottom = size[1] * generator.uniform(0.05, 0.3), size[1] * generator.uniform(0.7, 0.9)
    ink = dark(generator)
    while x < size[0] * 0.92:
        width = unit * whole(generator, 1, 4)
        draw.rectangle((x, top, x + width - 1, bottom), fill=ink)
        x += width + unit * whole(generator, 1, 4)
    figures = "  ".join(str(generator.integers(10)) for _ in range(12))
    draw.text((size[0] * 0.1, bottom + 2), figures, fill=ink, font=font(generator, size[1] * 0.08))
    return image.rotate(90, expand=True) if generator.random() < 0.15 else image


def fingerprint_of_colours(generator: Generator, size: Size) -> Image.Image:
    """A small grid of coloured cells, mirrored: the picture that stands for a user who has none."""
    n = whole(generator, 5, 9)
    half = generator.random((n, (n + 1) // 2)) < 0.5
    grid = np.concatenate([half, half[:, : n // 2][:, ::-1]], axis=1)
    first, second = vivid(generator), between(light(generator), WHITE, 0.5)
    cells = np.where(grid[:, :, None], np.array(first), np.array(second)).astype(np.uint8)
    return from_values(np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.NEAREST)))
