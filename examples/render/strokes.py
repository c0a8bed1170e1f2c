"""Thousands of straight strokes: blades of grass, hairs, needles, drops."""

import numpy as np
from PIL import Image, ImageDraw

from .body import Figure
from .camera import Camera
from .noise import Array


def draw_strokes(
    picture: Array, camera: Camera, starts: Array, ends: Array, thickness: Array | float, colours: Array
) -> Array:
    """Draw strokes over linear light (H, W, 3), in the given order.

    Args:
        picture: what lies behind; light is kept up to 4, in the steps of a byte on a square-root scale.
        camera: projects the strokes.
        starts: (N, 3) metres.
        ends: (N, 3) metres.
        thickness: metres, one or (N,); no stroke gets thinner than a pixel.
        colours: (N, 3) linear light.

    Returns:
        a new picture.
    """
    canvas = Image.fromarray(_pack(picture))
    pen = ImageDraw.Draw(canvas)
    width = np.maximum(1, np.round(thickness * camera.focal_pixels / starts[:, 2])).astype(int)
    lines = np.stack([*camera.project(starts), *camera.project(ends)], axis=1).tolist()
    inks = [tuple(ink) for ink in _pack(colours).tolist()]
    for line, ink, wide in zip(lines, inks, width.tolist(), strict=True):
        pen.line(line, fill=ink, width=wide)
    touched = np.asarray(canvas)
    return np.where((touched == _pack(picture)).all(axis=2, keepdims=True), picture, _unpack(touched))


def _pack(light: Array) -> Array:
    return (np.sqrt(np.clip(light, 0, 4) / 4) * 255 + 0.5).astype(np.uint8)


def _unpack(stored: Array) -> Array:
    return ((stored.astype(np.float32) / 255) ** 2 * 4).astype(np.float32)


def comb(
    picture: Array,
    camera: Camera,
    figure: Figure,
    share: float,
    flow: tuple[float, float, float],
    length: float,
    rng: np.random.Generator,
    chosen: Array | None = None,
) -> Array:
    """Comb hairs over a figure: short strokes of its own light.

    Args:
        picture: linear light (H, W, 3) with the figure in it.
        camera: projects the hairs.
        figure: the figure.
        share: hairs per pixel of it.
        flow: where the hairs point, metres of any length.
        length: longest hair, metres.
        rng: places and varies them.
        chosen: (N,) true where hair grows; everywhere when None.
    """
    places = np.arange(len(figure.index)) if chosen is None else np.flatnonzero(chosen)
    n = int(len(places) * share)
    roots = places[rng.integers(0, len(places), n)]
    points, normals, light = figure.points[roots], figure.normals[roots], figure.light[roots]
    along = np.array(flow) + 0.25 * rng.normal(size=(n, 3))
    along = along - 0.75 * np.einsum("ij,ij->i", along, normals)[:, None] * normals
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    reach = rng.uniform(0.35, 1.0, n)[:, None] * length
    return draw_strokes(
        picture, camera, points, points + along * reach, 0.0016, light * np.exp(rng.normal(0, 0.16, n))[:, None]
    )
