"""A boy in red swimming trunks runs along the water's edge; waves break behind him."""

import numpy as np
from PIL import Image

from .body import Body, Bump, Light, Limb, shade, sunlight, trace, view_body
from .camera import Camera, Ground, view_ground
from .noise import Array, fractal_noise, gradient_noise, mix, ridges, smoothstep
from .photograph import blur, defocus, develop
from .sky import sky_light
from .strokes import comb, draw_strokes

SUN = Light(towards=(0.45, 0.8, -0.75), sun=(1.85, 1.65, 1.35), sky=(0.42, 0.52, 0.66), bounce=(0.26, 0.22, 0.16))
ZENITH, HORIZON = np.array([0.16, 0.36, 0.72]), np.array([0.66, 0.78, 0.88])
SKIN, RED, HAIR = (0.50, 0.245, 0.14), (0.50, 0.022, 0.028), (0.075, 0.042, 0.022)
BOY_DEPTH = 4.2
SHORE = 6.0  # metres from the camera to the edge of the water, straight ahead


def boy() -> Body:
    """A boy of 1.3 m running towards +x, the ball of his near foot on y = 0."""
    trunk = [
        Limb((0.00, 0.72, -0.06), (0.05, 0.96, -0.085), 0.088, 0.092, SKIN),
        Limb((0.00, 0.72, 0.06), (0.05, 0.96, 0.085), 0.088, 0.092, SKIN),
        Limb((0.015, 0.74, 0), (0.062, 0.96, 0), 0.090, 0.096, SKIN),
        Limb((0.06, 1.02, -0.13), (0.06, 1.02, 0.13), 0.052, 0.052, SKIN),
        Limb((0.065, 1.03, 0), (0.095, 1.13, 0), 0.050, 0.043, SKIN),
    ]
    head = [
        Limb((0.115, 1.225, 0), (0.105, 1.255, 0), 0.082, 0.090, SKIN),
        Limb((0.140, 1.170, 0), (0.152, 1.165, 0), 0.050, 0.040, SKIN),
        Limb((0.192, 1.215, 0), (0.205, 1.205, 0), 0.014, 0.013, SKIN),
        Limb((0.090, 1.210, -0.090), (0.085, 1.230, -0.095), 0.017, 0.019, SKIN, "ears"),
        Limb((0.180, 1.236, -0.036), (0.181, 1.236, -0.036), 0.006, 0.006, (0.03, 0.02, 0.015), "eyes"),
        Limb((0.180, 1.236, 0.036), (0.181, 1.236, 0.036), 0.006, 0.006, (0.03, 0.02, 0.015), "eyes"),
        Limb((0.186, 1.256, -0.045), (0.188, 1.260, -0.022), 0.005, 0.005, (0.10, 0.055, 0.03), "brows"),
        Limb((0.186, 1.256, 0.045), (0.188, 1.260, 0.022), 0.005, 0.005, (0.10, 0.055, 0.03), "brows"),
        Limb((0.182, 1.166, -0.018), (0.182, 1.166, 0.018), 0.007, 0.007, (0.30, 0.08, 0.07), "lips"),
        Limb((0.080, 1.285, 0), (0.120, 1.302, 0), 0.090, 0.074, HAIR, "hair"),
        Limb((0.050, 1.215, 0), (0.068, 1.275, 0), 0.080, 0.090, HAIR, "hair"),
    ]
    return Body(tuple(trunk + head + _arms() + _legs() + _trunks()), softness=0.012)


def _chain(joints: list[tuple[float, float, float]], radii: list[float]) -> list[Limb]:
    return [Limb(joints[i], joints[i + 1], radii[i], radii[i + 1], SKIN) for i in range(len(joints) - 1)]


def _arms() -> list[Limb]:
    radii = [0.042, 0.032, 0.024, 0.028]
    return [
        *_chain([(0.06, 1.02, -0.165), (-0.13, 0.87, -0.24), (-0.23, 0.69, -0.22), (-0.24, 0.63, -0.21)], radii),
        *_chain([(0.06, 1.02, 0.165), (0.16, 0.86, 0.27), (0.33, 0.94, 0.28), (0.38, 0.98, 0.27)], radii),
    ]


