"""Screens: terminals, editors, dialogs, desktops, web pages, telephones, spreadsheets."""

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
    paper_and_ink,
    paragraph,
    sheet,
    vivid,
    whole,
    word,
    words,
)  # fmt: skip
from optophone.data.drawn.plain import linear_gradient, soft_blobs

Box = tuple[float, float, float, float]


def _code_lines(draw: ImageDraw.ImageDraw, generator: Generator, box: Box, back: Colour, coloured: bool) -> None:
    """Lines of code or of a terminal: indented runs of words, each in one of few colours."""
    left, top, right, bottom = box
    text_size = float(generator.uniform(10, 22))
    type_face = font(generator, text_size, monospaced=True)
    plain = WHITE if sum(back) < 380 else dark(generator)
    inks = [plain, *(between(vivid(generator), plain, 0.3) for _ in range(4))] if coloured else [plain]
    indent = 0
    for y in np.arange(top, bottom - text_size, text_size * 1.25):
        indent = int(np.clip(indent + generator.integers(-1, 2), 0, 5))
        x = left + indent * text_size * 1.2
        if generator.random() < 0.12:
            continue
        for _ in range(whole(generator, 1, 8)):
            text = word(generator) + str(generator.choice([" ", "(", ") ", " = ", ".", ": ", " $ "]))
            width = draw.textlength(text, font=type_face)
            if x + width > right:
                break
            draw.text((x, float(y)), text, fill=inks[generator.integers(len(inks))], font=type_face)
            x += width


def terminal(generator: Generator, size: Size) -> Image.Image:
    """A text window, mostly dark, filled to some line."""
    back = dark(generator) if generator.random() < 0.75 else light(generator)
    image, draw = sheet(size, back)
    bottom = size[1] * generator.uniform(0.3, 1)
    _code_lines(draw, generator, (6, 6, size[0], bottom), back, bool(generator.random() < 0.5))
    return image


def editor(generator: Generator, size: Size) -> Image.Image:
    """A window with a side bar, tabs, line numbers and coloured code."""
    back = dark(generator) if generator.random() < 0.6 else light(generator)
    image, draw = sheet(size, back)
    side, bar = size[0] * generator.uniform(0.05, 0.3), size[1] * 0.06
    shade = between(back, BLACK if sum(back) > 380 else WHITE, 0.12)
    draw.rectangle((0, 0, side, size[1]), fill=shade)
    draw.rectangle((0, 0, size[0], bar), fill=between(shade, vivid(generator), 0.2))
    draw.rectangle((0, size[1] - bar / 2, size[0], size[1]), fill=vivid(generator))
    _code_lines(draw, generator, (4, bar + 4, side - 4, size[1] * 0.7), shade, False)
    _code_lines(draw, generator, (side + 8, bar + 4, size[0], size[1] - bar), back, True)
    return image


def _window(draw: ImageDraw.ImageDraw, generator: Generator, box: Box, face: Colour) -> None:
    """A frame with a title bar and three round buttons."""
    left, top, right, bottom = box
    bar = max((bottom - top) * 0.07, 12)
    draw.rectangle(box, fill=face, outline=between(face, BLACK, 0.4))
    title = colour(generator) if generator.random() < 0.4 else between(face, BLACK, 0.1)
    draw.rectangle((left, top, right, top + bar), fill=title)
    for i in range(3):
        x = right - bar * (i + 1)
        draw.ellipse((x, top + bar * 0.25, x + bar * 0.5, top + bar * 0.75), fill=vivid(generator))
    draw.text((left + 6, top + bar * 0.15), words(generator, 2), fill=dark(generator), font=font(generator, bar * 0.6))


def _buttons(draw: ImageDraw.ImageDraw, generator: Generator, box: Box, n: int) -> None:
    left, top, right, bottom = box
    width = (right - left) / n
    for i in range(n):
        face = vivid(generator) if i == n - 1 else (225, 225, 225)
        x = left + i * width
        draw.rounded_rectangle((x, top, x + width * 0.85, bottom), radius=(bottom - top) / 4, fill=face, outline="gray")
        text_font = font(generator, (bottom - top) * 0.5)
        draw.text((x + width * 0.2, top + 2), word(generator).capitalize()[:8], fill=dark(generator), font=text_font)


