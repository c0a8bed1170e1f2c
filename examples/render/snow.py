"""A snowboarder in a red jacket rides down a slope between pines; snow sprays from the board."""

import numpy as np
from PIL import Image

from .body import Body, Bump, Light, Limb, sunlight, view_body
from .camera import Camera, Ground, view_ground
from .noise import Array, fractal_noise, mix, ridges, smoothstep
from .photograph import blur, defocus, develop
from .sky import sky_light
from .strokes import draw_strokes

SUN = Light(towards=(0.75, 0.62, -0.42), sun=(1.75, 1.62, 1.42), sky=(0.30, 0.42, 0.66), bounce=(0.50, 0.55, 0.64))
ZENITH, HORIZON = np.array([0.055, 0.19, 0.60]), np.array([0.46, 0.66, 0.92])
RED, DEEP_RED, BLACK, BOARD = (0.56, 0.018, 0.02), (0.33, 0.010, 0.014), (0.022, 0.023, 0.028), (0.03, 0.09, 0.30)
SKIN = (0.48, 0.26, 0.17)
RIDER = (0.12, 5.0)  # x, z of the middle of the board
FALL, RISE = -0.27, 0.055  # slopes of the hill: it falls to the right of the picture and rises away from the camera


def rider() -> Body:
    """A snowboarder: the board along x with its nose at +x, knees bent, arms out, the soles on y = 0."""
    limbs = [
        Limb((-0.10, 0.53, 0.09), (0.09, 0.53, 0.06), 0.150, 0.150, DEEP_RED, "jacket"),
        Limb((-0.05, 0.66, 0.08), (0.09, 0.68, 0.05), 0.150, 0.150, RED, "jacket"),
        Limb((0.03, 0.74, 0.05), (0.14, 0.97, -0.03), 0.165, 0.150, RED, "jacket"),
        Limb((0.00, 1.01, 0.0), (0.27, 1.01, -0.03), 0.110, 0.110, RED, "jacket"),
        Limb((0.155, 1.05, -0.155), (0.035, 0.58, -0.105), 0.010, 0.010, BLACK, "zip"),
        *_sleeve([(0.29, 1.02, -0.03), (0.53, 0.93, -0.08), (0.73, 1.00, -0.15)], (0.81, 1.03, -0.17)),
        *_sleeve([(-0.02, 1.02, 0.0), (-0.26, 0.94, -0.02), (-0.44, 1.09, -0.06)], (-0.50, 1.16, -0.07)),
        *_trouser_leg([(0.08, 0.50, 0.06), (0.34, 0.37, -0.13), (0.30, 0.14, 0.0)]),
        *_trouser_leg([(-0.08, 0.50, 0.06), (-0.33, 0.35, -0.13), (-0.30, 0.14, 0.0)]),
        *_head(),
        *_board(),
    ]
    return Body(tuple(limbs), softness=0.018)


def _sleeve(joints: list[tuple[float, float, float]], hand: tuple[float, float, float]) -> list[Limb]:
    return [
        Limb(joints[0], joints[1], 0.094, 0.084, RED, "sleeves"),
        Limb(joints[1], joints[2], 0.084, 0.066, RED, "sleeves"),
        Limb(joints[2], hand, 0.052, 0.055, BLACK, "gloves"),
    ]


def _trouser_leg(joints: list[tuple[float, float, float]]) -> list[Limb]:
    x, y, z = joints[2]
    return [
        Limb(joints[0], joints[1], 0.125, 0.100, BLACK, "trousers"),
        Limb(joints[1], joints[2], 0.098, 0.090, BLACK, "trousers"),
        Limb((x, y - 0.04, z + 0.05), (x + 0.02, y - 0.05, z - 0.10), 0.075, 0.065, (0.05, 0.05, 0.055), "boots"),
    ]


