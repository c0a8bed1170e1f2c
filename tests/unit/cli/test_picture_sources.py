"""Pictures of the screen, the clipboard and a camera; the devices themselves are stood in for."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image, ImageGrab

from optophone.cli.main import run
from optophone.cli.picture_sources import Desktop, read_source, with_desktop
from optophone.core.errors import OptophoneError, PictureError
from optophone.core.picture import load_picture
from tiny_bundles import write_system


class Camera:
    """An OpenCV camera that sees one colour, after four dark pictures."""

    def __init__(self, number: int) -> None:
        self.taken, self.released = 0, False

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        self.taken += 1
        return True, np.full((30, 40, 3), (10, 20, 200) if self.taken > 4 else (0, 0, 0), np.uint8)

    def release(self) -> None:
        self.released = True


def encode(suffix: str, picture: np.ndarray) -> tuple[bool, np.ndarray]:
    """As OpenCV does, from blue, green, red."""
    import io

    stream = io.BytesIO()
    Image.fromarray(picture[..., ::-1].copy()).save(stream, "PNG")
    return True, np.frombuffer(stream.getvalue(), np.uint8)


def failing(*given: Any, **named: Any) -> None:
    raise OSError("no display\nat all")


def test_what_is_asked_for_follows_the_files() -> None:
    assert with_desktop(("a.jpg", "-"), True, False, True) == ("a.jpg", "-", "screen", "camera")
    assert [type(one) for one in with_desktop(("screen",), True, False, False)] == [str, Desktop]
    assert read_source("screen") == "screen", "a file of that name"
    with pytest.raises(click.UsageError, match="--clipboard"):
        with_desktop((), False, False, False)


def test_the_screen_and_the_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    red = Image.new("RGB", (40, 30), "red")
    monkeypatch.setattr(ImageGrab, "grab", lambda all_screens: red)
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: red)
    assert read_source(Desktop("screen")) is red
    assert read_source(Desktop("clipboard")) is red
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: ["copied.jpg", "other.jpg"])
    assert read_source(Desktop("clipboard")) == "copied.jpg"


@pytest.mark.parametrize("held", [None, []])
def test_an_empty_clipboard(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: held)
    with pytest.raises(PictureError, match="clipboard: holds no picture"):
        read_source(Desktop("clipboard"))


@pytest.mark.parametrize(("name", "function"), [("screen", "grab"), ("clipboard", "grabclipboard")])
def test_a_desktop_that_gives_nothing(name: str, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageGrab, function, failing)
    with pytest.raises(PictureError, match=rf"{name}: cannot be read here \(no display at all\)") as raised:
        read_source(Desktop(name))
    assert "\n" not in str(raised.value)


def test_a_camera_is_let_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras: list[Camera] = []
    opened = lambda number: cameras.append(Camera(number)) or cameras[-1]  # noqa: E731
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=opened, imencode=encode))
    picture = load_picture(read_source(Desktop("camera")))
    assert picture[0, 0].tolist() == [200, 20, 10]
    assert cameras[0].released
    monkeypatch.setattr(Camera, "isOpened", lambda self: False)
    with pytest.raises(PictureError, match="camera: gives no picture"):
        read_source(Desktop("camera"))
    assert cameras[1].released


def test_a_camera_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(OptophoneError, match=r"optophone\[camera\]"):
        read_source(Desktop("camera"))


def test_commands_take_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    system = str(write_system(tmp_path / "system"))
    shown = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    monkeypatch.setattr(ImageGrab, "grab", lambda all_screens: shown)
    monkeypatch.setattr(ImageGrab, "grabclipboard", lambda: None)
    assert run(["speak", "--screen", "-m", system, "--force", "-q"]) == 0
    assert (tmp_path / "screen.wav").stat().st_size > 44
    capfd.readouterr()
    assert run(["caption", "--screen", "--clipboard", "-m", system, "--force", "-q"]) == 2
    captured = capfd.readouterr()
    assert captured.out.startswith("screen: ")
    assert "clipboard: holds no picture" in captured.err
    assert run(["speak", str(tmp_path), "--screen", "-m", system, "-o", "out"]) == 2
    assert "do not go with folders" in capfd.readouterr().err
