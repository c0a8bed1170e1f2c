"""A brown and white dog runs after a ball on a lawn, with trees out of focus behind it."""

import numpy as np
from PIL import Image

from .body import Body, Bump, Light, Limb, sunlight, view_body
from .camera import Camera, Ground, view_ground
from .noise import Array, fractal_noise, mix, smoothstep
from .photograph import blur, defocus, develop
from .strokes import comb, draw_strokes

SUN = Light(towards=(-0.55, 0.95, -0.55), sun=(1.75, 1.55, 1.2), sky=(0.30, 0.36, 0.43), bounce=(0.12, 0.17, 0.06))
BROWN, DARK, WHITE = (0.30, 0.13, 0.05), (0.11, 0.048, 0.022), (0.78, 0.74, 0.66)
DOG_DEPTH = 3.3


def dog() -> Body:
    """A dog at a gallop towards +x, paws on y = 0."""
    trunk = [
        Limb((0.27, 0.47, 0), (0.06, 0.46, 0), 0.125, 0.122, BROWN),
        Limb((0.08, 0.46, 0), (-0.20, 0.50, 0), 0.115, 0.082, BROWN),
        Limb((0.16, 0.53, 0), (-0.26, 0.545, 0), 0.072, 0.062, DARK),
        Limb((0.22, 0.37, 0), (0.02, 0.385, 0), 0.068, 0.055, WHITE),
        Limb((-0.20, 0.50, 0), (-0.30, 0.49, 0), 0.092, 0.088, BROWN),
        Limb((0.34, 0.42, 0), (0.24, 0.37, 0), 0.082, 0.075, WHITE),
        Limb((0.30, 0.53, 0), (0.48, 0.69, 0), 0.100, 0.074, BROWN),
        Limb((0.37, 0.47, 0), (0.47, 0.61, 0), 0.066, 0.048, WHITE),
        Limb((0.392, 0.605, 0), (0.410, 0.621, 0), 0.098, 0.096, (0.02, 0.05, 0.20), "collar"),
        Limb((-0.34, 0.53, 0), (-0.50, 0.64, 0.01), 0.034, 0.030, BROWN),
        Limb((-0.50, 0.64, 0.01), (-0.64, 0.77, 0.02), 0.028, 0.022, BROWN),
        Limb((-0.64, 0.77, 0.02), (-0.68, 0.84, 0.02), 0.020, 0.012, WHITE),
    ]
    return Body(tuple(trunk + _head() + _legs()), softness=0.017)


def _head() -> list[Limb]:
    head = [
        Limb((0.505, 0.715, 0), (0.545, 0.722, 0), 0.083, 0.075, BROWN),
        Limb((0.56, 0.695, -0.018), (0.68, 0.664, -0.010), 0.044, 0.026, BROWN),
        Limb((0.56, 0.695, 0.018), (0.68, 0.664, 0.010), 0.044, 0.026, BROWN),
        Limb((0.58, 0.735, 0), (0.705, 0.682, 0), 0.026, 0.026, WHITE),
        Limb((0.55, 0.648, 0), (0.645, 0.610, 0), 0.032, 0.018, WHITE, "jaw"),
        Limb((0.59, 0.645, 0), (0.665, 0.578, -0.014), 0.018, 0.015, (0.55, 0.12, 0.13), "tongue"),
        Limb((0.722, 0.686, 0), (0.730, 0.680, 0), 0.020, 0.018, (0.012, 0.011, 0.012), "nose"),
    ]
    for side in (-1, 1):
        head += [
            Limb((0.495, 0.780, 0.05 * side), (0.445, 0.750, 0.098 * side), 0.034, 0.036, DARK, "ears"),
            Limb((0.445, 0.750, 0.098 * side), (0.415, 0.665, 0.10 * side), 0.034, 0.018, DARK, "ears"),
            Limb(
                (0.597, 0.737, 0.044 * side), (0.600, 0.736, 0.045 * side), 0.0125, 0.0125, (0.01, 0.008, 0.006), "eyes"
            ),
        ]
    return head


def _leg(joints: list[tuple[float, float, float]], radii: list[float], white_from: int) -> list[Limb]:
    return [
        Limb(joints[i], joints[i + 1], radii[i], radii[i + 1], WHITE if i >= white_from else BROWN)
        for i in range(len(joints) - 1)
    ]


