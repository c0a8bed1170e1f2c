"""What repeats: checkerboards, moiré, tiles, test cards, fractals."""

import numpy as np
from PIL import Image

from optophone.data.drawn.canvas import (
    BLACK,
    WHITE,
    Generator,
    Size,
    colour,
    dark,
    font,
    from_values,
    light,
    palette,
    paper_and_ink,
    sheet,
    vivid,
    whole,
    word,
)  # fmt: skip


def checkerboard(generator: Generator, size: Size) -> Image.Image:
    """Squares of two colours, straight or turned."""
    paper, ink = paper_and_ink(generator) if generator.random() < 0.6 else (colour(generator), colour(generator))
    cell = max(min(size) / whole(generator, 2, 40), 2)
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    angle = generator.choice([0, generator.uniform(0, np.pi / 2)])
    u, v = columns * np.cos(angle) - rows * np.sin(angle), columns * np.sin(angle) + rows * np.cos(angle)
    odd = (np.floor(u / cell) + np.floor(v / cell)).astype(int) % 2 == 1
    return from_values(np.where(odd[:, :, None], np.array(ink), np.array(paper)))


def moire(generator: Generator, size: Size) -> Image.Image:
    """Waves or rings of close lines on top of each other."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    total = np.zeros((size[1], size[0]), np.float32)
    for _ in range(whole(generator, 1, 3)):
        period = generator.uniform(2.5, 30)
        if generator.random() < 0.5:
            angle = generator.uniform(0, np.pi)
            phase = (columns * np.cos(angle) + rows * np.sin(angle)) / period
        else:
            x, y = generator.uniform(0, 1, 2) * size
            phase = np.hypot(columns - x, rows - y) / period
        total += np.sin(2 * np.pi * phase)
    if generator.random() < 0.5:
        total = np.sign(total)
    share = (total - total.min()) / max(np.ptp(total), 1e-6)
    first, second = (BLACK, WHITE) if generator.random() < 0.6 else (colour(generator), colour(generator))
    return from_values(np.array(first) + share[:, :, None] * (np.array(second) - np.array(first)))


def test_card(generator: Generator, size: Size) -> Image.Image:
    """Bars of colour, steps of grey, a circle and crossed lines."""
    image, draw = sheet(size, (128, 128, 128))
    bars = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]
    strength, top = generator.uniform(0.7, 1), size[1] * generator.uniform(0.4, 0.8)
    for i, face in enumerate(bars):
        scaled = tuple(int(value * strength) for value in face)
        draw.rectangle((size[0] * i / 7, 0, size[0] * (i + 1) / 7, top), fill=scaled)
    n = whole(generator, 4, 16)
    for i in range(n):
        level = round(255 * i / (n - 1))
        draw.rectangle((size[0] * i / n, top, size[0] * (i + 1) / n, size[1] * 0.95), fill=(level, level, level))
    if generator.random() < 0.6:
        radius, x, y = min(size) * 0.4, size[0] / 2, size[1] / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=WHITE, width=3)
        for i in range(0, size[0], max(size[0] // 16, 4)):
            draw.line((i, 0, i, size[1]), fill=WHITE)
    return image


def tiles(generator: Generator, size: Size) -> Image.Image:
    """A small random drawing repeated, every second one turned or mirrored."""
    side = whole(generator, 12, 90)
    part, draw = sheet((side, side), light(generator) if generator.random() < 0.5 else colour(generator))
    for face in palette(generator, whole(generator, 1, 5)):
        x, y, radius = *(generator.uniform(0, side, 2)), side * generator.uniform(0.1, 0.5)
        box = (x - radius, y - radius, x + radius, y + radius)
        [draw.ellipse, draw.rectangle][generator.integers(2)](box, fill=face)
    tile = np.asarray(part)
    turned = np.rot90(tile) if generator.random() < 0.5 else tile[:, ::-1]
    block = np.block([[[tile], [turned]], [[turned], [tile]]])
    repeats = (size[1] // block.shape[0] + 1, size[0] // block.shape[1] + 1, 1)
    return from_values(np.tile(block, repeats)[: size[1], : size[0]])


def fractal(generator: Generator, size: Size) -> Image.Image:
    """A Julia set in a smooth scale of colours."""
    width, height = min(size[0], 400), min(size[1], 400)
    rows, columns = np.mgrid[-1.3 : 1.3 : height * 1j, -1.6 : 1.6 : width * 1j]
    z = (columns + 1j * rows) * generator.uniform(0.3, 1)
    angle = generator.uniform(0, 2 * np.pi)
    c = 0.7885 * np.exp(1j * angle)
    steps = np.zeros(z.shape)
    for _ in range(40):
        inside = np.abs(z) < 4
        steps += inside
        z = np.where(inside, z * z + c, z)
    stops = np.array([colour(generator) for _ in range(4)], np.float32)
    share = (steps / steps.max()) ** generator.uniform(0.3, 1.2)
    values = np.stack([np.interp(share, np.linspace(0, 1, 4), stops[:, k]) for k in range(3)], axis=2)
    return from_values(values).resize(size, Image.Resampling.BICUBIC)


def cells(generator: Generator, size: Size) -> Image.Image:
    """Areas around random points (Voronoi), flat or shaded by distance."""
    width, height = min(size[0], 320), min(size[1], 320)
    n = whole(generator, 4, 80)
    points = generator.uniform(0, 1, (n, 2)) * (height, width)
    rows, columns = np.mgrid[0:height, 0:width]
    distances = np.stack([np.hypot(rows - y, columns - x) for y, x in points])
    nearest = distances.argmin(axis=0)
    values = np.array([colour(generator) for _ in range(n)], np.float32)[nearest]
    if generator.random() < 0.5:
        values *= 1 - 0.6 * (distances.min(axis=0) / distances.min(axis=0).max())[:, :, None]
    way = Image.Resampling.NEAREST if generator.random() < 0.5 else Image.Resampling.BICUBIC
    return from_values(values).resize(size, way)


def spirals(generator: Generator, size: Size) -> Image.Image:
    """Curves of a spirograph."""
    paper, ink = paper_and_ink(generator, 0.4)
    image, draw = sheet(size, paper)
    for _ in range(whole(generator, 1, 4)):
        ratio, arm = generator.uniform(0.1, 0.9), generator.uniform(0.2, 1.2)
        turn = np.linspace(0, 2 * np.pi * whole(generator, 5, 60), 2500)
        x = (1 - ratio) * np.cos(turn) + arm * ratio * np.cos((1 - ratio) / ratio * turn)
        y = (1 - ratio) * np.sin(turn) - arm * ratio * np.sin((1 - ratio) / ratio * turn)
        points = np.stack([x, y], axis=1) * min(size) * 0.4 + np.array(size) / 2
        face = ink if generator.random() < 0.4 else vivid(generator)
        draw.line([(float(a), float(b)) for a, b in points], fill=face, width=whole(generator, 1, 3))
    return image


def board_game(generator: Generator, size: Size) -> Image.Image:
    """A board with pieces seen from above."""
    side, n = min(size), int(generator.choice([3, 8, 8, 9, 15, 19]))
    first, second = palette(generator, 2) if generator.random() < 0.6 else (light(generator), (181, 136, 99))
    image, draw = sheet((side, side), first)
    cell = side / n
    chance, letters = generator.uniform(0.1, 0.6), font(generator, cell * 0.6)
    for row in range(n):
        for column in range(n):
            x, y = column * cell, row * cell
            if (row + column) % 2 and n == 8:
                draw.rectangle((x, y, x + cell, y + cell), fill=second)
            elif n != 8:
                draw.rectangle((x, y, x + cell, y + cell), outline=dark(generator))
            if generator.random() < chance:
                piece = BLACK if generator.random() < 0.5 else WHITE
                if generator.random() < 0.7:
                    inset = cell * 0.15
                    draw.ellipse((x + inset, y + inset, x + cell - inset, y + cell - inset), fill=piece, outline=BLACK)
                else:
                    draw.text((x + cell * 0.3, y + cell * 0.1), word(generator)[0].upper(), fill=piece, font=letters)
    return image


def halftone(generator: Generator, size: Size) -> Image.Image:
    """Dots on a grid that grow and shrink over the sheet."""
    paper, ink = paper_and_ink(generator, 0.3)
    image, draw = sheet(size, paper)
    cell = max(min(size) / whole(generator, 12, 60), 4)
    wave = generator.uniform(0.5, 4, 2)
    for y in np.arange(0, size[1], cell):
        for x in np.arange(0, size[0], cell):
            share = 0.5 + 0.5 * np.sin(wave[0] * x / size[0] * 6 + wave[1] * y / size[1] * 6)
            radius = float(cell * 0.6 * share)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return image
