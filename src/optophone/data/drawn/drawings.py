"""Drawings by hand or by rule: diagrams, maps, plans, notes, scribbles, cartoons."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

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
    paper_and_ink,
    paragraph,
    sheet,
    smooth_field,
    vivid,
    whole,
    word,
    words,
)  # fmt: skip
from optophone.data.drawn.symbols import polygon, shape

Point = tuple[float, float]


def wander(generator: Generator, start: Point, n: int, step: float, bend: float = 0.5) -> list[Point]:
    """A line that changes its direction a little at every step."""
    directions = np.cumsum(generator.normal(0, bend, n)) + generator.uniform(0, 2 * np.pi)
    points = np.cumsum(np.stack([np.cos(directions), np.sin(directions)], axis=1) * step, axis=0) + start
    return [(float(x), float(y)) for x, y in points]


def flow_chart(generator: Generator, size: Size) -> Image.Image:
    """Boxes with words, joined by arrows."""
    paper, ink = paper_and_ink(generator)
    image, draw = sheet(size, paper)
    n_columns, n_rows = whole(generator, 1, 4), whole(generator, 2, 6)
    width, height = size[0] / n_columns, size[1] / n_rows
    face = between(paper, vivid(generator), float(generator.choice([0, 0.3, 0.8])))
    letters, line = font(generator, height * 0.2), whole(generator, 1, 4)
    for row in range(n_rows):
        for column in range(n_columns):
            x, y = (column + 0.5) * width, (row + 0.5) * height
            if row < n_rows - 1:
                draw.line((x, y, x, y + height), fill=ink, width=line)
                draw.polygon([(x - 5, y + height * 0.65), (x + 5, y + height * 0.65), (x, y + height * 0.72)], fill=ink)
            if column < n_columns - 1 and generator.random() < 0.5:
                draw.line((x, y, x + width, y), fill=ink, width=line)
            box = (x - width * 0.38, y - height * 0.26, x + width * 0.38, y + height * 0.26)
            if generator.random() < 0.2:
                draw.polygon(polygon(generator, x, y, min(width, height) * 0.4, 2, 0.6), fill=face, outline=ink)
            else:
                draw.rounded_rectangle(box, radius=whole(generator, 0, 20), fill=face, outline=ink, width=line)
            draw.text((x - width * 0.3, y - height * 0.1), word(generator), fill=ink, font=letters)
    return image


def network(generator: Generator, size: Size) -> Image.Image:
    """Points joined by lines."""
    paper, ink = paper_and_ink(generator, 0.3)
    image, draw = sheet(size, paper)
    places = generator.uniform(0.05, 0.95, (whole(generator, 5, 60), 2)) * size
    radius, colours = min(size) * generator.uniform(0.006, 0.04), palette(generator, 4)
    for place in places:
        for other in places[np.argsort(((places - place) ** 2).sum(1))[1 : whole(generator, 2, 4)]]:
            draw.line((*place.tolist(), *other.tolist()), fill=between(ink, paper, 0.4), width=whole(generator, 1, 2))
    for x, y in places.tolist():
        face = colours[generator.integers(4)]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=face, outline=ink)
    return image


def circuit(generator: Generator, size: Size) -> Image.Image:
    """Right-angled lines with signs on them."""
    paper, ink = paper_and_ink(generator)
    image, draw = sheet(size, paper)
    unit, line = min(size) / whole(generator, 8, 24), whole(generator, 1, 3)
    for _ in range(whole(generator, 8, 40)):
        x, y = unit * whole(generator, 0, 24), unit * whole(generator, 0, 24)
        for _ in range(whole(generator, 1, 4)):
            dx, dy = [(unit, 0), (0, unit), (-unit, 0), (0, -unit)][generator.integers(4)]
            length = whole(generator, 1, 5)
            draw.line((x, y, x + dx * length, y + dy * length), fill=ink, width=line)
            x, y = x + dx * length, y + dy * length
        kind = generator.integers(3)
        box = (x - unit * 0.4, y - unit * 0.25, x + unit * 0.4, y + unit * 0.25)
        if kind == 0:
            draw.rectangle(box, fill=paper, outline=ink, width=line)
        elif kind == 1:
            draw.ellipse(box, fill=ink)
        else:
            draw.text((x, y), f"R{generator.integers(1, 40)}", fill=ink, font=font(generator, unit * 0.6))
    return image


def floor_plan(generator: Generator, size: Size) -> Image.Image:
    """Rooms between thick walls, with doors and names."""
    paper, ink = light(generator), dark(generator)
    image, draw = sheet(size, paper)
    wall = max(2, round(min(size) * 0.012))
    rooms: list[tuple[float, float, float, float]] = [(size[0] * 0.06, size[1] * 0.06, size[0] * 0.94, size[1] * 0.94)]
    for _ in range(whole(generator, 3, 9)):
        rooms.sort(key=lambda room: (room[2] - room[0]) * (room[3] - room[1]))
        left, top, right, bottom = rooms.pop()
        share = generator.uniform(0.3, 0.7)
        if right - left > bottom - top:
            middle = left + (right - left) * share
            rooms += [(left, top, middle, bottom), (middle, top, right, bottom)]
        else:
            middle = top + (bottom - top) * share
            rooms += [(left, top, right, middle), (left, middle, right, bottom)]
    letters, tinted = font(generator, min(size) * 0.04), generator.random() < 0.4
    for left, top, right, bottom in rooms:
        face = between(paper, vivid(generator), 0.2) if tinted else paper
        draw.rectangle((left, top, right, bottom), fill=face, outline=ink, width=wall)
        draw.text((left + 8, top + 8), word(generator).capitalize(), fill=ink, font=letters)
        door = min(right - left, bottom - top) * 0.3
        draw.rectangle((left + door, bottom - wall, left + 2 * door, bottom + wall), fill=paper)
        draw.arc((left, bottom - door, left + 2 * door, bottom + door), 270, 360, fill=ink)
    return image


def street_map(generator: Generator, size: Size) -> Image.Image:
    """Streets over blocks, water and parks, with names."""
    land = between((240, 235, 225), light(generator), 0.5)
    image, draw = sheet(size, land)
    for face in ((170, 210, 235), (200, 230, 180), (225, 215, 205)):
        for _ in range(whole(generator, 0, 4)):
            x, y = generator.uniform(0, 1, 2) * size
            corners = polygon(generator, float(x), float(y), min(size) * generator.uniform(0.1, 0.4), 5, 0.8)
            draw.polygon(corners, fill=between(face, colour(generator), 0.15))
    small = font(generator, max(min(size) * 0.025, 7))
    for i in range(whole(generator, 8, 40)):
        width = int(generator.choice([2, 3, 5, 9]))
        start = tuple((generator.uniform(0, 1, 2) * size).tolist())
        road = wander(generator, start, whole(generator, 6, 40), min(size) * 0.05, generator.uniform(0.02, 0.35))
        draw.line(road, fill=between(land, BLACK, 0.3), width=width + 2, joint="curve")
        draw.line(road, fill=WHITE if width < 6 else (250, 210, 110), width=width, joint="curve")
        if i % 4 == 0:
            draw.text(road[len(road) // 2], word(generator).capitalize(), fill=(80, 80, 80), font=small)
    return image


def contour_map(generator: Generator, size: Size) -> Image.Image:
    """Lines of equal height, or the outlines of countries."""
    field = smooth_field(generator, size, whole(generator, 3, 9))
    levels = np.floor(field * whole(generator, 4, 16)).astype(int)
    edges = (levels != np.roll(levels, 1, axis=0)) | (levels != np.roll(levels, 1, axis=1))
    edges[0] = edges[:, 0] = False
    paper, ink = paper_and_ink(generator)
    values = np.full((*edges.shape, 3), paper, np.uint8)
    if generator.random() < 0.6:
        colours = np.array(palette(generator, int(np.ptp(levels)) + 1), np.uint8)
        values = colours[levels - levels.min()]
    values[edges] = ink
    return Image.fromarray(values)


def shapes(generator: Generator, size: Size) -> Image.Image:
    """Flat shapes of any colour anywhere."""
    image, draw = sheet(size, colour(generator) if generator.random() < 0.6 else WHITE)
    for _ in range(whole(generator, 1, 40)):
        x, y = generator.uniform(0, 1, 2) * size
        shape(draw, generator, float(x), float(y), min(size) * generator.uniform(0.02, 0.4), colour(generator))
    return image


def sheet_music(generator: Generator, size: Size) -> Image.Image:
    """Staves with notes."""
    paper, ink = light(generator), dark(generator)
    image, draw = sheet(size, paper)
    gap = size[1] / whole(generator, 30, 90)
    top = gap * 4
    while top + 8 * gap < size[1]:
        for i in range(5):
            draw.line((size[0] * 0.04, top + i * gap, size[0] * 0.96, top + i * gap), fill=ink)
        for x in np.arange(size[0] * 0.1, size[0] * 0.95, gap * generator.uniform(2, 5)):
            y = top + gap * whole(generator, -2, 10) / 2
            draw.ellipse(
                (x, y - gap / 2, x + gap * 1.3, y + gap / 2),
                fill=ink if generator.random() < 0.8 else paper,
                outline=ink,
            )
            stem = x + gap * 1.2
            draw.line((stem, y, stem, y - gap * 3.5), fill=ink, width=max(1, round(gap / 8)))
            if generator.random() < 0.2:
                draw.line((x + gap * 3, top, x + gap * 3, top + 4 * gap), fill=ink)
        top += gap * generator.uniform(9, 14)
    return image


def crossword(generator: Generator, size: Size) -> Image.Image:
    """A square grid with black cells, letters or figures."""
    side, n = min(size), whole(generator, 6, 20)
    paper, ink = paper_and_ink(generator, 0.05)
    image, draw = sheet((side, side), paper)
    cell = side / n
    letters = font(generator, cell * 0.6)
    filled, blocked = generator.random(), generator.uniform(0, 0.3)
    for row in range(n):
        for column in range(n):
            box = (column * cell, row * cell, (column + 1) * cell, (row + 1) * cell)
            black = generator.random() < blocked
            draw.rectangle(box, fill=ink if black else paper, outline=ink)
            if not black and generator.random() < filled:
                draw.text(
                    (box[0] + cell * 0.25, box[1] + cell * 0.1), word(generator)[0].upper(), fill=ink, font=letters
                )
    return image


def scribble(generator: Generator, size: Size) -> Image.Image:
    """Lines drawn by hand without an aim, with one or more pens."""
    paper, ink = paper_and_ink(generator, 0.1)
    image, draw = sheet(size, paper)
    pens = [ink] if generator.random() < 0.5 else palette(generator, 4)
    for _ in range(whole(generator, 1, 25)):
        start = tuple((generator.uniform(0.1, 0.9, 2) * size).tolist())
        line = wander(generator, start, whole(generator, 10, 250), min(size) * 0.02, generator.uniform(0.1, 0.9))
        width = max(1, round(min(size) * generator.uniform(0.002, 0.02)))
        draw.line(line, fill=pens[generator.integers(len(pens))], width=width, joint="curve")
    return image


def _figure(draw: ImageDraw.ImageDraw, generator: Generator, x: float, y: float, height: float, line: int) -> None:
    """A person of a disc and lines, or of flat shapes."""
    ink, cloth = dark(generator), vivid(generator)
    head = height * 0.15
    if generator.random() < 0.5:
        draw.ellipse((x - head, y - height, x + head, y - height + 2 * head), outline=ink, width=line)
        draw.line((x, y - height + 2 * head, x, y - height * 0.35), fill=ink, width=line)
        for end in (-1, 1):
            draw.line((x, y - height * 0.6, x + end * height * 0.25, y - height * 0.45), fill=ink, width=line)
            draw.line((x, y - height * 0.35, x + end * height * 0.2, y), fill=ink, width=line)
        return
    skin = between((250, 220, 190), (110, 70, 40), generator.random())
    draw.rectangle((x - head * 0.7, y - height * 0.4, x + head * 0.7, y), fill=dark(generator))
    draw.rounded_rectangle((x - head, y - height * 0.72, x + head, y - height * 0.35), radius=head / 2, fill=cloth)
    draw.ellipse((x - head, y - height, x + head, y - height + 2 * head), fill=skin, outline=ink, width=line)


def cartoon(generator: Generator, size: Size) -> Image.Image:
    """A flat scene: sky, ground, sun, hills, houses, trees, people."""
    image, draw = sheet(size, between((130, 200, 250), colour(generator), 0.3))
    horizon, unit = size[1] * generator.uniform(0.4, 0.75), min(size)
    line = whole(generator, 1, 5)
    sun = unit * generator.uniform(0.05, 0.12)
    x = size[0] * generator.random()
    draw.ellipse((x - sun, sun, x + sun, 3 * sun), fill=(255, 220, 60))
    for _ in range(whole(generator, 0, 3)):
        x, width = size[0] * generator.random(), size[0] * generator.uniform(0.2, 0.6)
        box = (x - width, horizon - unit * 0.2, x + width, horizon + unit * 0.4)
        draw.ellipse(box, fill=between((90, 170, 90), colour(generator), 0.3))
    draw.rectangle((0, horizon, size[0], size[1]), fill=between((90, 190, 80), colour(generator), 0.3))
    outline = BLACK if generator.random() < 0.6 else None
    for _ in range(whole(generator, 1, 3)):
        x, y, side = size[0] * generator.random(), horizon + unit * 0.1, unit * generator.uniform(0.12, 0.3)
        draw.rectangle((x, y - side, x + side, y), fill=colour(generator), outline=outline, width=line)
        draw.polygon(
            [(x - side * 0.1, y - side), (x + side * 1.1, y - side), (x + side / 2, y - side * 1.6)],
            fill=vivid(generator),
        )
        draw.rectangle((x + side * 0.4, y - side * 0.5, x + side * 0.6, y), fill=dark(generator))
    for _ in range(whole(generator, 0, 5)):
        x, y, side = size[0] * generator.random(), horizon + unit * generator.uniform(0, 0.3), unit * 0.12
        draw.rectangle((x - side * 0.1, y - side, x + side * 0.1, y), fill=(120, 80, 40))
        draw.ellipse(
            (x - side * 0.6, y - side * 2, x + side * 0.6, y - side * 0.8), fill=(50, 140, 60), outline=outline
        )
    for _ in range(whole(generator, 0, 4)):
        x, y = size[0] * generator.random(), size[1] * generator.uniform(0.8, 0.98)
        _figure(draw, generator, x, y, unit * generator.uniform(0.2, 0.4), line)
    return image


def animal(generator: Generator, size: Size) -> Image.Image:
    """One animal of flat shapes with outlines: body, head, ears, legs, tail, an eye."""
    image, draw = sheet(size, light(generator) if generator.random() < 0.5 else colour(generator))
    fur, ink = colour(generator), BLACK if generator.random() < 0.7 else dark(generator)
    line, unit = max(1, round(min(size) * generator.uniform(0.003, 0.02))), min(size) * 0.9
    x, y = size[0] / 2, size[1] * 0.55
    for leg in np.linspace(-0.25, 0.25, whole(generator, 2, 4)):
        box = (x + unit * (leg - 0.04), y, x + unit * (leg + 0.04), y + unit * 0.35)
        draw.rounded_rectangle(box, radius=unit * 0.03, fill=fur, outline=ink, width=line)
    tail = [(x - unit * 0.3, y), (x - unit * 0.45, y - unit * generator.uniform(-0.1, 0.3))]
    draw.line(tail, fill=ink, width=line * 3)
    draw.ellipse((x - unit * 0.35, y - unit * 0.2, x + unit * 0.3, y + unit * 0.2), fill=fur, outline=ink, width=line)
    head_x, head_y, head = x + unit * 0.3, y - unit * 0.22, unit * generator.uniform(0.12, 0.2)
    for side in (-0.7, 0.7):
        ear = [
            (head_x + side * head - head * 0.3, head_y - head * 0.5),
            (head_x + side * head + head * 0.3, head_y - head * 0.5),
        ]
        draw.polygon([*ear, (head_x + side * head, head_y - head * 1.6)], fill=fur, outline=ink)
    draw.ellipse((head_x - head, head_y - head, head_x + head, head_y + head), fill=fur, outline=ink, width=line)
    eye = head * 0.18
    draw.ellipse(
        (head_x + head * 0.2 - eye, head_y - eye, head_x + head * 0.2 + eye, head_y + eye), fill=WHITE, outline=ink
    )
    return image


def comic(generator: Generator, size: Size) -> Image.Image:
    """Frames with figures and bubbles of speech."""
    image, draw = sheet(size, WHITE)
    n_columns, n_rows = whole(generator, 1, 3), whole(generator, 1, 4)
    width, height = size[0] / n_columns, size[1] / n_rows
    tinted = generator.random() < 0.6
    letters = font(generator, max(height * 0.06, 7))
    for i in range(n_columns * n_rows):
        left, top = (i % n_columns) * width + 5, (i // n_columns) * height + 5
        right, bottom = left + width - 10, top + height - 10
        back = between(colour(generator), WHITE, 0.5) if tinted else WHITE
        draw.rectangle((left, top, right, bottom), fill=back, outline=BLACK, width=3)
        for _ in range(whole(generator, 1, 3)):
            x = generator.uniform(left + width * 0.1, right - width * 0.1)
            _figure(draw, generator, float(x), bottom - 4, height * generator.uniform(0.4, 0.6), 3)
        bubble = (left + width * 0.1, top + height * 0.05, left + width * 0.75, top + height * 0.32)
        draw.ellipse(bubble, fill=WHITE, outline=BLACK, width=2)
        box = (bubble[0] + width * 0.1, bubble[1] + height * 0.06, bubble[2] - width * 0.08, bubble[3])
        paragraph(draw, generator, box, BLACK, letters)
    return image


def pencil(generator: Generator, size: Size) -> Image.Image:
    """A drawing in hatched strokes on toothy paper."""
    paper = light(generator)
    image, draw = sheet(size, paper)
    for _ in range(whole(generator, 3, 14)):
        x, y = generator.uniform(0, 1, 2) * size
        radius, angle = min(size) * generator.uniform(0.05, 0.3), generator.uniform(0, np.pi)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        grey = between(dark(generator), paper, generator.uniform(0.1, 0.7))
        for offset in np.arange(-radius, radius, generator.uniform(2, 6)):
            half = np.sqrt(max(radius**2 - offset**2, 0)) * generator.uniform(0.8, 1.1)
            ends = [(x, y) + across * offset + sign * along * half for sign in (-1, 1)]
            draw.line([(float(a), float(b)) for a, b in ends], fill=grey, width=1)
    for _ in range(whole(generator, 1, 6)):
        start = tuple((generator.uniform(0.1, 0.9, 2) * size).tolist())
        draw.line(wander(generator, start, 60, min(size) * 0.02, 0.2), fill=dark(generator), width=2)
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    tooth = generator.normal(0, generator.uniform(1, 7), (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + tooth, 0, 255).astype(np.uint8))


def painted(generator: Generator, size: Size) -> Image.Image:
    """Wide soft strokes of colour over each other, as with watercolours or a child's brush."""
    image, draw = sheet(size, light(generator))
    colours = palette(generator, 5)
    for _ in range(whole(generator, 5, 60)):
        start = tuple((generator.uniform(0, 1, 2) * size).tolist())
        stroke = wander(generator, start, whole(generator, 3, 20), min(size) * 0.04, 0.2)
        face: Colour = between(colours[generator.integers(5)], colour(generator), 0.15)
        draw.line(stroke, fill=face, width=max(2, round(min(size) * generator.uniform(0.02, 0.2))), joint="curve")
    return image.filter(ImageFilter.GaussianBlur(min(size) * generator.uniform(0, 0.008)))


def mathematics(generator: Generator, size: Size) -> Image.Image:
    """A blackboard or a page with formulas and a sketch of a curve."""
    board = generator.random() < 0.4
    paper = between((30, 60, 45), dark(generator), 0.5) if board else light(generator)
    ink = (235, 235, 225) if board else dark(generator)
    image, draw = sheet(size, paper)
    step = size[1] / whole(generator, 5, 14)
    signs = "∫∑√∂=+−×∞≤≥πλθαβγ()xyz0123456789"
    letters = font(generator, step * 0.6)
    for y in np.arange(step * 0.3, size[1] - step, step):
        text = " ".join(
            "".join(generator.choice(list(signs), whole(generator, 1, 4))) for _ in range(whole(generator, 2, 9))
        )
        draw.text((size[0] * generator.uniform(0.03, 0.3), float(y)), text, fill=ink, font=letters)
    x, y = size[0] * 0.75, size[1] * 0.75
    draw.line((x - 60, y, x + 60, y), fill=ink, width=2)
    draw.line((x, y - 60, x, y + 60), fill=ink, width=2)
    draw.text((x + 8, y + 8), words(generator, 1), fill=ink, font=letters)
    return image
