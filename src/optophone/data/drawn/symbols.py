"""Small flat pictures: icons, logos, signs, faces, pixel art."""

import numpy as np
from PIL import Image, ImageDraw

from optophone.data.drawn.canvas import (
    BLACK,
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
    sheet,
    vivid,
    whole,
    word,
)  # fmt: skip


def polygon(
    generator: Generator, x: float, y: float, radius: float, n: int, spikes: float = 1.0
) -> list[tuple[float, float]]:
    """The corners of a regular polygon, or of a star where `spikes` is under 1."""
    turn = generator.uniform(0, np.pi)
    angles = np.linspace(0, 2 * np.pi, 2 * n, endpoint=False) + turn
    lengths = np.where(np.arange(2 * n) % 2 == 0, radius, radius * spikes)
    return [(float(x + r * np.cos(a)), float(y + r * np.sin(a))) for a, r in zip(angles, lengths, strict=True)]


def shape(draw: ImageDraw.ImageDraw, generator: Generator, x: float, y: float, radius: float, face: Colour) -> None:
    """One simple shape around a point: disc, square, star, ring, arc, cross or triangle."""
    box = (x - radius, y - radius, x + radius, y + radius)
    line = max(2, round(radius * 0.2))
    kind = generator.integers(7)
    if kind == 0:
        draw.ellipse(box, fill=face)
    elif kind == 1:
        draw.rounded_rectangle(box, radius=radius * generator.random() * 0.6, fill=face)
    elif kind == 2:
        draw.polygon(polygon(generator, x, y, radius, whole(generator, 4, 8), 0.5), fill=face)
    elif kind == 3:
        draw.ellipse(box, outline=face, width=line)
    elif kind == 4:
        start = generator.uniform(0, 360)
        draw.arc(box, start, start + generator.uniform(60, 300), fill=face, width=line)
    elif kind == 5:
        draw.line((x - radius, y, x + radius, y), fill=face, width=line)
        draw.line((x, y - radius, x, y + radius), fill=face, width=line)
    else:
        draw.polygon(polygon(generator, x, y, radius, 3, 0.5), fill=face)


def icon(generator: Generator, size: Size) -> Image.Image:
    """One sign of a few shapes in one to three colours, on one colour."""
    side = min(size)
    image, draw = sheet((side, side), light(generator) if generator.random() < 0.5 else colour(generator))
    if generator.random() < 0.4:
        inset = side * generator.uniform(0, 0.1)
        box = (inset, inset, side - inset, side - inset)
        draw.rounded_rectangle(box, radius=side * generator.uniform(0.05, 0.5), fill=vivid(generator))
    colours = [WHITE, *palette(generator, 2)] if generator.random() < 0.7 else [dark(generator)]
    for _ in range(whole(generator, 1, 6)):
        x, y = side * generator.uniform(0.3, 0.7, 2)
        face = colours[generator.integers(len(colours))]
        shape(draw, generator, float(x), float(y), side * generator.uniform(0.06, 0.35), face)
    return image


def logo(generator: Generator, size: Size) -> Image.Image:
    """A sign with a name beside or below it."""
    image, draw = sheet(size, light(generator) if generator.random() < 0.7 else colour(generator))
    colours = palette(generator, 3)
    radius = min(size) * generator.uniform(0.15, 0.3)
    beside = size[0] > size[1]
    x, y = (size[0] * 0.2, size[1] / 2) if beside else (size[0] / 2, size[1] * 0.35)
    for face in colours[: whole(generator, 1, 3)]:
        shape(draw, generator, x + generator.normal(0, radius / 4), y, radius * generator.uniform(0.5, 1), face)
    name = word(generator)
    name = name.upper() if generator.random() < 0.4 else name.capitalize()
    letters = font(generator, radius * generator.uniform(0.6, 1.2))
    place = (size[0] * 0.4, y - radius * 0.5) if beside else (size[0] * 0.2, size[1] * 0.65)
    draw.text(place, name, fill=colours[-1] if generator.random() < 0.5 else dark(generator), font=letters)
    return image