def _head() -> list[Limb]:
    return [
        Limb((0.17, 1.080, -0.03), (0.19, 1.170, -0.04), 0.075, 0.075, BLACK, "collar"),
        Limb((0.21, 1.220, -0.055), (0.21, 1.260, -0.05), 0.093, 0.100, SKIN, "face"),
        Limb((0.205, 1.315, -0.035), (0.195, 1.295, -0.02), 0.112, 0.118, (0.60, 0.60, 0.62), "helmet"),
        Limb((0.17, 1.275, -0.135), (0.28, 1.275, -0.105), 0.038, 0.036, (0.012, 0.014, 0.02), "goggles"),
        Limb((0.255, 1.220, -0.145), (0.255, 1.230, -0.150), 0.018, 0.015, SKIN, "face"),
    ]


def _board() -> list[Limb]:
    strips = (-0.11, -0.066, -0.022, 0.022, 0.066, 0.11)
    deck = [Limb((-0.62, 0.0, z), (0.62, 0.0, z), 0.022, 0.022, BOARD, "board") for z in strips]
    tips = [
        Limb((0.64 * side, 0.0, z), (0.79 * side, 0.06, 0.75 * z), 0.020, 0.014, (0.60, 0.48, 0.08), "board")
        for side in (-1, 1)
        for z in strips
    ]
    return deck + tips


def _height(x: Array, z: Array) -> Array:
    """The hill: it falls to the right, rises gently away from the camera and ends at a crest before the forest."""
    hill = FALL * x + RISE * z
    rolling = 0.55 * fractal_noise(x * 0.05, z * 0.06, 301, octaves=2)
    drifts = 0.10 * fractal_noise(x * 0.35, z * 0.5, 311, octaves=3)
    beyond = 0.006 * np.clip(z - 26, 0, None) ** 2
    x0, z0 = (np.full(1, value, np.float32) for value in RIDER)
    # The rolling is levelled at the rider, who stays at height zero whatever the hill does around.
    at_rider = FALL * x0 + RISE * z0 + 0.55 * fractal_noise(x0 * 0.05, z0 * 0.06, 301, octaves=2)
    return hill + rolling + drifts - beyond - at_rider[0]


def _track(x: Array, z: Array) -> Array:
    """How deep (0..1) the board has cut the snow: a curve that comes down from the upper left to the rider."""
    back = np.clip(RIDER[0] - 0.3 - x, 0, None)
    middle = RIDER[1] + 0.10 * back**1.7
    return smoothstep(0.22, 0.08, np.abs(z - middle)) * smoothstep(0.0, 0.3, back)


def _slopes(x: Array, z: Array, footprint: Array) -> tuple[Array, Array]:
    """Slopes (H, W) of the snow to the right and away, with the crust, the grain and the walls of the track."""
    step = 0.05
    grain = fractal_noise(x * 16, z * 10, 321, octaves=5, gain=0.75, footprint=footprint * 16)
    crust = fractal_noise(x * 1.8, z * 2.6, 331, octaves=4, gain=0.55, footprint=footprint * 2)
    track = _track(x, z)
    right = (_height(x + step, z) - _height(x - step, z)) / (2 * step)
    away = (_height(x, z + step) - _height(x, z - step)) / (2 * step)
    right = right + (0.30 + 0.5 * track) * grain + 0.55 * crust
    return right, away + 0.40 * crust + 0.06 * (_track(x, z + step) - track) / step


def _snow(ground: Ground, camera: Camera, body: Body) -> Array:
    """Light (H, W, 3) of the snow: sunlit slopes warm, shadows blue, a grain that sparkles nearby."""
    x, z, footprint = ground.x, ground.z, ground.footprint(camera)
    right, away = _slopes(x, z, footprint)
    normal = np.stack([-right, np.ones_like(right), -away], axis=-1)
    facing = np.clip(normal @ SUN.direction / np.linalg.norm(normal, axis=-1), 0, 1)
    share = _tree_shadow(x, z)
    near = np.flatnonzero(ground.seen & (z < 12))
    points = np.stack([x, ground.y, z], axis=-1).reshape(-1, 3)[near]
    share.reshape(-1)[near] *= sunlight(body, points, SUN, sharpness=22)
    light = (facing * share)[..., None] * np.array(SUN.sun) * 0.86
    light = light + (0.95 - 0.25 * _track(x, z))[..., None] * np.array(SUN.sky)
    return 0.68 * light + 0.7 * (_sparkle(x, z, footprint) * share)[..., None]


