"""Where a command's pictures come from: files, standard input, the screen, the clipboard, a camera."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from optophone.core.errors import ConfigurationError, PictureError

if TYPE_CHECKING:
    from PIL import Image

_WARM_UP = 5  # pictures that a camera takes before its exposure has settled


class Desktop(str):
    """A picture that is taken in its turn: "screen", "clipboard" or "camera". A file may have such a name too."""


def desktop_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--screen`, `--clipboard` and `--camera`, which arrive as `screen`, `clipboard`, `camera`."""
    for name, text in (
        ("camera", "Also what the first camera sees (extra camera)."),
        ("clipboard", "Also the picture that was copied."),
        ("screen", "Also what is on the screen."),
    ):
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


def with_desktop(photos: tuple[str, ...], screen: bool, clipboard: bool, camera: bool) -> tuple[str, ...]:
    """File names, then what is taken from the desktop.

    Raises:
        click.UsageError: there is nothing at all.
    """
    asked = {"screen": screen, "clipboard": clipboard, "camera": camera}
    photos = (*photos, *(Desktop(name) for name, wanted in asked.items() if wanted))
    if not photos:
        raise click.UsageError("Missing argument 'PHOTO'; or give --screen, --clipboard or --camera.")
    return photos


def read_source(photo: str) -> "str | bytes | Image.Image":
    """What describers take: the name of a file, the bytes of standard input for "-", or a picture of the desktop.

    Raises:
        PictureError: the desktop gives no picture.
        ConfigurationError: what it takes to ask a camera is not installed.
    """
    if isinstance(photo, Desktop):
        return {"screen": _screen, "clipboard": _clipboard, "camera": _camera}[photo]()
    if photo == "-":
        from optophone.cli.sound_stream import standard_input

        return standard_input()
    return photo


def _screen() -> "Image.Image":
    from PIL import ImageGrab

    try:
        return ImageGrab.grab(all_screens=True)
    except Exception as error:  # of each platform its own
        raise PictureError(
            f"screen: cannot be read here ({_line(error)}); save a screenshot and give the file."
        ) from None


def _clipboard() -> "str | Image.Image":
    from PIL import ImageGrab

    try:
        found = ImageGrab.grabclipboard()
    except Exception as error:
        raise PictureError(
            f"clipboard: cannot be read here ({_line(error)}); save the picture and give the file."
        ) from None
    if isinstance(found, list) and found:  # files that were copied
        return str(found[0])
    if found is None or isinstance(found, list):
        raise PictureError("clipboard: holds no picture; copy one first.")
    return found


def _camera() -> bytes:
    try:
        import cv2
    except ImportError:
        raise ConfigurationError("camera: needs OpenCV; pip install 'optophone[camera]'.") from None
    device = cv2.VideoCapture(0)
    try:
        frames = [device.read() for _ in range(_WARM_UP)] if device.isOpened() else []
    finally:
        device.release()
    if not frames or not frames[-1][0]:
        raise PictureError("camera: gives no picture; connect one, or let no other program use it.")
    written, png = cv2.imencode(".png", frames[-1][1])
    assert written, "a picture just taken can be written"
    return png.tobytes()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
