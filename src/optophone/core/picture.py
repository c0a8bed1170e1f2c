"""Pictures: from whatever file a stranger sends to RGB, and from RGB to what an encoder takes.

Training and runtime use the same `load_picture` and `prepare_picture`, so that a model sees in use what it saw in
training.
"""

import importlib
import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageCms

from optophone.core.errors import ConfigurationError, PictureError, PictureFormatError, PictureTooLargeError

PictureSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray
"""What `load_picture` takes: a file's name, its content, an open binary file, a Pillow image, or an array."""

# Formats whose decoders are in wide use on hostile files; EPS, for one, would start Ghostscript.
_FORMATS = ("Jpeg", "Png", "WebP", "Gif", "Bmp", "Tiff", "Avif", "Ppm")
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and PPM can be read"
_DAMAGED = "is damaged or cut off; save, copy or download it again."
_FOREIGN = (
    (re.compile(rb"\A....ftyp(hei[cmsx]|hev[cmx]|mif1|msf1)", re.DOTALL), "is a HEIC photo"),
    (re.compile(rb"\A\s*%PDF"), "is a PDF document"),
    (re.compile(rb"\A\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg", re.DOTALL), "is an SVG drawing"),
    (re.compile(rb"\A(%!PS|\xc5\xd0\xd3\xc6)"), "is a PostScript drawing"),
    (re.compile(rb"\A8BPS"), "is a Photoshop document"),
    (
        re.compile(rb"\A(\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51|\x00\x00\x00\x0cJXL |\xff\x0a)"),
        "is a JPEG 2000 or JPEG XL picture",
    ),
)
_OWN_BEGINNING = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF....WEBP|GIF8|BM|II[*+]\x00|MM\x00[*+]|....ftypavi|P[1-7]\s", re.DOTALL
)
_URL = re.compile(r"\A([a-z][a-z0-9+.\-]+:/|data:|www\.)", re.IGNORECASE)
_ORIENTATION_TAG = 0x0112
# Filters of warnings belong to the whole interpreter: two threads must not change them at once.
_OPENING = threading.Lock()


@dataclass(frozen=True)
class PictureLimits:
    """What is refused before a picture is decoded.

    Args:
        max_bytes: size of the file.
        max_pixels: width times height, as the file declares it.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000


@dataclass(frozen=True)
class PictureSpec:
    """What an encoder takes.

    Args:
        height: rows.
        width: columns.
        mean: per channel R, G, B, of values 0..1, subtracted.
        std: per channel, divided by.
        fit: "squash" changes the aspect ratio to that of the encoder; "crop" keeps it and cuts off both ends of the
            longer side.

    Raises:
        ConfigurationError: a size or a std that no picture can have.
    """

    height: int = 192
    width: int = 192
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    fit: Literal["squash", "crop"] = "squash"

    def __post_init__(self) -> None:
        if not (1 <= self.height <= 8192 and 1 <= self.width <= 8192):
            raise ConfigurationError(f"A picture of {self.width}×{self.height} is not possible; use 1 to 8192 a side.")
        if not all(value > 0 for value in self.std):
            raise ConfigurationError(f"The std {self.std} of a picture must be above 0 in every channel.")
        if self.fit not in ("squash", "crop"):
            raise ConfigurationError(f"fit={self.fit!r} is not possible; use squash or crop.")


def load_picture(
    source: PictureSource, limits: PictureLimits = PictureLimits(), at_least: int | None = None
) -> np.ndarray:
    """Decode `source` to upright RGB.

    EXIF orientation is applied, transparency laid over white, CMYK and colour profiles converted to sRGB, 16-bit and
    float values scaled to 8 bits, and of an animation the first frame taken.

    Args:
        source: a file's name, its content, an open binary file, a Pillow image, or an array: (H, W), (H, W, 1),
            (H, W, 3) or (H, W, 4) of uint8, uint16, bool, or floats 0..1.
        limits: what is refused before decoding.
        at_least: when given, a JPEG may come at 1/2, 1/4 or 1/8 of its size, as long as both sides keep this many
            pixels. This saves most of the time and memory of a large photograph.

    Returns:
        (H, W, 3) uint8, contiguous and the caller's own.

    Raises:
        PictureError: `source` is no picture, is damaged or cut off, or is over a limit.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _from_image(source, "The picture", limits)
    name, content = _read(source, limits)
    with _open(name, content) as image:
        _check_size(image.size, name, limits)
        if at_least is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (at_least, at_least))
        return _from_image(image, name, limits)