def _legs() -> list[Limb]:
    radii = [0.074, 0.043, 0.045, 0.027, 0.026, 0.018]
    far = [
        (0.0, 0.66, 0.07),
        (-0.03, 0.39, 0.075),
        (-0.10, 0.29, 0.075),
        (-0.23, 0.10, 0.075),
        (-0.24, 0.06, 0.075),
        (-0.13, 0.02, 0.08),
    ]
    near = [
        (0.02, 0.66, -0.07),
        (0.27, 0.57, -0.075),
        (0.265, 0.45, -0.075),
        (0.19, 0.24, -0.075),
        (0.20, 0.20, -0.075),
        (0.31, 0.17, -0.08),
    ]
    return [*_chain(near, radii), *_chain(far, radii)]


def _trunks() -> list[Limb]:
    return [
        Limb((-0.008, 0.735, -0.055), (0.0, 0.66, -0.06), 0.100, 0.108, RED, "trunks"),
        Limb((-0.008, 0.735, 0.055), (0.0, 0.66, 0.06), 0.100, 0.108, RED, "trunks"),
        Limb((0.0, 0.65, 0.07), (-0.015, 0.49, 0.078), 0.098, 0.088, RED, "trunks"),
        Limb((0.02, 0.66, -0.07), (0.19, 0.605, -0.075), 0.098, 0.086, RED, "trunks"),
    ]


def _offshore(x: Array, z: Array) -> Array:
    """Metres beyond the edge of the water, negative on the sand; the edge is made of the tongues of spent waves."""
    tongues = 0.55 * gradient_noise(x * 0.35, x * 0 + 0.5, 101) + 0.18 * gradient_noise(x * 1.1, x * 0 + 7.5, 102)
    return z - SHORE - tongues + 0.12 * x


def _waves(x: Array, z: Array) -> tuple[Array, Array]:
    """Height of the sea (metres) and share of white water on its crests."""
    off = _offshore(x, z)
    height: Array = np.zeros_like(z)
    white: Array = np.zeros_like(z)
    for number, (distance, top, broken) in enumerate(((4.6, 0.34, 0.75), (13.5, 0.62, 0.15), (31.0, 0.7, -0.1))):
        swing = 1.4 * gradient_noise(x * 0.09 / (1 + 0.4 * number), x * 0 + number, 110 + number)
        ahead = off - distance - swing
        power = np.clip(
            0.75 + 0.55 * gradient_noise(x * 0.12 / (1 + 0.5 * number), x * 0 + 3.3, 120 + number), 0.2, 1.2
        )
        shape = np.where(
            ahead < 0, np.exp(-((ahead / (0.35 + 0.2 * number)) ** 2)), np.exp(-((ahead / (1.6 + number)) ** 2))
        )
        height = height + top * power * shape
        spilled = smoothstep(-0.75 - 0.5 * number, -0.1, ahead) * smoothstep(0.55 + 0.2 * number, 0.05, ahead)
        white = np.maximum(white, spilled * smoothstep(0.95 - broken, 1.25 - broken, power + 0.25))
    calm = smoothstep(0.5, 4, off)
    height = height + calm * 0.06 * fractal_noise(x * 0.35, z * 0.9, 130, octaves=2)
    return height * smoothstep(0.2, 2.5, off), white


def _height(x: Array, z: Array) -> Array:
    height, white = _waves(x, z)
    return height + 0.12 * white * np.abs(fractal_noise(x * 1.6, z * 1.2, 140, octaves=3))


def _sky(across: Array, up: Array) -> Array:
    return sky_light(across, up, 150, 0.42, ZENITH, HORIZON, scale=0.55)


def _sand(ground: Ground, footprint: Array, off: Array) -> tuple[Array, Array]:
    """Colour (H, W, 3) and wetness (H, W) of the sand; it dries with the distance from the water."""
    grain = fractal_noise(ground.x * 60, ground.z * 30, 161, octaves=4, gain=0.8, footprint=footprint * 45)
    swell = fractal_noise(ground.x * 1.2, ground.z * 2.2, 171, octaves=4, footprint=footprint * 2)
    wet = smoothstep(-3.2, -1.9, off + 0.5 * swell)
    sand = np.array([0.46, 0.36, 0.245]) * (1 + 0.30 * grain + 0.16 * swell)[..., None]
    shells = smoothstep(
        0.55, 0.7, fractal_noise(ground.x * 14, ground.z * 14, 175, octaves=2, footprint=footprint * 14)
    )
    sand = mix(sand, np.array([0.16, 0.12, 0.085]), 0.6 * shells * (1 - 0.6 * wet))
    return sand * (1 - 0.56 * wet)[..., None] * np.array([1.62, 1.55, 1.45]), wet


