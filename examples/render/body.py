"""Soft bodies: limbs joined into skin, fur or cloth, found by walking along rays, lit by a sun and a sky."""

from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .noise import Array, fractal_noise

Point = tuple[float, float, float]
_CHUNK = 8192  # points measured at a time: their arrays stay in the processor's cache


@dataclass(frozen=True)
class Limb:
    """A capsule with two radii.

    Attributes:
        start: centre of one end, metres.
        end: centre of the other end.
        start_radius: metres.
        end_radius: metres.
        colour: linear albedo.
        layer: limbs of one layer melt into each other, different layers (skin, shorts) only meet.
    """

    start: Point
    end: Point
    start_radius: float
    end_radius: float
    colour: Point
    layer: str = "skin"


@dataclass(frozen=True)
class Light:
    """The sun (towards it, and its colour), the sky from above and what the ground throws back, all linear."""

    towards: Point
    sun: Point
    sky: Point
    bounce: Point

    @property
    def direction(self) -> Array:
        vector = np.array(self.towards, np.float32)
        return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Body:
    """Limbs, and the radius `softness` (metres) over which limbs of one layer melt into each other."""

    limbs: tuple[Limb, ...]
    softness: float = 0.015

    def placed(self, position: Point, turn: float = 0.0, tilt: float = 0.0) -> "Body":
        """The body tilted in its own x-y plane, then turned about the vertical (degrees), then moved."""
        a, b = np.radians(turn), np.radians(tilt)
        tilting = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
        turning = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])

        def move(point: Point) -> Point:
            x, y, z = turning @ tilting @ np.array(point) + np.array(position)
            return float(x), float(y), float(z)

        return replace(self, limbs=tuple(replace(m, start=move(m.start), end=move(m.end)) for m in self.limbs))

    def bounds(self) -> tuple[Array, float]:
        """Centre and radius of a sphere around the body."""
        ends = np.array([p for m in self.limbs for p in (m.start, m.end)], np.float32)
        radii = np.array([r for m in self.limbs for r in (m.start_radius, m.end_radius)], np.float32)
        centre = (ends.min(axis=0) + ends.max(axis=0)) / 2
        return centre, float((np.linalg.norm(ends - centre, axis=1) + radii).max() + 2 * self.softness)

    def distance(self, points: Array) -> Array:
        """Signed distance (N,) of points (N, 3) from the surface, metres, negative inside."""
        result = np.empty(len(points), np.float32)
        for first in range(0, len(points), _CHUNK):
            chunk = np.ascontiguousarray(points[first : first + _CHUNK].T, np.float32)
            layers: dict[str, list[Array]] = {}
            for limb in self.limbs:
                layers.setdefault(limb.layer, []).append(_limb_distance(limb, chunk))
            melted = [_melt(np.stack(parts), self.softness) for parts in layers.values()]
            result[first : first + _CHUNK] = np.min(melted, axis=0)
        return result

    def colour(self, points: Array) -> Array:
        """Albedo (N, 3) at points (N, 3) on the surface; within a layer the limbs' colours run into each other."""
        distances = np.stack([_limb_distance(limb, points.T) for limb in self.limbs])
        layers = np.array([limb.layer for limb in self.limbs])
        weights = np.exp(-np.clip((distances - distances.min(axis=0)) / (0.6 * self.softness), 0, 60))
        weights = weights * (layers[:, None] == layers[distances.argmin(axis=0)][None, :])
        colours = np.array([limb.colour for limb in self.limbs], np.float32)
        return (weights / weights.sum(axis=0)).T @ colours

    def normal(self, points: Array) -> Array:
        """Outward unit normals (N, 3), from four samples on the corners of a small tetrahedron."""
        corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
        total = sum(corner * self.distance(points + 0.002 * corner)[:, None] for corner in corners)
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def _limb_distance(limb: Limb, points: Array) -> Array:
    """Signed distance (N,) of points (3, N) from one limb."""
    axis = np.array(limb.end, np.float32) - np.array(limb.start, np.float32)
    x, y, z = (points[i] - np.float32(limb.start[i]) for i in range(3))
    along = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) * np.float32(1 / max(float(axis @ axis), 1e-9)), 0, 1)
    x, y, z = x - along * axis[0], y - along * axis[1], z - along * axis[2]
    return np.sqrt(x * x + y * y + z * z) - (
        limb.start_radius + along * np.float32(limb.end_radius - limb.start_radius)
    )


