"""Small pictures in every format that is read, and in the corners of each."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms


def pictures() -> dict[str, bytes]:
    """Name → content of files that all decode."""
    rgb = _noisy(3)
    grey, alpha = rgb.convert("L"), rgb.convert("RGBA")
    alpha.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    frames = [rgb.rotate(90 * i) for i in range(3)]
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=17)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "described"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    animated: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    files = {
        "plain.jpg": _saved(rgb, "JPEG", quality=85),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True, exif=exif, icc_profile=profile),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG", exif=exif),
        "grey.jpg": _saved(grey, "JPEG", exif=exif, comment=b"c" * 70),
        "several.mpo": _saved(rgb, "MPO", save_all=True, append_images=frames[1:]),
        "plain.png": _saved(rgb, "PNG"),
        "deep.png": _saved(deep, "PNG"),
        "palette.png": _saved(palette, "PNG", transparency=3),
        "alpha.png": _saved(alpha, "PNG", exif=exif),
        "bits.png": _saved(grey.convert("1"), "PNG"),
        "animated.png": _saved(rgb, "PNG", **animated),
        "plain.gif": _saved(palette, "GIF", transparency=1),
        "animated.gif": _saved(rgb, "GIF", loop=0, disposal=2, **animated),
        "plain.webp": _saved(rgb, "WEBP", quality=70, exif=exif),
        "lossless.webp": _saved(alpha, "WEBP", lossless=True, icc_profile=profile),
        "animated.webp": _saved(rgb, "WEBP", **animated),
        "plain.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "grey.pgm": _saved(grey, "PPM"),
        "plain.ppm": _saved(rgb, "PPM"),
        "text.ppm": b"P3\n# c\n3 2 255\n" + b"1 20 255 " * 6,
    }
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4"):
        image = grey.convert("1") if compression == "group4" else rgb
        files[f"{compression}.tiff"] = _saved(image, "TIFF", compression=compression, exif=exif)
    files["deep.tiff"] = _saved(deep, "TIFF")
    files["float.tiff"] = _saved(Image.fromarray(np.asarray(grey, np.float32) / 255), "TIFF")
    files["cmyk.tiff"] = _saved(rgb.convert("CMYK"), "TIFF")
    files["lab.tiff"] = _saved(Image.new("LAB", (9, 7), (100, 20, 200)), "TIFF")
    files["pages.tiff"] = _saved(grey, "TIFF", save_all=True, append_images=[grey.rotate(90)])
    if "AVIF" in Image.SAVE or _registered("AVIF"):
        files["plain.avif"] = _saved(rgb, "AVIF", quality=50, speed=10, exif=exif)
        files["alpha.avif"] = _saved(alpha, "AVIF", quality=50, speed=10)
    return files


def _registered(name: str) -> bool:
    Image.init()
    return name in Image.SAVE


def _noisy(channels: int) -> Image.Image:
    slope = np.add.outer(np.arange(31), np.arange(43)) * 3
    noise = np.random.default_rng(5).integers(0, 60, (31, 43, channels))
    return Image.fromarray((slope[:, :, None] + noise).clip(0, 255).astype(np.uint8))


def _saved(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()