def icon_sheet(generator: Generator, size: Size) -> Image.Image:
    """Rows of signs."""
    image, draw = sheet(size, light(generator) if generator.random() < 0.7 else dark(generator))
    n = whole(generator, 3, 9)
    cell = size[0] / n
    colours = palette(generator, whole(generator, 1, 5))
    for y in np.arange(cell / 2, size[1], cell):
        for x in np.arange(cell / 2, size[0], cell):
            for _ in range(whole(generator, 1, 3)):
                face = colours[generator.integers(len(colours))]
                shape(draw, generator, float(x), float(y), cell * generator.uniform(0.1, 0.35), face)
    return image


def road_sign(generator: Generator, size: Size) -> Image.Image:
    """A plate with a rim and a sign or a figure, on one colour."""
    image, draw = sheet(size, colour(generator) if generator.random() < 0.5 else WHITE)
    x, y, radius = size[0] / 2, size[1] / 2, min(size) * generator.uniform(0.3, 0.48)
    n = int(generator.choice([3, 4, 8, 40]))
    rim, plate = vivid(generator), light(generator)
    draw.polygon(polygon(generator, x, y, radius, n, float(np.cos(np.pi / 2 / n) ** 2)), fill=rim)
    draw.ellipse((x - radius * 0.7, y - radius * 0.7, x + radius * 0.7, y + radius * 0.7), fill=plate)
    if generator.random() < 0.5:
        figure = font(generator, radius * 0.7)
        draw.text((x - radius * 0.4, y - radius * 0.4), f"{generator.integers(10, 99)}", fill=BLACK, font=figure)
    else:
        shape(draw, generator, x, y, radius * 0.4, dark(generator))
    return image


def face(generator: Generator, size: Size) -> Image.Image:
    """A round face with eyes and a mouth."""
    image, draw = sheet(size, light(generator) if generator.random() < 0.7 else colour(generator))
    x, y, radius = size[0] / 2, size[1] / 2, min(size) * generator.uniform(0.3, 0.48)
    skin = between((255, 205, 60), vivid(generator), generator.random() * 0.5)
    rim = between(skin, BLACK, 0.5) if generator.random() < 0.5 else None
    draw.ellipse(
        (x - radius, y - radius, x + radius, y + radius), fill=skin, outline=rim, width=max(2, int(radius / 20))
    )
    ink, eye = dark(generator), radius * generator.uniform(0.06, 0.2)
    for side in (-1, 1):
        centre = x + side * radius * 0.38
        draw.ellipse((centre - eye, y - radius * 0.3 - eye, centre + eye, y - radius * 0.3 + eye), fill=ink)
    mouth = (x - radius * 0.5, y - radius * 0.2, x + radius * 0.5, y + radius * generator.uniform(0.3, 0.7))
    draw.arc(mouth, 20, 160, fill=ink, width=max(2, int(radius / 10)))
    return image


def pixel_art(generator: Generator, size: Size) -> Image.Image:
    """A figure of few large pixels in few colours, mirrored."""
    n = whole(generator, 8, 32)
    colours = np.array([colour(generator) for _ in range(whole(generator, 2, 6))], np.uint8)
    half = np.repeat(np.repeat(generator.integers(0, len(colours), (n // 2 + 1, n // 4 + 1)), 2, axis=0), 2, axis=1)
    grid = np.concatenate([half, half[:, ::-1]], axis=1)[:n]
    picture = Image.fromarray(colours[grid])
    return picture.resize(size, Image.Resampling.NEAREST)


def button(generator: Generator, size: Size) -> Image.Image:
    """A glossy button or badge: a shape shaded from light to dark, with a word or a sign."""
    back, base = light(generator), vivid(generator)
    image, draw = sheet(size, back)
    top, bottom = size[1] * 0.15, size[1] * 0.85
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (size[0] * 0.08, top, size[0] * 0.92, bottom), radius=(bottom - top) * generator.uniform(0.05, 0.5), fill=255
    )
    shades = np.linspace(0, 1, size[1])[:, None, None]
    values = np.array(between(base, WHITE, 0.5)) * (1 - shades) + np.array(between(base, BLACK, 0.3)) * shades
    gradient = Image.fromarray(np.broadcast_to(values, (size[1], size[0], 3)).astype(np.uint8))
    image.paste(gradient, mask=mask)
    letters = font(generator, (bottom - top) * 0.35)
    draw.text((size[0] * 0.25, size[1] * 0.35), word(generator).capitalize(), fill=WHITE, font=letters)
    return image