def _melt(distances: Array, softness: float) -> Array:
    """The smallest of (P, N) distances, rounded off where two are nearly equal."""
    nearest = distances.min(axis=0)
    excess = np.clip((distances - nearest) / softness, 0, 40)
    return nearest - softness * np.log(np.exp(-excess).sum(axis=0))


def _span(body: Body, origins: Array, directions: Array) -> tuple[Array, Array]:
    """Where each ray (N, 3) enters the first and leaves the last of the balls around the limbs; first > last: never."""
    first = np.full(len(directions), np.inf, np.float32)
    last = np.full(len(directions), -np.inf, np.float32)
    for begin in range(0, len(directions), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        (ox, oy, oz), (dx, dy, dz) = origins[part].T.astype(np.float32), directions[part].T.astype(np.float32)
        for limb in body.limbs:
            start, end = np.array(limb.start, np.float32), np.array(limb.end, np.float32)
            x, y, z = (start + end) / 2
            radius = np.linalg.norm(end - start) / 2 + max(limb.start_radius, limb.end_radius) + 2 * body.softness
            x, y, z = x - ox, y - oy, z - oz
            middle = x * dx + y * dy + z * dz
            half = np.float32(radius**2) - (x * x + y * y + z * z) + middle * middle
            inside = (half > 0) & (middle > -radius)
            half = np.sqrt(np.maximum(half, 0))
            first[part] = np.where(inside, np.minimum(first[part], middle - half), first[part])
            last[part] = np.where(inside, np.maximum(last[part], middle + half), last[part])
    return first, last


def trace(body: Body, origins: Array, directions: Array, n_steps: int = 40) -> Array:
    """Distance (N,) along unit rays (N, 3) from origins (N, 3) to the body, infinite where they miss it."""
    hit = np.full(len(directions), np.inf, np.float32)
    first, last = _span(body, origins, directions)
    active = np.flatnonzero(first < last)
    travelled = np.maximum(first[active], 0.01)
    for _ in range(n_steps):
        gap = body.distance(origins[active] + travelled[:, None] * directions[active])
        arrived = gap < 0.0015
        hit[active[arrived]] = travelled[arrived]
        going = ~arrived & (travelled < last[active])
        active, travelled = active[going], travelled[going] + 0.9 * gap[going]
        if not len(active):
            break
    return hit


def sunlight(body: Body, points: Array, light: Light, sharpness: float = 14.0) -> Array:
    """Share of the sun (N,) that reaches points (N, 3) past the body; a small `sharpness` makes wide penumbras."""
    share = np.ones(len(points), np.float32)
    first, last = _span(body, points, np.broadcast_to(light.direction, points.shape))
    active = np.flatnonzero(first < last)
    travelled = np.maximum(first[active], 0.02)
    for _ in range(24):
        gap = body.distance(points[active] + travelled[:, None] * light.direction)
        share[active] = np.minimum(share[active], np.clip(0.5 + 0.5 * sharpness * gap / travelled, 0, 1))
        going = (share[active] > 0.01) & (travelled < last[active])
        active, travelled = active[going], travelled[going] + np.maximum(gap[going], 0.015)
        if not len(active):
            break
    return share * share * (3 - 2 * share)


def crevices(body: Body, points: Array, normals: Array) -> Array:
    """How much of the sky reaches points (N, 3): 1 in the open, less where limbs stand close."""
    lost = np.zeros(len(points), np.float32)
    for reach, weight in ((0.02, 0.45), (0.06, 0.3), (0.14, 0.25)):
        lost += weight * np.clip(1 - body.distance(points + reach * normals) / reach, 0, 1)
    return 1 - 0.8 * lost


@dataclass(frozen=True)
class Figure:
    """A body as the camera sees it, for the pixels `index` (N,) of the flattened picture.

    Attributes:
        index: flat pixel positions, ascending.
        points: (N, 3) where the rays meet the body.
        normals: (N, 3) outward.
        albedo: (N, 3) the body's own colour.
        light: (N, 3) linear light that reaches the camera.
    """

    index: Array
    points: Array
    normals: Array
    albedo: Array
    light: Array

    def paste(self, picture: Array) -> None:
        """Draw onto a linear picture (H, W, 3), in place."""
        picture.reshape(-1, 3)[self.index] = self.light


@dataclass(frozen=True)
class Bump:
    """Folds of cloth or tufts of fur: tilts normals by noise of `scale` metres and relative `strength`."""

    scale: float
    strength: float
    seed: int

    def disturb(self, points: Array, normals: Array) -> Array:
        u = (points[:, 0] + 0.6 * points[:, 2]) / self.scale
        v = (points[:, 1] - 0.4 * points[:, 2]) / self.scale
        tilt = np.stack([fractal_noise(u, v, self.seed + 10 * axis, octaves=3) for axis in range(3)], axis=1)
        tilted = normals + self.strength * tilt
        return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)


