"""Paper: pages of text, letters, receipts, tables, slides, forms."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from optophone.data.drawn.canvas import (
    WHITE,
    Generator,
    Size,
    between,
    colour,
    dark,
    font,
    from_values,
    light,
    number,
    palette,
    paper_and_ink,
    paragraph,
    sheet,
    smooth_field,
    vivid,
    whole,
    words,
)  # fmt: skip


def _write(
    draw: ImageDraw.ImageDraw, generator: Generator, box: tuple[float, float, float, float], ink: tuple[int, int, int]
) -> None:
    """Headings and paragraphs in one to three columns."""
    left, top, right, bottom = box
    height = bottom - top
    text_size = height * number(generator, 0.014, 0.06)
    if generator.random() < 0.6:
        draw.text((left, top), words(generator, whole(generator, 1, 5)), fill=ink, font=font(generator, text_size * 2))
        top += text_size * 3.5
    n_columns = int(generator.choice([1, 1, 2, 3]))
    gap = (right - left) * 0.05
    width = (right - left - gap * (n_columns - 1)) / n_columns
    body = font(generator, text_size)
    leading, ragged = generator.uniform(1.1, 1.9), generator.choice([0.02, 0.2, 0.5])
    for column in range(n_columns):
        x, y = left + column * (width + gap), top
        while y < bottom - text_size * 2:
            end = min(y + text_size * leading * whole(generator, 2, 14), bottom)
            paragraph(draw, generator, (x, y, x + width, end), ink, body, leading, ragged)
            y = end + text_size * generator.uniform(0.3, 1.5)


def page(generator: Generator, size: Size) -> Image.Image:
    """A page of print, in part or whole."""
    paper, ink = paper_and_ink(generator)
    image, draw = sheet(size, paper)
    margin = generator.uniform(0.0, 0.14)
    _write(draw, generator, (size[0] * margin, size[1] * margin, size[0] * (1 - margin), size[1] * (1 - margin)), ink)
    if generator.random() < 0.3:
        image = image.rotate(generator.normal(0, 5), Image.Resampling.BICUBIC, fillcolor=paper)
    return image


def scanned_page(generator: Generator, size: Size) -> Image.Image:
    """A page as a scanner or a copier sees it: tilted, shaded, with dust and a dark edge."""
    image = page(generator, size)
    edge = between(dark(generator), WHITE, generator.choice([0.0, 0.6, 1.0]))
    image = image.rotate(generator.normal(0, 2), Image.Resampling.BICUBIC, fillcolor=edge)
    image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 1.2)))
    shade = generator.uniform(0.6, 0.95) + 0.3 * smooth_field(generator, size, whole(generator, 2, 4))
    noise = generator.normal(0, generator.uniform(0.5, 8), (size[1], size[0], 1))
    return from_values(np.asarray(image, np.float32) * np.minimum(shade, 1)[:, :, None] + noise)


def receipt(generator: Generator, size: Size) -> Image.Image:
    """A narrow column of items and prices."""
    size = (min(size), max(size)) if generator.random() < 0.7 else size
    image, draw = sheet(size, light(generator))
    text_size = size[0] * generator.uniform(0.035, 0.07)
    type_face, ink = font(generator, text_size, monospaced=True), dark(generator)
    y = text_size
    while y < size[1] - 2 * text_size:
        draw.text((size[0] * 0.06, y), words(generator, whole(generator, 1, 3))[:18], fill=ink, font=type_face)
        draw.text((size[0] * 0.75, y), f"{generator.uniform(0.5, 99):.2f}", fill=ink, font=type_face)
        y += text_size * 1.4
        if generator.random() < 0.1:
            draw.line((size[0] * 0.05, y, size[0] * 0.95, y), fill=ink, width=1)
            y += text_size
    return image


def letter(generator: Generator, size: Size) -> Image.Image:
    """Handwriting: slanted loops along lines, on plain or ruled paper."""
    paper, ink = light(generator), between(dark(generator), (20, 30, 160), generator.random())
    image, draw = sheet(size, paper)
    spacing = size[1] / whole(generator, 8, 24)
    if generator.random() < 0.5:
        for y in np.arange(spacing, size[1], spacing):
            draw.line((0, y, size[0], y), fill=between(paper, (90, 120, 200), 0.5))
    for y in np.arange(spacing, size[1] - spacing / 2, spacing):
        x = size[0] * 0.06
        while x < size[0] * generator.uniform(0.6, 0.98):
            steps = whole(generator, 12, 70)
            phase = np.linspace(0, steps / 3, steps)
            loops = np.stack([phase + np.cos(phase * 2.1), np.sin(phase * 2.1 + generator.random())], axis=1)
            loops[:, 1] *= generator.normal(0.8, 0.3, steps)
            points = loops * spacing * 0.22 + (x, y)
            draw.line([tuple(point) for point in points.tolist()], fill=ink, width=max(1, round(spacing / 14)))
            x = points[-1, 0] + spacing * 0.5
    return image


def table(generator: Generator, size: Size) -> Image.Image:
    """A printed table with rules or shaded rows."""
    paper, ink = paper_and_ink(generator, 0.05)
    image, draw = sheet(size, paper)
    n_rows, n_columns = whole(generator, 4, 26), whole(generator, 2, 9)
    height, width = size[1] / n_rows, size[0] / n_columns
    type_face, shade = font(generator, height * 0.5), between(paper, vivid(generator), 0.15)
    ruled = generator.random() < 0.6
    for row in range(n_rows):
        if row % 2 and not ruled:
            draw.rectangle((0, row * height, size[0], (row + 1) * height), fill=shade)
        for column in range(n_columns):
            text = words(generator, 1) if column == 0 or not row else f"{generator.uniform(0, 500):.1f}"
            draw.text((column * width + 4, row * height + 2), text[: int(width / height * 3)], fill=ink, font=type_face)
        if ruled:
            draw.line((0, row * height, size[0], row * height), fill=ink)
    return image


def slide(generator: Generator, size: Size) -> Image.Image:
    """A title, points below, perhaps a coloured bar."""
    size = (max(size), min(size))
    back = light(generator) if generator.random() < 0.6 else colour(generator)
    ink = dark(generator) if sum(back) > 380 else WHITE
    image, draw = sheet(size, back)
    if generator.random() < 0.6:
        draw.rectangle((0, 0, size[0], size[1] * 0.18), fill=vivid(generator))
    draw.text((size[0] * 0.05, size[1] * 0.04), words(generator, 3), fill=ink, font=font(generator, size[1] * 0.09))
    body = font(generator, size[1] * generator.uniform(0.04, 0.07))
    for i in range(whole(generator, 2, 7)):
        y = size[1] * (0.25 + 0.1 * i)
        draw.ellipse((size[0] * 0.05, y + 6, size[0] * 0.05 + 8, y + 14), fill=ink)
        draw.text((size[0] * 0.08, y), words(generator, whole(generator, 3, 9)), fill=ink, font=body)
    return image


def poster(generator: Generator, size: Size) -> Image.Image:
    """A few large words on colour: quotations, signs, covers."""
    back = colour(generator)
    ink = WHITE if sum(back) < 380 else dark(generator)
    image, draw = sheet(size, back)
    y = size[1] * generator.uniform(0.05, 0.3)
    while y < size[1] * 0.85:
        type_face = font(generator, size[1] * generator.uniform(0.06, 0.2))
        text = words(generator, whole(generator, 1, 3))
        x = (size[0] - draw.textlength(text, font=type_face)) / 2 if generator.random() < 0.6 else size[0] * 0.05
        draw.text((x, y), text, fill=ink, font=type_face)
        y += size[1] * generator.uniform(0.12, 0.3)
    return image


def form(generator: Generator, size: Size) -> Image.Image:
    """Labels, boxes to fill in, boxes to tick."""
    image, draw = sheet(size, light(generator))
    ink, y = dark(generator), size[1] * 0.05
    step = size[1] / whole(generator, 6, 18)
    type_face = font(generator, step * 0.4)
    while y < size[1] * 0.92:
        draw.text((size[0] * 0.05, y), words(generator, whole(generator, 1, 3)), fill=ink, font=type_face)
        x = size[0] * generator.choice([0.4, 0.5])
        if generator.random() < 0.6:
            draw.rectangle((x, y, size[0] * 0.94, y + step * 0.6), outline=ink)
        else:
            for i in range(whole(generator, 1, 4)):
                draw.rectangle((x + i * step, y, x + i * step + step * 0.4, y + step * 0.4), outline=ink, width=2)
        y += step
    return image


def newspaper(generator: Generator, size: Size) -> Image.Image:
    """Columns of small print around grey boxes, below a headline."""
    paper = between(WHITE, (200, 180, 140), generator.random() * 0.6)
    image, draw = sheet(size, paper)
    ink = dark(generator)
    draw.text((size[0] * 0.03, size[1] * 0.01), words(generator, 4), fill=ink, font=font(generator, size[1] * 0.07))
    n_columns = whole(generator, 2, 6)
    width = size[0] * 0.94 / n_columns
    body = font(generator, size[1] * generator.uniform(0.012, 0.025))
    for column in range(n_columns):
        left = size[0] * 0.03 + column * width
        y = size[1] * 0.12
        while y < size[1] * 0.95:
            height = size[1] * generator.uniform(0.08, 0.4)
            box = (left, y, left + width * 0.93, min(y + height, size[1] * 0.98))
            if generator.random() < 0.15:
                draw.rectangle(box, fill=between(ink, paper, generator.uniform(0.3, 0.8)))
            else:
                paragraph(draw, generator, box, ink, body, 1.15, 0.05)
            y += height + size[1] * 0.015
    return image


def label(generator: Generator, size: Size) -> Image.Image:
    """A box in a few colours with a name, lines of small print and a band: a packet or a badge."""
    colours = palette(generator, 3)
    image, draw = sheet(size, colours[0])
    band = size[1] * generator.uniform(0.2, 0.6)
    draw.rectangle((0, band, size[0], band + size[1] * generator.uniform(0.1, 0.3)), fill=colours[1])
    large = font(generator, size[1] * 0.14)
    draw.text((size[0] * 0.08, band + size[1] * 0.02), words(generator, 1).upper(), fill=colours[2], font=large)
    small = font(generator, size[1] * 0.04)
    paragraph(draw, generator, (size[0] * 0.08, size[1] * 0.78, size[0] * 0.9, size[1]), dark(generator), small)
    if generator.random() < 0.5:
        x, y, radius = size[0] * generator.uniform(0.6, 0.8), size[1] * 0.15, size[1] * 0.1
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=vivid(generator), outline=WHITE, width=3)
    return image