def enough_pixels(spec: PictureSpec) -> int:
    """A side of what a picture may be shrunk to while it is decoded: three times what the encoder takes leaves
    photographs of ordinary size alone and quarters those of a telephone."""
    return 3 * max(spec.height, spec.width)


def resize_picture(picture: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """`picture` (H, W, 3) uint8 as (spec.height, spec.width, 3) uint8: bicubic, low-pass filtered when made smaller."""
    assert (picture.dtype, picture.shape[2:]) == (np.uint8, (3,))
    height, width = picture.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    if spec.fit == "crop":
        scale = min(height / spec.height, width / spec.width)
        left, top = (width - scale * spec.width) / 2, (height - scale * spec.height) / 2
        box = (max(left, 0.0), max(top, 0.0), min(width - left, float(width)), min(height - top, float(height)))
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((spec.width, spec.height), Image.Resampling.BICUBIC, box=box))


def normalize_picture(picture: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """`picture` (H, W, 3) uint8 as (3, H, W) float32: values 0..1 less `spec.mean`, over `spec.std`."""
    assert (picture.dtype, picture.shape[2:]) == (np.uint8, (3,))
    scale = (1.0 / (255.0 * np.asarray(spec.std))).astype(np.float32)
    shift = (np.asarray(spec.mean) / np.asarray(spec.std)).astype(np.float32)
    return np.ascontiguousarray((picture.astype(np.float32) * scale - shift).transpose(2, 0, 1))


def prepare_picture(picture: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """`picture` (H, W, 3) uint8 as an encoder takes it: (3, spec.height, spec.width) float32."""
    return normalize_picture(resize_picture(picture, spec), spec)


def _read(source: object, limits: PictureLimits) -> tuple[str, bytes]:
    """The name for messages and the content of `source`, never more than the limit allows."""
    if isinstance(source, bytes | bytearray | memoryview):
        name, content = "The picture", bytes(source)
    elif isinstance(source, str | os.PathLike):
        name = "".join(letter if letter.isprintable() else "?" for letter in os.fsdecode(source))
        content = _read_file(source, name, limits)
    elif hasattr(source, "read"):
        name = "The picture"
        content = source.read(limits.max_bytes + 1)
    else:
        raise PictureError(f"A picture cannot come as {type(source).__name__}; give a file name, bytes or an array.")
    if not content:
        raise PictureError(f"{name} is empty (0 bytes); save or copy the picture again.")
    if len(content) > limits.max_bytes:
        raise PictureTooLargeError(f"{name} is larger than {limits.max_bytes / 2**20:.0f} MiB; save it smaller.")
    return name, content


def _read_file(path: str | os.PathLike[str], name: str, limits: PictureLimits) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        if _URL.match(name):
            raise PictureError(f"{name[:80]} is a web address; download the picture first and give the file.") from None
        if isinstance(error, FileNotFoundError):
            raise PictureError(f"{name}: there is no such file; check the name and the folder.") from None
        if os.path.isdir(path):
            raise PictureError(f"{name} is a folder; give the pictures in it, for instance {name}/*.jpg.") from None
        if isinstance(error, PermissionError):
            raise PictureError(f"{name} may not be read; change its permissions.") from None
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"{name[:200]} cannot be read ({reason}).") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's remarks on large pictures and odd metadata from the user; our own limits and errors say more."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(name: str, content: bytes) -> Image.Image:
    """The header of a picture; nothing is decoded yet."""
    try:
        with _quiet():
            return Image.open(io.BytesIO(content), formats=_known_formats())
    except Image.DecompressionBombError:
        raise PictureTooLargeError(f"{name} declares far too many pixels; save it smaller.") from None
    except Exception:  # a decoder may raise anything on a stranger's bytes; the picture is unreadable in every case
        pass
    for pattern, what in _FOREIGN:
        if pattern.match(content[:1024]):
            raise PictureFormatError(f"{name} {what}, which cannot be read; save or export it as JPEG or PNG.")
    if _OWN_BEGINNING.match(content):
        raise PictureError(f"{name} {_DAMAGED}")
    raise PictureFormatError(f"{name} is not a picture; {_READABLE}.")


@cache
def _known_formats() -> list[str]:
    """Those of `_FORMATS` that this Pillow has; importing only their plugins saves 70 ms."""
    for name in _FORMATS:
        with suppress(ImportError):  # AVIF came with Pillow 11.3
            importlib.import_module(f"PIL.{name}ImagePlugin")
    return [name.upper() for name in _FORMATS if name.upper() in Image.OPEN]


def _check_size(size: tuple[int, int], name: str, limits: PictureLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(f"{name} has no pixels ({width}×{height}).")
    if width * height > limits.max_pixels:
        most = limits.max_pixels / 1e6
        found = f"{width}×{height} pixels, at most {most:g} million"
        raise PictureTooLargeError(f"{name} is too large ({found}); save it smaller.")


def _from_image(image: Image.Image, name: str, limits: PictureLimits) -> np.ndarray:
    _check_size(image.size, name, limits)
    try:
        image.load()
        _check_size(image.size, name, limits)  # some formats know their size only now
        # Read after loading: the TIFF decoder has then turned the picture itself and removed the tag.
        orientation = _orientation(image)
        return _turn_upright(np.asarray(_to_rgb(image)), orientation)
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(f"{name} needs more memory than there is; save it smaller.") from None
    except Exception:  # a decoder may raise anything on a stranger's bytes
        raise PictureError(f"{name} {_DAMAGED}") from None


def _orientation(image: Image.Image) -> int:
    try:
        with _quiet():
            return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data are no reason to refuse a picture that decodes
        return 1


def _turn_upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation (1..8; anything else is taken as upright)."""
    if orientation in (5, 6, 7, 8):
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.array(picture, order="C")


def _to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        bits = 16 if image.format in ("PNG", "PPM") else None
        return Image.fromarray(_scale_to_bytes(np.asarray(image), bits)).convert("RGB")
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return _convert_profile(image, None)
    if image.mode == "La":  # premultiplied; has no direct way to RGBA
        image = image.convert("LA")
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        image = _over_white(image.convert("RGBA"))
    elif image.mode in ("P", "1"):
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        return _convert_profile(image, profile)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` in sRGB; unchanged colours where the profile is sRGB already, or is damaged."""
    if profile is not None and (b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile):
        return image.convert("RGB")
    try:
        source = ImageCms.createProfile("LAB") if profile is None else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image.convert("RGB")
    return image.convert("RGB") if converted is None else converted


def _scale_to_bytes(values: np.ndarray, bits: int | None = None) -> np.ndarray:
    """Values of more than 8 bits as uint8, the full range of their type as 0..255.

    Args:
        values: any shape; uint16, int32 or float.
        bits: of the original values, where the file's format says it.

    32-bit integers and floats carry no range of their own: it is taken to be the smallest of 1 (floats only), 255 and
    65535 that holds the brightest value, or else that value.
    """
    if bits == 16 or values.dtype.itemsize == 2:
        peak = 65535.0
    else:
        is_float = values.dtype.kind == "f"
        values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        brightest = float(values.max())
        ranges = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0)
        peak = next((bound for bound in ranges if brightest <= bound), brightest)
    return np.clip(np.rint(values * (255.0 / peak)), 0, 255).astype(np.uint8)


def _from_array(picture: np.ndarray, limits: PictureLimits) -> np.ndarray:
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4):
        raise PictureError(f"A picture array has the shape (H, W), (H, W, 3) or (H, W, 4), not {picture.shape}.")
    _check_size((picture.shape[1], picture.shape[0]), "The picture", limits)
    picture = _array_bytes(picture)
    if picture.shape[2] == 4:
        alpha = picture[:, :, 3:].astype(np.uint16)
        over_white = picture[:, :, :3] * alpha + (255 - alpha) * 255
        picture = ((over_white.astype(np.uint32) + 127) // 255).astype(np.uint8)
    return np.array(np.broadcast_to(picture, (*picture.shape[:2], 3)), order="C")


def _array_bytes(picture: np.ndarray) -> np.ndarray:
    """An array of any accepted type as uint8 0..255."""
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype == np.uint16:
        return _scale_to_bytes(picture, 16)
    if picture.dtype == np.bool_:
        return picture.astype(np.uint8) * np.uint8(255)
    if picture.dtype.kind != "f":
        raise PictureError(f"A picture array holds uint8, uint16, bool or floats 0..1, not {picture.dtype}.")
    if not (picture.min() >= 0.0 and picture.max() <= 1.0):  # also true of NaN
        raise PictureError("A picture array of floats must lie in 0..1; divide it by 255, or give uint8.")
    return np.rint(picture * 255.0).astype(np.uint8)