def _sparkle(x: Array, z: Array, footprint: Array) -> Array:
    """Rare bright grains (H, W) where a fine noise peaks."""
    return smoothstep(0.95, 1.2, fractal_noise(x * 70, z * 50, 341, octaves=2, gain=0.9, footprint=footprint * 30))


def _tree_shadow(x: Array, z: Array) -> Array:
    """Share of the sun that reaches the snow between the trees; long blue shadows lie along the forest."""
    stripes = fractal_noise(x * 0.5 + z * 0.35, z * 0.15, 351, octaves=3)
    forest = smoothstep(11, 19, z + 2 * stripes)
    return (1 - 0.75 * forest * smoothstep(0.0, 0.35, stripes)).astype(np.float32)


def _mountains(camera: Camera, light: Array) -> Array:
    """Snowy mountains far away, bluish with the air between, painted over the sky (H, W, 3)."""
    x, y = camera.directions()
    for number, (base, relief, haze) in enumerate(((0.13, 0.085, 0.55), (0.055, 0.06, 0.30))):
        crest = base + relief * (ridges(x * 3.2 + 7 * number, x * 0 + 0.3, 361 + number, octaves=5) - 0.45)
        below = crest - y
        facets = fractal_noise(x * 14 + 30 * below, y * 22, 371 + number, octaves=5, gain=0.6)
        lit = smoothstep(-0.35, 0.35, facets + 0.25)
        rock = smoothstep(
            0.05, 0.4, fractal_noise(x * 22 - 25 * below, y * 18, 381 + number, octaves=4) - 0.1 + 2.5 * below
        )
        colour = mix(np.array([0.30, 0.42, 0.66]), np.array([1.25, 1.22, 1.2]), lit)
        colour = mix(colour, np.array([0.10, 0.12, 0.16]), 0.85 * rock)
        light = mix(light, mix(colour, HORIZON, haze), smoothstep(0, 0.0025, below))
    return light


