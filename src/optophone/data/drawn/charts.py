"""Figures of statistics: bars, lines, pies, points, heat maps."""

import numpy as np
from PIL import Image, ImageDraw

from optophone.data.drawn.canvas import (
    WHITE,
    Colour,
    Generator,
    Size,
    between,
    colour,
    dark,
    font,
    light,
    palette,
    paper_and_ink,
    sheet,
    smooth_field,
    vivid,
    whole,
    word,
    words,
)  # fmt: skip

Box = tuple[float, float, float, float]


def _axes(generator: Generator, size: Size) -> tuple[Image.Image, ImageDraw.ImageDraw, Box, Colour]:
    """A sheet with axes, ticks, labels, perhaps a grid and a title; the box inside them and the ink."""
    paper, ink = paper_and_ink(generator)
    image, draw = sheet(size, paper)
    left, top = size[0] * generator.uniform(0.06, 0.16), size[1] * generator.uniform(0.04, 0.16)
    right, bottom = size[0] * generator.uniform(0.8, 0.98), size[1] * generator.uniform(0.8, 0.94)
    if generator.random() < 0.3:
        draw.rectangle((left, top, right, bottom), fill=between(paper, ink, 0.08))
    small = font(generator, max(min(size) * 0.03, 7))
    grid = generator.random() < 0.5
    for i in range(whole(generator, 3, 9)):
        share = i / 8
        y, x = bottom - (bottom - top) * share, left + (right - left) * share
        if grid:
            draw.line((left, y, right, y), fill=between(paper, ink, 0.2))
        draw.text((left * 0.3, y - 5), f"{share * generator.uniform(1, 400):.0f}", fill=ink, font=small)
        draw.text((x, bottom + 4), word(generator)[:4], fill=ink, font=small)
    if generator.random() < 0.6:
        draw.text((left, top * 0.2), words(generator, 4), fill=ink, font=font(generator, max(min(size) * 0.05, 8)))
    draw.line((left, top, left, bottom, right, bottom), fill=ink, width=whole(generator, 1, 3))
    return image, draw, (left, top, right, bottom), ink


def bar_chart(generator: Generator, size: Size) -> Image.Image:
    """Bars, upright or lying, in groups or not."""
    image, draw, (left, top, right, bottom), _ = _axes(generator, size)
    n, n_series = whole(generator, 3, 16), whole(generator, 1, 3)
    colours = palette(generator, n_series)
    upright = generator.random() < 0.7
    step = (right - left if upright else bottom - top) / n
    for i in range(n):
        for k, face in enumerate(colours):
            value, width = generator.random(), step * 0.8 / n_series
            if upright:
                x = left + i * step + k * width
                draw.rectangle((x, bottom - value * (bottom - top), x + width, bottom), fill=face)
            else:
                y = top + i * step + k * width
                draw.rectangle((left, y, left + value * (right - left), y + width), fill=face)
    return image


def line_chart(generator: Generator, size: Size) -> Image.Image:
    """One to five curves, with or without marks."""
    image, draw, (left, top, right, bottom), ink = _axes(generator, size)
    for face in palette(generator, whole(generator, 1, 5)):
        n = whole(generator, 5, 120)
        values = np.cumsum(generator.normal(size=n))
        values = (values - values.min()) / max(np.ptp(values), 1e-6)
        xs, ys = np.linspace(left, right, n), bottom - values * (bottom - top)
        points = list(zip(xs.tolist(), ys.tolist(), strict=True))
        draw.line(points, fill=face, width=whole(generator, 1, 4))
        if n < 20:
            for x, y in points:
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=face, outline=ink)
    return image


def pie_chart(generator: Generator, size: Size) -> Image.Image:
    """Slices with a legend; sometimes a ring."""
    paper, ink = paper_and_ink(generator)
    image, draw = sheet(size, paper)
    shares = np.cumsum(generator.dirichlet(np.ones(whole(generator, 2, 9)))) * 360
    radius, x, y = min(size) * generator.uniform(0.25, 0.45), size[0] * generator.uniform(0.35, 0.6), size[1] / 2
    colours, start = palette(generator, len(shares)), 0.0
    small = font(generator, max(size[1] * 0.04, 7))
    for i, end in enumerate(shares.tolist()):
        draw.pieslice((x - radius, y - radius, x + radius, y + radius), start, end, fill=colours[i], outline=paper)
        start = end
        draw.rectangle(
            (size[0] * 0.8, size[1] * (0.1 + 0.08 * i), size[0] * 0.83, size[1] * (0.14 + 0.08 * i)), colours[i]
        )
        draw.text((size[0] * 0.85, size[1] * (0.1 + 0.08 * i)), word(generator), fill=ink, font=small)
    if generator.random() < 0.3:
        hole = radius * generator.uniform(0.3, 0.7)
        draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=paper)
    return image