def _legs() -> list[Limb]:
    fore, hind = [0.072, 0.046, 0.026, 0.024, 0.027], [0.092, 0.058, 0.027, 0.023, 0.026]
    near_fore = [
        (0.28, 0.43, -0.07),
        (0.24, 0.30, -0.08),
        (0.32, 0.16, -0.08),
        (0.33, 0.05, -0.08),
        (0.37, 0.03, -0.08),
    ]
    far_fore = [(0.29, 0.43, 0.07), (0.37, 0.33, 0.08), (0.52, 0.28, 0.08), (0.60, 0.22, 0.08), (0.635, 0.215, 0.08)]
    near_hind = [
        (-0.27, 0.47, -0.06),
        (-0.23, 0.30, -0.08),
        (-0.43, 0.23, -0.08),
        (-0.52, 0.08, -0.08),
        (-0.50, 0.04, -0.08),
    ]
    far_hind = [(-0.25, 0.47, 0.06), (-0.10, 0.32, 0.08), (-0.23, 0.19, 0.08), (-0.18, 0.05, 0.08), (-0.14, 0.03, 0.08)]
    return [*_leg(near_fore, fore, 2), *_leg(far_fore, fore, 2), *_leg(near_hind, hind, 3), *_leg(far_hind, hind, 3)]


def _sunlit(x: Array, z: Array) -> Array:
    """Share of the sun (…) that the trees let through at places on the lawn."""
    dapple = fractal_noise(x * 0.55 + 3, z * 0.4, 71, octaves=3)
    behind = smoothstep(7.5, 9.5, z + 0.8 * dapple)
    return (1 - 0.72 * behind) * (0.55 + 0.45 * smoothstep(-0.62, -0.25, dapple))


def _ground_shadow(body: Body, x: Array, z: Array) -> Array:
    """Share of sun and sky (N,) at places on the lawn around the dog."""
    points = np.stack([x, np.full_like(x, 0.04), z], axis=1)
    share = np.ones(len(x), np.float32)
    near = np.flatnonzero((np.abs(x) < 2.2) & (np.abs(z - DOG_DEPTH - 0.4) < 1.6))
    share[near] = sunlight(body, points[near], SUN, sharpness=9)
    return share


def _lawn(ground: Ground, camera: Camera) -> Array:
    """The lawn from above, under the blades."""
    footprint = ground.footprint(camera)
    patches = fractal_noise(ground.x * 0.6, ground.z * 0.6, 11, octaves=3)
    fine = fractal_noise(ground.x * 30, ground.z * 12, 21, octaves=4, gain=0.7, footprint=footprint * 20)
    green = mix(
        np.array([0.055, 0.098, 0.020]),
        np.array([0.135, 0.175, 0.042]),
        np.clip(0.5 + 0.6 * patches + 0.9 * fine, 0, 1),
    )
    straw = smoothstep(0.25, 0.75, fractal_noise(ground.x * 1.7 + 9, ground.z * 1.3, 31, octaves=3))
    green = mix(green, np.array([0.24, 0.21, 0.08]), 0.4 * straw)
    return green * (0.5 + 0.95 * _sunlit(ground.x, ground.z))[..., None] * (1 + 0.35 * fine)[..., None]


def _trees(camera: Camera, rng: np.random.Generator) -> Array:
    """Foliage in the sun and in the shade with glimpses of the sky, trunks, a dark hedge along the lawn's end."""
    x, y = (22 * direction for direction in camera.directions())
    light = fractal_noise(x * 0.45, y * 0.5, 41, octaves=5, gain=0.6)
    leaves = fractal_noise(x * 2.2, y * 2.4, 51, octaves=4, gain=0.7)
    colour = mix(
        np.array([0.018, 0.040, 0.012]), np.array([0.16, 0.26, 0.055]), smoothstep(-0.5, 0.75, light + 0.6 * leaves)
    )
    for _ in range(9):
        centre, width = rng.uniform(-9, 9), rng.uniform(0.12, 0.32)
        bend = 0.25 * fractal_noise(y * 0.3, np.full_like(y, centre), 61, octaves=2)
        trunk = smoothstep(1.0, 0.75, np.abs(x - centre - bend) / width) * smoothstep(0.15, -0.1, light - 0.15)
        bark = mix(
            np.array([0.035, 0.026, 0.018]),
            np.array([0.15, 0.12, 0.085]),
            smoothstep(0.4, -0.9, (x - centre - bend) / width),
        )
        colour = mix(colour, bark, trunk)
    gaps = smoothstep(0.42, 0.62, leaves - 0.35 * light + 0.10 * (y - 2.0))
    colour = mix(colour, np.array([1.5, 1.65, 1.75]), gaps * 0.9)
    hedge = smoothstep(0.75, 0.1, y + 0.45 * fractal_noise(x * 0.7, x * 0, 81, octaves=3))
    return mix(colour, np.array([0.02, 0.042, 0.012]) * (1 + 0.6 * leaves)[..., None], 0.8 * hedge)