def dialog(generator: Generator, size: Size) -> Image.Image:
    """A question with buttons, in a window of its own or on a plain desktop."""
    image, draw = sheet(size, colour(generator))
    inset = generator.uniform(0, 0.25)
    box = (size[0] * inset, size[1] * inset, size[0] * (1 - inset), size[1] * (1 - inset))
    face = between(light(generator), (230, 230, 230), generator.random())
    _window(draw, generator, box, face)
    left, top, right, bottom = box
    height = bottom - top
    ink, body = dark(generator), font(generator, max(height * 0.07, 9))
    paragraph(draw, generator, (left + 20, top + height * 0.25, right - 10, top + height * 0.65), ink, body)
    _buttons(
        draw, generator, (left + (right - left) * 0.3, bottom - height * 0.2, right - 8, bottom - height * 0.07), 3
    )
    return image


def desktop(generator: Generator, size: Size) -> Image.Image:
    """Windows over a wallpaper without a photograph, with icons and a task bar."""
    wallpaper = [linear_gradient, soft_blobs][generator.integers(2)]
    image = wallpaper(generator, size) if generator.random() < 0.7 else sheet(size, colour(generator))[0]
    image = image.resize(size)
    draw = ImageDraw.Draw(image)
    unit = size[1] / 14
    for i in range(whole(generator, 0, 8)):
        x, y = unit * (0.4 + 1.8 * (i // 6)), unit * (0.5 + 2 * (i % 6))
        draw.rounded_rectangle((x, y, x + unit, y + unit), radius=unit / 5, fill=vivid(generator))
        draw.text((x, y + unit), word(generator)[:8], fill=WHITE, font=font(generator, unit * 0.35))
    for _ in range(whole(generator, 0, 3)):
        left, top = size[0] * generator.uniform(0, 0.5), size[1] * generator.uniform(0, 0.5)
        right, bottom = left + size[0] * generator.uniform(0.3, 0.6), top + size[1] * generator.uniform(0.3, 0.6)
        face, ink = paper_and_ink(generator, 0.3)
        _window(draw, generator, (left, top, right, bottom), face)
        body = font(generator, size[1] * generator.uniform(0.02, 0.04))
        paragraph(draw, generator, (left + 8, top + (bottom - top) * 0.12, right - 8, bottom), ink, body)
    draw.rectangle((0, size[1] - unit, size[0], size[1]), fill=between(dark(generator), WHITE, generator.random()))
    return image


def web_page(generator: Generator, size: Size) -> Image.Image:
    """A head, a menu, text, coloured cards and boxes where pictures would be."""
    paper, ink = paper_and_ink(generator, 0.2)
    image, draw = sheet(size, paper)
    accent = vivid(generator)
    head = size[1] * generator.uniform(0.06, 0.3)
    draw.rectangle((0, 0, size[0], head), fill=accent if generator.random() < 0.5 else between(paper, ink, 0.08))
    menu = font(generator, max(size[1] * 0.03, 8))
    for i in range(whole(generator, 2, 7)):
        draw.text((size[0] * (0.03 + 0.13 * i), head * 0.3), word(generator).capitalize(), fill=ink, font=menu)
    body = font(generator, max(size[1] * generator.uniform(0.02, 0.035), 7))
    y = head + 10
    while y < size[1]:
        height = size[1] * generator.uniform(0.1, 0.35)
        n = whole(generator, 1, 4)
        for i in range(n):
            left = size[0] * (0.04 + 0.92 * i / n)
            box = (left, y, left + size[0] * 0.85 / n, y + height * 0.9)
            if generator.random() < 0.4:
                draw.rounded_rectangle(box, radius=whole(generator, 0, 12), fill=between(paper, colour(generator), 0.5))
            else:
                paragraph(draw, generator, box, ink, body)
        y += height
    return image


def telephone(generator: Generator, size: Size) -> Image.Image:
    """The screen of a telephone: a chat, a list of settings, or rows of icons."""
    size = (min(size), max(size))
    paper, ink = paper_and_ink(generator, 0.3)
    image, draw = sheet(size, paper)
    unit = size[0] / 10
    style, y = generator.integers(3), unit * 1.5
    while y < size[1] - unit:
        if style == 0:
            height, width = unit * generator.uniform(0.8, 3), size[0] * generator.uniform(0.3, 0.75)
            mine = generator.random() < 0.5
            x = size[0] - width - unit * 0.4 if mine else unit * 0.4
            bubble = between(vivid(generator), WHITE, 0.3) if mine else between(paper, ink, 0.12)
            draw.rounded_rectangle((x, y, x + width, y + height), radius=unit * 0.4, fill=bubble)
            small = font(generator, unit * 0.4)
            paragraph(draw, generator, (x + 6, y + 4, x + width - 6, y + height), ink, small)
        elif style == 1:
            height = unit * 1.5
            draw.ellipse((unit * 0.4, y, unit * 1.4, y + unit), fill=vivid(generator))
            draw.text((unit * 1.8, y), words(generator, 2), fill=ink, font=font(generator, unit * 0.5))
            draw.line((unit * 1.8, y + height * 0.85, size[0], y + height * 0.85), fill=between(paper, ink, 0.2))
        else:
            height = unit * 2.6
            for column, face in enumerate(palette(generator, 4)):
                x = unit * (0.6 + 2.3 * column)
                draw.rounded_rectangle((x, y, x + unit * 1.6, y + unit * 1.6), radius=unit * 0.4, fill=face)
                draw.text((x, y + unit * 1.7), word(generator)[:7], fill=ink, font=font(generator, unit * 0.4))
        y += height + unit * 0.3
    return image


def spreadsheet(generator: Generator, size: Size) -> Image.Image:
    """Cells with grey heads, few of them filled."""
    image, draw = sheet(size, WHITE)
    row, column = size[1] / whole(generator, 10, 40), size[0] / whole(generator, 4, 14)
    line, type_face = (210, 210, 210), font(generator, row * 0.6)
    draw.rectangle((0, 0, size[0], row), fill=(235, 235, 235))
    draw.rectangle((0, 0, column * 0.4, size[1]), fill=(235, 235, 235))
    filled = generator.uniform(0.1, 0.9)
    for y in np.arange(0, size[1], row):
        draw.line((0, y, size[0], y), fill=line)
        for x in np.arange(column * 0.4, size[0], column):
            draw.line((x, 0, x, size[1]), fill=line)
            if generator.random() < filled:
                draw.text((x + 3, y + 1), f"{generator.normal(0, 300):.2f}", fill=dark(generator), font=type_face)
            elif generator.random() < 0.05:
                draw.rectangle((x, y, x + column, y + row), fill=between(vivid(generator), WHITE, 0.5))
    return image


def file_list(generator: Generator, size: Size) -> Image.Image:
    """Rows of small icons with names, dates and sizes, one of them chosen."""
    paper, ink = paper_and_ink(generator, 0.25)
    image, draw = sheet(size, paper)
    row = size[1] / whole(generator, 8, 30)
    type_face = font(generator, row * 0.55)
    chosen = whole(generator, 1, 7)
    draw.rectangle((0, 0, size[0], row), fill=between(paper, ink, 0.12))
    for i, y in enumerate(np.arange(row, size[1], row)):
        if i == chosen:
            draw.rectangle((0, y, size[0], y + row), fill=between(vivid(generator), paper, 0.4))
        draw.rectangle((6, y + row * 0.2, 6 + row * 0.6, y + row * 0.8), fill=between(vivid(generator), WHITE, 0.3))
        draw.text((row + 12, y + row * 0.15), words(generator, whole(generator, 1, 3)), fill=ink, font=type_face)
        draw.text((size[0] * 0.7, y + row * 0.15), f"{generator.integers(1, 999)} KB", fill=ink, font=type_face)
    return image


def game(generator: Generator, size: Size) -> Image.Image:
    """A simple flat game: platforms, blocks, a score."""
    image, draw = sheet(size, colour(generator))
    unit = size[1] / 12
    for _ in range(whole(generator, 3, 14)):
        x, y = size[0] * generator.random(), unit * whole(generator, 3, 11)
        for i in range(whole(generator, 1, 8)):
            box = (x + i * unit, y, x + (i + 1) * unit, y + unit)
            draw.rectangle(box, fill=vivid(generator) if generator.random() < 0.1 else (150, 90, 40), outline=BLACK)
    for _ in range(whole(generator, 1, 5)):
        x, y = size[0] * generator.random(), size[1] * generator.random()
        draw.ellipse((x, y, x + unit, y + unit), fill=vivid(generator), outline=BLACK, width=2)
    draw.text((8, 4), f"SCORE {generator.integers(0, 99999):05}", fill=WHITE, font=font(generator, unit * 0.7, True))
    return image