def shade(
    body: Body,
    points: Array,
    normals: Array,
    albedo: Array,
    light: Light,
    bump: Bump | None = None,
    gloss: float = 0.03,
) -> Array:
    """Linear light (N, 3) that leaves the body at `points` (N, 3), its normals tilted by `bump`, towards the camera."""
    open_sky = crevices(body, points, normals)
    sun_share = sunlight(body, points + 0.012 * normals, light)
    if bump is not None:
        normals = bump.disturb(points, normals)
    facing = np.clip(normals @ light.direction, 0, 1) * sun_share
    above = 0.5 + 0.5 * normals[:, 1]
    arriving = (
        facing[:, None] * np.array(light.sun)
        + (above * open_sky)[:, None] * np.array(light.sky)
        + ((1 - above) * open_sky)[:, None] * np.array(light.bounce)
    )
    # A broad highlight and a brighter rim, as skin and cloth have under a sky.
    half = light.direction + np.array([0, 0, -1], np.float32)
    shine = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1) ** 24 * sun_share
    rim = (1 - np.clip(-normals[:, 2], 0, 1)) ** 4 * open_sky
    gleam = gloss * (3 * shine[:, None] * np.array(light.sun) + rim[:, None] * np.array(light.sky))
    return (albedo * arriving + gleam).astype(np.float32)


def view_body(camera: Camera, body: Body, light: Light, bump: Bump | None = None, gloss: float = 0.03) -> Figure:
    """Find and light every pixel of the body."""
    across, up = camera.slopes()
    centre, radius = body.bounds()
    reach = radius / max(float(centre[2]) - radius, 0.5)
    columns = np.flatnonzero(np.abs(across - centre[0] / centre[2]) < 1.2 * reach)
    rows = np.flatnonzero(np.abs(up - (centre[1] - camera.eye) / centre[2]) < 1.2 * reach)
    directions = np.stack(np.broadcast_arrays(across[columns][None, :], up[rows][:, None], np.float32(1)), axis=-1)
    directions = directions.reshape(-1, 3)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    index = (rows[:, None] * camera.width + columns[None, :]).reshape(-1)
    origins = np.broadcast_to(camera.position, directions.shape)
    depth = trace(body, origins, directions)
    hit = np.isfinite(depth)
    points = camera.position + depth[hit][:, None] * directions[hit]
    normals, albedo = body.normal(points), body.colour(points)
    return Figure(index[hit], points, normals, albedo, shade(body, points, normals, albedo, light, bump, gloss))