def _sea(ground: Ground, footprint: Array, off: Array) -> Array:
    """Light (H, W, 3) of the water: the sky mirrored at grazing angles, green depth through the faces of the waves."""
    x, z = ground.x, ground.z
    step = 0.04
    rise = (_height(x, z + step) - _height(x, z - step)) / (2 * step)
    ripples = fractal_noise(x * 1.3, z * 3.2, 181, octaves=5, gain=0.62, footprint=footprint * 3)
    tilt = rise * 0.8 + 0.22 * ripples
    grazing = np.clip(1.25 / z - 0.9 * np.maximum(-tilt, 0) + 0.45 * np.maximum(tilt, 0), 0.02, 1)
    mirror = 0.04 + 0.75 * (1 - grazing) ** 5
    deep = mix(np.array([0.13, 0.21, 0.19]), np.array([0.025, 0.115, 0.17]), smoothstep(1, 22, off))
    deep = mix(deep, np.array([0.10, 0.30, 0.27]), np.clip(tilt * 0.7, 0, 0.8))
    reflected = _sky(x / z + 0.1 * ripples, np.clip(0.12 + 0.35 * np.abs(tilt), 0.05, 0.7))
    water = mix(deep * (1 + 0.35 * ripples)[..., None], reflected, np.clip(mirror, 0, 0.75))
    haze = 1 - np.exp(-z / 260)
    return mix(water, HORIZON * 0.8, 0.75 * haze)


def _foam(ground: Ground, footprint: Array, off: Array) -> tuple[Array, Array]:
    """Cover (H, W) and light (H, W, 3) of the foam: breaking crests, nets left between them, the lace at the edge."""
    x, z = ground.x, ground.z
    _, white = _waves(x, z)
    warp = 0.35 * gradient_noise(x * 1.1, z * 1.1, 195)
    net = ridges(x * 1.9 + warp, z * 1.4 + warp, 191, octaves=3)
    amount = 0.5 + 0.5 * fractal_noise(x * 0.5, z * 0.35, 201, octaves=3)
    lace = (
        smoothstep(0.82 - 0.34 * amount, 1.0 - 0.34 * amount, net)
        * smoothstep(0.0, 0.25, off)
        * smoothstep(9.5, 1.0, off)
    )
    rim = smoothstep(-0.02, 0.03, off) * smoothstep(0.40, 0.04, off + 0.12 * net) * (0.55 + 0.45 * net)
    boil = fractal_noise(x * 3.2, z * 2.2, 211, octaves=5, gain=0.65, footprint=footprint * 3)
    crest = smoothstep(0.25, 0.6, white + 0.35 * boil * white)
    cover = np.clip(np.maximum(np.maximum(0.85 * lace, rim), crest), 0, 1)
    light = np.array([1.28, 1.28, 1.26]) * np.clip(0.74 + 0.34 * boil, 0.35, 1.15)[..., None]
    return cover, light


def _reflection(camera: Camera, ground: Ground, body: Body, among: Array) -> tuple[Array, Array]:
    """Flat positions (N,) among the pixels `among` that mirror the body in the ground, and its light (N, 3)."""
    points = np.stack([ground.x, np.zeros_like(ground.x), ground.z], axis=-1).reshape(-1, 3)
    wanted = np.flatnonzero(among.reshape(-1))
    wanted = wanted[np.abs(points[wanted, 0]) < 1.2]
    rays = points[wanted] - camera.position
    rays[:, 1] *= -1
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    far = trace(body, points[wanted], rays)
    hit = np.isfinite(far)
    met = points[wanted[hit]] + far[hit][:, None] * rays[hit]
    return wanted[hit], shade(body, met, body.normal(met), body.colour(met), SUN)


def _boy_shadow(ground: Ground, body: Body) -> Array:
    """Share of the sun (H, W) that the boy leaves to the ground."""
    near = np.flatnonzero(ground.seen & (ground.z < 8))
    points = np.stack([ground.x, np.zeros_like(ground.x), ground.z], axis=-1).reshape(-1, 3)[near]
    share = np.ones(ground.x.shape, np.float32)
    share.reshape(-1)[near] = sunlight(body, points, SUN, sharpness=16)
    return share


