"""Shaded drawings: icons with gloss and shadow, boxes in space, clip art, sheets of small shaded pictures."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from optophone.data.drawn.canvas import (
    BLACK,
    WHITE,
    Colour,
    Generator,
    Size,
    between,
    colour,
    font,
    light,
    number,
    palette,
    sheet,
    smooth_field,
    vivid,
    whole,
    word,
)
from optophone.data.drawn.symbols import polygon, shape


def _shade(generator: Generator, size: Size, base: Colour) -> Image.Image:
    """A sheet of `base` that runs from light to dark, along a line or around a point."""
    rows, columns = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    if generator.random() < 0.5:
        angle = generator.uniform(0, 2 * np.pi)
        share = rows * np.sin(angle) + columns * np.cos(angle)
    else:
        centre = generator.uniform(0.1, 0.7, 2)
        share = np.hypot(rows - centre[0], columns - centre[1])
    share = (share - share.min()) / max(float(np.ptp(share)), 1e-6)
    first = np.array(between(base, WHITE, generator.uniform(0.2, 0.8)))
    last = np.array(between(base, BLACK, generator.uniform(0.1, 0.7)))
    return Image.fromarray((first + share[:, :, None] * (last - first)).astype(np.uint8))


def _stencil(generator: Generator, size: Size) -> Image.Image:
    """(L) one shape near the middle, white on black, with soft edges."""
    mask = Image.new("L", (2 * size[0], 2 * size[1]), 0)
    draw = ImageDraw.Draw(mask)
    x, y = (float(value) for value in generator.uniform(0.3, 0.7, 2) * mask.size)
    radius = min(mask.size) * float(generator.uniform(0.08, 0.42))
    kind = generator.integers(4)
    if kind == 0:
        draw.ellipse((x - radius, y - radius * generator.uniform(0.4, 1), x + radius, y + radius), fill=255)
    elif kind == 1:
        corners = radius * generator.random() * 0.5
        draw.rounded_rectangle((x - radius, y - radius, x + radius, y + radius * 0.7), radius=corners, fill=255)
    elif kind == 2:
        draw.polygon(polygon(generator, x, y, radius, whole(generator, 3, 7), generator.uniform(0.4, 1)), fill=255)
    else:
        points = polygon(generator, x, y, radius, whole(generator, 3, 6), generator.uniform(0.6, 1.2))
        draw.polygon(points, fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(radius * 0.15)).point(lambda value: 255 if value > 127 else 0)
    return mask.resize(size, Image.Resampling.LANCZOS)


def shaded_icon(generator: Generator, size: Size) -> Image.Image:
    """Glossy shapes on top of each other with shadows, on a plain or softly shaded ground."""
    ground = WHITE if generator.random() < 0.6 else colour(generator)
    image = _shade(generator, size, ground) if generator.random() < 0.15 else sheet(size, ground)[0]
    for base in palette(generator, whole(generator, 1, 7)):
        mask = _stencil(generator, size)
        if generator.random() < 0.5:
            offset = max(1, round(min(size) * 0.03))
            shadow = ImageChops.offset(mask, offset, offset).filter(ImageFilter.GaussianBlur(offset))
            image.paste(between(ground, BLACK, 0.5), mask=shadow.point(lambda value: value // 2))
        image.paste(_shade(generator, size, base), mask=mask)
        if generator.random() < 0.4:
            edge = ImageChops.difference(mask, mask.filter(ImageFilter.MinFilter(3)))
            image.paste(between(base, BLACK, 0.6), mask=edge)
    return image


def clip_art(generator: Generator, size: Size) -> Image.Image:
    """Many small shaded pieces with dark outlines that make up one thing, on plain ground."""
    image = sheet(size, WHITE if generator.random() < 0.8 else light(generator))[0]
    colours = palette(generator, whole(generator, 2, 5))
    for _ in range(whole(generator, 6, 22)):
        mask = _stencil(generator, size)
        base = between(colours[generator.integers(len(colours))], colour(generator), 0.2)
        image.paste(_shade(generator, size, base), mask=mask)
        edge = ImageChops.difference(mask, mask.filter(ImageFilter.MinFilter(3)))
        image.paste(BLACK if generator.random() < 0.7 else between(base, BLACK, 0.7), mask=edge)
    return image


def boxes_in_space(generator: Generator, size: Size) -> Image.Image:
    """Boxes seen from a corner, three faces each, plain, shaded or grained like wood."""
    image, draw = sheet(size, WHITE if generator.random() < 0.6 else light(generator))
    base, unit = vivid(generator), min(size) * number(generator, 0.06, 0.3)
    line = BLACK if generator.random() < 0.5 else None
    grained = generator.random() < 0.5
    for _ in range(whole(generator, 1, 12)):
        x, y = (float(value) for value in generator.uniform(0.25, 0.75, 2) * size)
        dx, dy, height = unit * 0.87, unit * 0.5, unit * float(generator.uniform(0.6, 1.6))
        top = [(x, y), (x + dx, y - dy), (x, y - 2 * dy), (x - dx, y - dy)]
        left = [(x, y), (x - dx, y - dy), (x - dx, y - dy + height), (x, y + height)]
        right = [(x, y), (x + dx, y - dy), (x + dx, y - dy + height), (x, y + height)]
        for face, share in ((top, 0.0), (left, 0.2), (right, 0.4)):
            draw.polygon(face, fill=between(between(base, WHITE, 0.3), BLACK, share), outline=line)
        if grained:
            for k in np.linspace(0.1, 0.9, whole(generator, 3, 12)):
                at = y + float(k) * height
                draw.line((x - dx, at - dy, x, at), fill=between(base, BLACK, 0.35), width=1)
                draw.line((x, at, x + dx, at - dy), fill=between(base, BLACK, 0.55), width=1)
    return image


def small_pictures(generator: Generator, size: Size) -> Image.Image:
    """A window or a page with rows of small pictures, shaded, cloudy or flat, with names below them."""
    paper = light(generator) if generator.random() < 0.7 else (30, 30, 34)
    image, draw = sheet(size, paper)
    n = whole(generator, 2, 7)
    cell = size[0] / n
    letters = font(generator, max(cell * 0.12, 6))
    draw.rectangle((0, 0, size[0], cell * 0.2), fill=between(paper, vivid(generator), 0.3))
    inside = (max(round(cell * 0.8), 4), max(round(cell * generator.uniform(0.5, 0.8)), 4))
    y = cell * 0.3
    while y < size[1]:
        for column in range(n):
            place = (round(column * cell + cell * 0.1), round(y))
            kind = generator.random()
            if kind < 0.4:
                fields = [smooth_field(generator, inside, whole(generator, 3, 20)) for _ in range(3)]
                values = np.clip(np.stack(fields, axis=2) * 255, 0, 255).astype(np.uint8)
                image.paste(Image.fromarray(values), place)
            elif kind < 0.8:
                image.paste(_shade(generator, inside, colour(generator)), place)
            else:
                shape(
                    draw, generator, place[0] + inside[0] / 2, place[1] + inside[1] / 2, inside[1] / 3, vivid(generator)
                )
            ink = BLACK if sum(paper) > 380 else WHITE
            draw.text((place[0], place[1] + inside[1] + 2), word(generator), fill=ink, font=letters)
        y += inside[1] + cell * 0.3
    return image