def _pines(picture: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """A forest of snow-laden pines, the far ones first, on both sides of the run."""
    z = np.sort(rng.uniform(12, 30, 90))[::-1]
    x = rng.uniform(-1.15, 1.15, 90) * 0.5 / camera.focal * z
    tops = rng.uniform(2.6, 5.6, 90)
    feet = np.stack([x, _height(x, z) - 0.1, z], axis=1)
    forest = (x + 0.05 * z < -0.096 * z) | (x + 0.05 * z > 0.16 * z)  # between them the run stays open
    boughs = [_boughs(camera, foot, top, rng) for foot, top in zip(feet[forest], tops[forest], strict=True)]
    starts, ends, colours = (np.concatenate(part) for part in zip(*boughs, strict=True))
    return draw_strokes(picture, camera, starts, ends, 0.045, colours)


def _boughs(camera: Camera, foot: Array, height: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Strokes of one pine, its boughs from the bottom up: starts, ends and colours, each (N, 3).

    Needles are darker on the side away from the sun, and snow lies on some of them.
    """
    n = int(1500 * np.clip(18 / foot[2], 0.6, 1.5) * (camera.width / 1280) ** 0.7)
    level = np.sort(rng.uniform(0.03, 1, n) ** 1.15)
    whorl = 0.78 + 0.22 * np.sin(level * height * 13 + rng.uniform(0, 6))
    reach = height * 0.22 * (1 - level) ** 0.85 * whorl * rng.uniform(0.2, 1.0, n) ** 0.5 + 0.02
    angle = rng.uniform(0, 2 * np.pi, n)
    out = np.stack([np.cos(angle) * reach, -0.38 * reach + 0.02, 0.3 * np.sin(angle) * reach], axis=1)
    stem = foot + height * level[:, None] * np.array([0, 1, 0])
    sunny = np.clip(0.45 + 0.55 * np.cos(angle) - 0.25 * np.sin(angle), 0.08, 1) * rng.uniform(0.5, 1.2, n)
    needles = np.array([0.012, 0.028, 0.022]) + sunny[:, None] * np.array([0.055, 0.075, 0.035])
    snow = np.array([0.28, 0.38, 0.56]) + sunny[:, None] * np.array([0.85, 0.78, 0.66])
    snowy = rng.uniform(size=n) < 0.24 + 0.24 * (np.cos(angle) > 0)
    colours = mix(np.where(snowy[:, None], snow, needles), HORIZON, 1 - np.exp(-foot[2] / 160))
    above = np.where(snowy, 0.045, 0.0)[:, None] * np.array([0, 1, 0])
    return stem + 0.55 * out + above, stem + out + above, colours


def _spray(picture: Array, camera: Camera, seat: Array, rng: np.random.Generator) -> Array:
    """The plume of snow behind the board: a soft cloud of many puffs, and grains thrown out of it."""
    n = 5200
    age = rng.uniform(0, 1, n) ** 0.7
    fan = rng.uniform(0, 1, n) ** 1.3
    along = -0.46 - 1.8 * age + rng.normal(0, 0.06, n)
    lift = 0.02 + (0.25 + 1.0 * np.sqrt(age)) * fan * np.clip(1.25 - age, 0, 1)
    across = rng.normal(-0.05, 0.10 + 0.2 * age, n)
    points = seat + np.stack([along, lift + FALL * along, across], axis=1)
    columns, rows = camera.project(points)
    inside = (columns > 0) & (columns < camera.width - 1) & (rows > 0) & (rows < camera.height - 1)
    cloud = np.zeros(picture.shape[:2], np.float32)
    clumps = np.exp(1.2 * fractal_noise(points[:, 0] * 4, points[:, 1] * 5, 401, octaves=3))
    weight = (clumps * (1.25 - age) * (1.15 - fan))[inside].astype(np.float32)
    np.add.at(cloud, (rows[inside].astype(int), columns[inside].astype(int)), weight)
    scale = camera.width / 1280
    density = 16 * scale**2 * (0.6 * blur(cloud, 3 * scale) + blur(cloud, 7 * scale) + 1.3 * blur(cloud, 18 * scale))
    shaded = np.clip(blur(cloud, 12 * scale) * 9 * scale**2, 0, 1)
    lit = np.array([1.45, 1.43, 1.40]) - shaded[..., None] * np.array([0.60, 0.46, 0.24])
    picture = mix(picture, lit, 0.94 * (1 - np.exp(-density)))
    grains = rng.uniform(size=n) < 0.28
    flight = rng.normal(0, 0.010, (n, 3)) + np.array([-0.014, 0.008, 0])
    light = rng.uniform(0.8, 1.45, (n, 1)) * np.array([0.98, 1.0, 1.04])
    size = rng.uniform(0.001, 0.007, n)
    return draw_strokes(picture, camera, points[grains], (points + flight)[grains], size[grains], light[grains])


def render(width: int, seed: int) -> Image.Image:
    """Render the snow (3/4 as high as wide)."""
    rng = np.random.default_rng(seed)
    camera = Camera(2 * width, 2 * (width * 3 // 4), focal=1.2, horizon=0.50, eye=0.95)
    ground = view_ground(camera, _height, 1.6, 70.0)
    seat = (RIDER[0], 0.03, RIDER[1])
    body = rider().placed(seat, turn=16, tilt=-15)
    sky = sky_light(*camera.directions(), 391, 0.25, ZENITH, HORIZON, scale=0.4)
    picture = np.where(ground.seen[..., None], _snow(ground, camera, body), _mountains(camera, sky)).astype(np.float32)
    picture = _pines(picture, camera, rng)
    depth = np.where(ground.seen, ground.z, 40.0)
    radius = camera.width / 1280 * 1.8 * np.clip(1 - (RIDER[1] + 2.0) / depth, 0, 1)
    picture = defocus(picture, blur(radius.astype(np.float32), 4))
    figure = view_body(camera, body, SUN, Bump(0.13, 0.62, 13), gloss=0.018)
    figure.paste(picture)
    picture = _spray(picture, camera, np.array(seat), rng)
    return develop(picture, rng, exposure=0.95)