def _blades(
    picture: Array, camera: Camera, body: Body, depths: tuple[float, float], n: int, rng: np.random.Generator
) -> Array:
    """Draw blades of grass between two depths, the far ones first, each lit by the sun that reaches its foot."""
    near, far = depths
    z = np.sort(1 / rng.uniform(1 / far, 1 / near, n))[::-1].astype(np.float32)
    x = (rng.uniform(-0.56, 0.56, n) / camera.focal * z).astype(np.float32)
    tufts = fractal_noise(x * 5, z * 5, 91, octaves=2)
    length = rng.gamma(7, 0.0065, n) * (1 + 0.6 * tufts)
    lean = rng.normal(0.012, 0.022, n)
    foot = np.stack([x, np.zeros(n), z], axis=1)
    tip = foot + np.stack([lean, length, rng.normal(0, 0.01, n)], axis=1)
    colour = _blade_colours(x, z, tufts, rng) * (0.32 + 1.15 * _sunlit(x, z) * _ground_shadow(body, x, z))[:, None]
    return draw_strokes(picture, camera, foot, tip, 0.0034, colour)


def _blade_colours(x: Array, z: Array, tufts: Array, rng: np.random.Generator) -> Array:
    n = len(x)
    patches = np.clip(0.5 + 0.6 * fractal_noise(x * 0.6, z * 0.6, 11, octaves=3) + rng.normal(0, 0.28, n), 0, 1)
    colour = mix(np.array([0.062, 0.115, 0.020]), np.array([0.185, 0.235, 0.055]), patches)
    dry = rng.uniform(size=n) < 0.06 + 0.08 * smoothstep(0, 0.6, tufts)
    colour[dry] = (0.36, 0.32, 0.15)
    return colour * np.exp(rng.normal(-0.12, 0.38, n))[:, None]


def render(width: int, seed: int) -> Image.Image:
    """Render the lawn (3/4 as high as wide)."""
    rng = np.random.default_rng(seed)
    camera = Camera(2 * width, 2 * (width * 3 // 4), focal=1.45, horizon=0.27, eye=0.78)
    ground = view_ground(camera, lambda x, z: 0.03 * fractal_noise(x * 0.3, z * 0.3, 5, octaves=2), 1.2, 26.0)
    body = dog().placed((-0.06, 0.0, DOG_DEPTH), turn=24)
    ball = Body((Limb((0.84, 0.36, 2.95), (0.841, 0.36, 2.95), 0.055, 0.055, (0.62, 0.035, 0.02)),), softness=0.004)
    density = camera.width / 1280

    picture = np.where(ground.seen[..., None], _lawn(ground, camera), _trees(camera, rng)).astype(np.float32)
    flat = np.flatnonzero(ground.seen)
    shadow = _ground_shadow(body, ground.x.reshape(-1)[flat], ground.z.reshape(-1)[flat])
    picture.reshape(-1, 3)[flat] *= (0.35 + 0.65 * shadow)[:, None]
    picture = _blades(picture, camera, body, (DOG_DEPTH + 0.05, 12.0), int(60000 * density), rng)
    depth = np.where(ground.seen, ground.z, 60.0)
    radius = 7.5 * density * np.clip(1 - (DOG_DEPTH + 0.9) / depth, 0, 1) * 1.6
    picture = defocus(picture, blur(radius.astype(np.float32), 2))

    for thing, bump in ((body, Bump(0.03, 0.28, 7)), (ball, Bump(0.01, 0.1, 8))):
        figure = view_body(camera, thing, SUN, bump, gloss=0.02)
        figure.paste(picture)
        if thing is body:
            coat = figure.albedo[:, 0] > 0.05
            picture = comb(picture, camera, figure, 0.2, (-0.8, -0.55, 0.25), 0.022, rng, coat)
    picture = _blades(picture, camera, body, (1.35, DOG_DEPTH - 0.02), int(26000 * density), rng)
    front = np.where(
        ground.seen & (ground.z < DOG_DEPTH - 0.5), 9 * density * (DOG_DEPTH - 0.5 - ground.z) / ground.z, 0
    )
    picture = defocus(picture, front.astype(np.float32))
    return develop(picture, rng, exposure=1.1)