def _mirrored(camera: Camera, ground: Ground, footprint: Array, body: Body) -> Array:
    """Light (H, W, 3) that the ground would throw back if it were a rippled mirror: the sky and the boy."""
    wobble = 0.03 * fractal_noise(ground.x * 6, ground.z * 5, 221, octaves=3, footprint=footprint * 5)
    light = _sky(ground.x / ground.z, np.clip(camera.eye / ground.z + wobble, 0.02, 1)).astype(np.float32)
    where, boy_light = _reflection(camera, ground, body, ground.seen & (ground.z < 8))
    light.reshape(-1, 3)[where] = boy_light
    return blur(light, camera.width / 700)


def _shore(camera: Camera, ground: Ground, body: Body) -> Array:
    """Everything on the ground, with the sky and the boy mirrored in what is wet and the boy's shadow."""
    footprint = ground.footprint(camera)
    off = _offshore(ground.x, ground.z)
    sand, wet = _sand(ground, footprint, off)
    shadow = _boy_shadow(ground, body)
    shine = np.clip(0.05 + 0.8 * (1 - np.clip(camera.eye / ground.z, 0, 1)) ** 4, 0, 0.6)
    shine = shine * np.clip(0.75 * wet + 0.25 * smoothstep(-0.05, 0.1, off), 0, 1)
    picture = mix(sand * (0.36 + 0.64 * shadow)[..., None], _mirrored(camera, ground, footprint, body), shine)
    sea = _sea(ground, footprint, off) * (0.7 + 0.3 * shadow)[..., None]
    picture = mix(picture, sea, smoothstep(0.15, 1.8, off))
    cover, foam = _foam(ground, footprint, off)
    under_rim = smoothstep(-0.14, -0.01, off) * smoothstep(0.03, 0.0, off)
    return mix(picture * (1 - 0.3 * under_rim)[..., None], foam * (0.55 + 0.45 * shadow)[..., None], cover)


def _splash(picture: Array, camera: Camera, foot: Array, rng: np.random.Generator) -> Array:
    """Drops thrown up behind the foot, short bright streaks along their flight."""
    n = 420
    speed = np.stack([rng.normal(-0.35, 0.75, n), rng.gamma(3.0, 0.42, n), rng.normal(0, 0.4, n)], axis=1)
    age = rng.uniform(0.02, 0.22, n)[:, None]
    fall = np.array([0, -4.9, 0])
    points = foot + speed * age + fall * age**2
    ends = foot + speed * (age + 0.006) + fall * (age + 0.006) ** 2
    keep = points[:, 1] > 0
    colours = rng.uniform(0.7, 1.5, n)[:, None] * np.array([1.0, 1.02, 1.05])
    return draw_strokes(picture, camera, points[keep], ends[keep], rng.uniform(0.001, 0.005, n)[keep], colours[keep])


def render(width: int, seed: int) -> Image.Image:
    """Render the beach (3/4 as high as wide)."""
    rng = np.random.default_rng(seed)
    camera = Camera(2 * width, 2 * (width * 3 // 4), focal=1.3, horizon=0.36, eye=1.15)
    ground = view_ground(camera, _height, 2.0, 900.0)
    body = boy().placed((-0.05, 0.0, BOY_DEPTH), turn=34)
    sky = _sky(*camera.directions())
    picture = np.where(ground.seen[..., None], _shore(camera, ground, body), sky).astype(np.float32)
    depth = np.where(ground.seen, ground.z, 900.0)
    radius = camera.width / 1280 * 2.4 * np.clip(1 - (BOY_DEPTH + 1.5) / depth, 0, 1)
    picture = defocus(picture, radius.astype(np.float32))
    figure = view_body(camera, body, SUN, Bump(0.05, 0.16, 9), gloss=0.05)
    figure.paste(picture)
    hair = (figure.albedo[:, 0] < 0.12) & (figure.albedo[:, 0] > 0.04)
    picture = comb(picture, camera, figure, 0.25, (-0.7, -0.1, 0.0), 0.045, rng, hair)
    picture = _splash(picture, camera, np.array([-0.12, 0.02, BOY_DEPTH - 0.12]), rng)
    return develop(picture, rng, exposure=0.95)
