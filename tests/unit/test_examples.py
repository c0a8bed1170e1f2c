"""The example pictures: rendered alike from one seed, and the committed ones are what the script renders."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("beach", "lawn", "snow")
Scenes = dict[str, Callable[[int, int], Image.Image]]


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("examples.render.__main__").SCENES
    finally:
        sys.path.remove(str(ROOT))


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_picture_other_seed_other_picture(scenes: Scenes, name: str) -> None:
    first = scenes[name](48, 5)
    assert first.size == (48, 36)
    assert first.mode == "RGB"
    assert np.array_equal(pixels(first), pixels(scenes[name](48, 5)))
    assert not np.array_equal(pixels(first), pixels(scenes[name](48, 6)))


@pytest.mark.parametrize("name", NAMES)
def test_committed_picture_is_the_rendered_one(scenes: Scenes, name: str) -> None:
    """A scene changed without rendering its picture again is noticed; single strokes may differ with the size."""
    main = importlib.import_module("examples.render.__main__")
    rendered = pixels(scenes[name](96, main.SEED))
    with Image.open(ROOT / "examples" / f"{name}.jpg") as committed:
        committed = committed.convert("RGB").resize((96, 72), Image.Resampling.BOX)
    difference = np.abs(rendered - pixels(committed)).mean()
    assert difference < 14, f"mean difference {difference:.1f} of 255"
    assert np.corrcoef(rendered.ravel(), pixels(committed).ravel())[0, 1] > 0.88


@pytest.mark.parametrize("name", NAMES)
def test_committed_picture_is_small_and_of_the_stated_size(name: str) -> None:
    path = ROOT / "examples" / f"{name}.jpg"
    assert path.stat().st_size < 150_000
    with Image.open(path) as picture:
        assert picture.size == (640, 480)
        assert picture.format == "JPEG"


def test_ground_is_seen_below_the_horizon_only(scenes: Scenes) -> None:
    camera_file = importlib.import_module("examples.render.camera")
    camera = camera_file.Camera(40, 30, focal=1.0, horizon=0.5, eye=2.0)
    ground = camera_file.view_ground(camera, lambda x, z: 0 * x, 1.0, 1000.0)
    assert not ground.seen[:15].any()
    assert ground.seen[16:].all()
    # A flat ground is met where the ray has fallen by the height of the eye.
    row = 25
    expected = 2.0 * camera.focal_pixels / (row + 0.5 - 15)
    assert ground.z[row, 20] == pytest.approx(expected, rel=0.01)


def test_rays_meet_a_ball_at_its_surface(scenes: Scenes) -> None:
    body_file = importlib.import_module("examples.render.body")
    ball = body_file.Body((body_file.Limb((0, 0, 5), (0, 0, 5), 1.0, 1.0, (1, 1, 1)),))
    directions = np.array([[0, 0, 1], [0, 1, 0]], np.float32)
    depth = body_file.trace(ball, np.zeros((2, 3), np.float32), directions)
    assert depth[0] == pytest.approx(4.0, abs=0.01)
    assert np.isinf(depth[1])
    assert ball.normal(np.array([[0, 0, 4]], np.float32))[0] == pytest.approx([0, 0, -1], abs=0.01)