def scatter_plot(generator: Generator, size: Size) -> Image.Image:
    """Clouds of points."""
    image, draw, (left, top, right, bottom), _ = _axes(generator, size)
    for face in palette(generator, whole(generator, 1, 4)):
        centre, spread = generator.uniform(0.2, 0.8, 2), generator.uniform(0.03, 0.3, 2)
        radius = generator.uniform(1, 5)
        for point in generator.normal(centre, spread, (whole(generator, 10, 400), 2)):
            if point.min() > 0 and point.max() < 1:
                x, y = left + point[0] * (right - left), bottom - point[1] * (bottom - top)
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=face)
    return image


def heat_map(generator: Generator, size: Size) -> Image.Image:
    """Coloured cells with a bar of colours beside them."""
    image, draw, (left, top, right, bottom), _ = _axes(generator, size)
    n_rows, n_columns = whole(generator, 4, 40), whole(generator, 4, 40)
    field = smooth_field(generator, (n_columns, n_rows), whole(generator, 3, 12))
    scale = [colour(generator) for _ in range(3)]
    right -= (right - left) * 0.12
    width, height = (right - left) / n_columns, (bottom - top) / n_rows
    for (row, column), value in np.ndenumerate(np.clip(field, 0, 1)):
        face = between(scale[int(value >= 0.5)], scale[int(value >= 0.5) + 1], (2 * float(value)) % 1)
        x, y = left + column * width, top + row * height
        draw.rectangle((x, y, x + width, y + height), fill=face)
    for i in range(20):
        y, share = bottom - (bottom - top) * (i + 1) / 20, i / 20
        face = between(scale[int(share >= 0.5)], scale[int(share >= 0.5) + 1], (2 * share) % 1)
        draw.rectangle((right + 10, y, right + 25, y + (bottom - top) / 20), fill=face)
    return image


def area_chart(generator: Generator, size: Size) -> Image.Image:
    """Filled curves on top of each other."""
    image, draw, (left, top, right, bottom), _ = _axes(generator, size)
    n, xs = 60, np.linspace(left, right, 60)
    base = np.zeros(n)
    for face in palette(generator, whole(generator, 1, 5)):
        rise = np.abs(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 8), generator.random(8))) * 0.25
        outline = [*zip(xs, bottom - (base + rise) * (bottom - top), strict=True)]
        outline += [*zip(xs[::-1], bottom - base[::-1] * (bottom - top), strict=True)]
        draw.polygon([(float(x), float(y)) for x, y in outline], fill=face)
        base = base + rise
    return image


def dashboard(generator: Generator, size: Size) -> Image.Image:
    """Several small charts on one screen."""
    image, draw = sheet(size, between(light(generator), dark(generator), float(generator.choice([0, 0.1, 0.9]))))
    n_columns, n_rows = whole(generator, 1, 3), whole(generator, 2, 3)
    kinds = (bar_chart, line_chart, scatter_plot, area_chart)
    width, height = size[0] // n_columns, size[1] // n_rows
    for i in range(n_columns * n_rows):
        part = kinds[generator.integers(len(kinds))](generator, (max(width - 12, 40), max(height - 12, 40)))
        image.paste(part, ((i % n_columns) * width + 6, (i // n_columns) * height + 6))
    draw.text((8, 4), words(generator, 2), fill=vivid(generator), font=font(generator, max(size[1] * 0.03, 8)))
    return image


def gauge(generator: Generator, size: Size) -> Image.Image:
    """A dial with marks and a hand: clocks, speedometers."""
    paper, ink = paper_and_ink(generator, 0.3)
    image, draw = sheet(size, paper)
    x, y, radius = size[0] / 2, size[1] / 2, min(size) * generator.uniform(0.3, 0.48)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=light(generator), outline=ink, width=4)
    n = int(generator.choice([8, 12, 60]))
    for angle in np.linspace(0, 2 * np.pi, n, endpoint=False):
        inner = radius * 0.88
        points = [(x + length * np.cos(angle), y + length * np.sin(angle)) for length in (inner, radius)]
        draw.line([(float(a), float(b)) for a, b in points], fill=dark(generator), width=2)
    for length in generator.uniform(0.4, 0.85, whole(generator, 1, 3)):
        angle = generator.uniform(0, 2 * np.pi)
        end = (float(x + radius * length * np.cos(angle)), float(y + radius * length * np.sin(angle)))
        draw.line((x, y, *end), fill=vivid(generator), width=whole(generator, 2, 7))
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=WHITE, outline=ink)
    return image
