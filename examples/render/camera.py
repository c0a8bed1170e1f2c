"""The camera and the ground it sees."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .noise import Array


@dataclass(frozen=True)
class Camera:
    """A camera that looks level along +z; the horizon is placed by shifting the lens, so verticals stay vertical.

    Attributes:
        width: columns, pixels.
        height: rows, pixels.
        focal: focal length relative to the width of the picture (1.2 is about 43 mm on a full-frame camera).
        horizon: row of the horizon, as a share of the height from the top.
        eye: height of the camera above the ground's zero, metres.
    """

    width: int
    height: int
    focal: float
    horizon: float
    eye: float

    @property
    def focal_pixels(self) -> float:
        return self.focal * self.width

    @property
    def position(self) -> Array:
        return np.array([0.0, self.eye, 0.0], np.float32)

    def slopes(self) -> tuple[Array, Array]:
        """x / z of every column (W,) and y / z of every row (H,)."""
        across = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_pixels
        up = (self.horizon * self.height - np.arange(self.height) - 0.5) / self.focal_pixels
        return across.astype(np.float32), up.astype(np.float32)

    def directions(self) -> tuple[Array, Array]:
        """x / z and y / z of every pixel, both (H, W)."""
        across, up = self.slopes()
        return np.broadcast_to(across, (self.height, self.width)), np.broadcast_to(
            up[:, None], (self.height, self.width)
        )

    def project(self, points: Array) -> tuple[Array, Array]:
        """Columns and rows, each (N,), of points (N, 3) in front of the camera."""
        scale = self.focal_pixels / points[:, 2]
        return self.width / 2 + points[:, 0] * scale, self.horizon * self.height - (points[:, 1] - self.eye) * scale


@dataclass(frozen=True)
class Ground:
    """What each pixel sees of the ground: world x, y, z (H, W) and `seen` (H, W), false where it sees the sky."""

    x: Array
    y: Array
    z: Array
    seen: Array

    def footprint(self, camera: Camera) -> Array:
        """Size of a pixel on the ground, metres, (H, W): the geometric mean of its width and its length."""
        width = self.z / camera.focal_pixels
        grazing = np.clip(np.abs(camera.eye - self.y) / self.z, 0.02, 1)
        return width / np.sqrt(grazing)


def view_ground(
    camera: Camera, height: Callable[[Array, Array], Array], near: float, far: float, n_slices: int = 700
) -> Ground:
    """Look at a landscape whose height is a function of x and z, hills hiding what lies behind them.

    Every column of pixels is a vertical plane through the eye: the running maximum of the ground's elevation along it,
    searched for the elevation of each pixel, gives the distance at which that pixel meets the ground.
    """
    across, up = camera.slopes()
    z = (near * (far / near) ** np.linspace(0, 1, n_slices)).astype(np.float32)
    elevation = height(across[None, :] * z[:, None], np.broadcast_to(z[:, None], (n_slices, camera.width))) - camera.eye
    elevation = np.maximum.accumulate(elevation / z[:, None], axis=0)
    ascending = up[::-1]
    distance = np.empty((camera.height, camera.width), np.float32)
    seen = np.empty((camera.height, camera.width), bool)
    for column in range(camera.width):
        profile = elevation[:, column]
        index = np.searchsorted(profile, ascending)
        seen[::-1, column] = index < n_slices
        index = np.clip(index, 1, n_slices - 1)
        rise = np.maximum(profile[index] - profile[index - 1], 1e-9)
        share = np.clip((ascending - profile[index - 1]) / rise, 0, 1)
        distance[::-1, column] = z[index - 1] + share * (z[index] - z[index - 1])
    x = across[None, :] * distance
    return Ground(x, camera.eye + up[:, None] * distance, distance, seen)
