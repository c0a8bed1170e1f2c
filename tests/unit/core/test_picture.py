"""Pictures: everything a stranger's file can do ends in the right pixels or in one clear line."""

import io
import os
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features
from PIL.Image import Transpose

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError, PictureError
from optophone.core.picture import (
    PictureLimits,
    PictureSpec,
    load_picture,
    normalize_picture,
    prepare_picture,
    resize_picture,
)

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
AVIF = ["AVIF"] if features.check("avif") else []
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *AVIF]


def four_colours(height: int = 40, width: int = 60) -> np.ndarray:
    """Red, green over blue, black: every turn and flip looks different."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    return picture


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def png(width: int, height: int, bit_depth: int, colour_type: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand; `extra` are chunks that stand before the data."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def refused(source: object, **options: object) -> str:
    """The message with which `source` is refused."""
    with pytest.raises(PictureError) as caught:
        load_picture(source, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", FORMATS)
def test_reads_every_format_the_same(image_format: str) -> None:
    out = load_picture(encode(Image.fromarray(four_colours()), image_format))
    assert (out.dtype, out.shape) == (np.uint8, (40, 60, 3))
    assert out.flags.c_contiguous
    assert out.flags.writeable
    for y, x in ((8, 8), (8, 52), (32, 8), (32, 52)):
        np.testing.assert_allclose(out[y, x].astype(int), four_colours()[y, x], atol=6)


def test_takes_names_bytes_files_images_and_arrays(tmp_path: Path) -> None:
    image = Image.fromarray(four_colours())
    path = tmp_path / "ein Bild ü.png"
    image.save(path)
    content = path.read_bytes()
    sources = [path, str(path), os.fsencode(path), content, bytearray(content), memoryview(content)]
    for source in [*sources[:2], *sources[3:], io.BytesIO(content), image, four_colours()]:
        np.testing.assert_array_equal(load_picture(source), four_colours())


def test_the_callers_own_picture_is_left_alone() -> None:
    image, array = Image.fromarray(four_colours()), four_colours()
    load_picture(image)[:] = 7
    load_picture(array)[:] = 7
    np.testing.assert_array_equal(np.asarray(image), four_colours())
    np.testing.assert_array_equal(array, four_colours())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", *AVIF])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_pictures_upright(image_format: str, orientation: int) -> None:
    undo = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_270,
    }  # fmt: skip
    upright = Image.fromarray(four_colours())
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = load_picture(encode(stored, image_format, exif=exif))
    assert out.shape == (40, 60, 3)
    for y, x in ((8, 8), (8, 52), (32, 8), (32, 52)):
        np.testing.assert_allclose(out[y, x].astype(int), four_colours()[y, x], atol=6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientations_count_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = load_picture(encode(Image.fromarray(four_colours()), "PNG", exif=exif))
    np.testing.assert_array_equal(out, four_colours())


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    content = encode(Image.fromarray(four_colours()), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xffgarbage")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_picture(content).shape == (40, 60, 3)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF", *AVIF])
def test_takes_the_first_frame_of_animations(image_format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN, BLUE)]
    content = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(content)) as written:
        assert getattr(written, "n_frames", 1) == 3
    np.testing.assert_allclose(load_picture(content)[5, 10].astype(int), RED, atol=6)


def test_takes_the_first_picture_of_an_mpo() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, BLUE)]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(load_picture(content)[5, 10].astype(int), RED, atol=6)


# --- transparency ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", *AVIF])
def test_transparent_pixels_become_white(image_format: str) -> None:
    image = Image.new("RGBA", (20, 10), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 10, 10))
    image.paste((0, 0, 0, 127), (10, 5, 20, 10))
    out = load_picture(encode(image, image_format, **({"lossless": True} if image_format == "WEBP" else {})))
    np.testing.assert_allclose(out[2, 4].astype(int), BLUE, atol=6)
    np.testing.assert_allclose(out[1, 16].astype(int), WHITE, atol=3)
    np.testing.assert_allclose(out[8, 16].astype(int), (128, 128, 128), atol=3)


def test_grey_with_alpha_lies_over_white() -> None:
    image = Image.new("LA", (4, 4), (0, 0))
    image.putpixel((1, 1), (50, 255))
    out = load_picture(encode(image, "PNG"))
    assert tuple(out[0, 0]) == WHITE
    assert tuple(out[1, 1]) == (50, 50, 50)


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA"])
def test_rarer_modes_with_alpha(mode: str) -> None:
    image = Image.new({"La": "LA", "RGBa": "RGBA", "PA": "PA"}[mode], (4, 4))
    assert tuple(load_picture(image if mode == "PA" else image.convert(mode))[0, 0]) == WHITE


def test_palette_with_transparency() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putpixel((1, 1), 1)
    image.putpixel((2, 2), 2)
    as_index = load_picture(encode(image, "PNG", transparency=0))
    as_alphas = load_picture(encode(image, "PNG", transparency=bytes([0, 255, 51])))
    as_gif = load_picture(encode(image, "GIF", transparency=0))
    for out in (as_index, as_alphas, as_gif):
        assert tuple(out[0, 0]) == WHITE
        assert tuple(out[1, 1]) == GREEN
    assert tuple(as_alphas[2, 2]) == (204, 204, 255)
    assert tuple(as_index[2, 2]) == BLUE
    assert tuple(load_picture(encode(image, "PNG"))[0, 0]) == RED


def test_a_colour_that_counts_as_transparent() -> None:
    rows = b"\x00" + bytes(RED) + bytes(GREEN)
    out = load_picture(png(2, 1, 8, 2, rows, chunk(b"tRNS", struct.pack(">HHH", *RED))))
    assert [tuple(pixel) for pixel in out[0]] == [WHITE, GREEN]
    rows = b"\x00" + bytes([7, 90])
    out = load_picture(png(2, 1, 8, 0, rows, chunk(b"tRNS", struct.pack(">H", 7))))
    assert [tuple(pixel) for pixel in out[0]] == [WHITE, (90, 90, 90)]


# --- colours and depth -------------------------------------------------------------------------------------------


def test_cmyk_jpegs_are_not_inverted() -> None:
    """Adobe's programs, and Pillow, store CMYK inverted; a file of theirs must still come out red on white."""
    image = Image.new("CMYK", (32, 16), (0, 0, 0, 0))
    image.paste((0, 255, 255, 0), (0, 0, 16, 16))
    content = encode(image, "JPEG", quality=95)
    assert b"Adobe" in content
    out = load_picture(content)
    np.testing.assert_allclose(out[8, 4].astype(int), RED, atol=8)
    np.testing.assert_allclose(out[8, 28].astype(int), WHITE, atol=8)


def test_cmyk_tiffs() -> None:
    out = load_picture(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_allclose(out[4, 4].astype(int), RED, atol=8)


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "HSV", "RGBX", "LAB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = Image.new("RGB", (8, 8), WHITE)
    image = Image.new("LAB", (8, 8), (255, 128, 128)) if mode == "LAB" else grey.convert(mode)
    np.testing.assert_allclose(load_picture(image)[3, 3].astype(int), WHITE, atol=2)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16)
    rows = b"\x00" + values.astype(">u2").tobytes()
    out = load_picture(png(256, 1, 16, 0, rows))
    np.testing.assert_array_equal(out[0, :, 0], np.arange(256))
    np.testing.assert_array_equal(out[0, :, 1], out[0, :, 2])
    as_tiff = load_picture(encode(Image.fromarray(values[None]), "TIFF"))
    np.testing.assert_array_equal(as_tiff, out)
    np.testing.assert_array_equal(load_picture(values[None]), out)
    dark = b"\x00" + np.full(4, 257 * 3, ">u2").tobytes()
    assert load_picture(png(4, 1, 16, 0, dark)).max() == 3


def test_sixteen_bit_colour_is_scaled() -> None:
    rows = b"\x00" + np.array([[65535, 32768, 257]], ">u2").tobytes()
    np.testing.assert_allclose(load_picture(png(1, 1, 16, 2, rows))[0, 0].astype(int), (255, 128, 1), atol=1)
    rows = b"\x00" + np.array([[65535, 32768, 257, 0]], ">u2").tobytes()
    assert tuple(load_picture(png(1, 1, 16, 6, rows))[0, 0]) == WHITE
    rows = b"\x00" + np.array([[32768, 65535]], ">u2").tobytes()
    np.testing.assert_allclose(load_picture(png(1, 1, 16, 4, rows))[0, 0].astype(int), (128, 128, 128), atol=1)


def test_sixteen_bit_pgm() -> None:
    out = load_picture(b"P5 3 1 65535\n" + np.array([0, 32896, 65535], ">u2").tobytes())
    np.testing.assert_allclose(out[0, :, 0], [0, 128, 255], atol=1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([-5.0, 0.25, 1.0], [0, 64, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ([0.0, 500_000.0, 1_000_000.0], [0, 128, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_float_tiffs(values: list[float], expected: list[int]) -> None:
    out = load_picture(encode(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    np.testing.assert_array_equal(out[0, :, 0], expected)


@pytest.mark.parametrize("peak", [255, 65535, 2**31 - 1])
def test_thirty_two_bit_tiffs(peak: int) -> None:
    out = load_picture(encode(Image.fromarray(np.array([[0, peak // 2, peak]], np.int32)), "TIFF"))
    np.testing.assert_allclose(out[0, :, 0], [0, 127, 255], atol=1)


def test_bilevel_pictures() -> None:
    np.testing.assert_array_equal(load_picture(png(8, 1, 1, 0, b"\x00\xf0"))[0, :, 0], [255] * 4 + [0] * 4)


def test_colour_profiles_are_converted() -> None:
    """The numbers of a profile whose channels are swapped mean other colours; sRGB ones stay."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"_XYZ").replace(b"gXYZ", b"rXYZ").replace(b"_XYZ", b"gXYZ")
    swapped = swapped.replace(b"sRGB", b"odd ").replace("sRGB".encode("utf-16-be"), "oddi".encode("utf-16-be"))
    image = Image.fromarray(four_colours())
    np.testing.assert_array_equal(load_picture(encode(image, "PNG", icc_profile=srgb)), four_colours())
    out = load_picture(encode(image, "PNG", icc_profile=swapped))
    np.testing.assert_allclose(out[8, 8].astype(int), GREEN, atol=4)
    np.testing.assert_allclose(out[8, 52].astype(int), RED, atol=4)


def test_a_damaged_profile_is_ignored() -> None:
    content = encode(Image.fromarray(four_colours()), "PNG", icc_profile=b"not a profile")
    np.testing.assert_array_equal(load_picture(content), four_colours())


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    content = encode(Image.fromarray(four_colours()), "PNG", icc_profile=lab)
    np.testing.assert_array_equal(load_picture(content), four_colours())


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000)])
def test_smallest_and_thinnest_pictures(image_format: str, size: tuple[int, int]) -> None:
    picture = load_picture(encode(Image.new("RGB", size, RED), image_format))
    assert picture.shape == (size[1], size[0], 3)
    prepared = prepare_picture(picture, PictureSpec(16, 24))
    assert prepared.shape == (3, 16, 24)
    assert np.isfinite(prepared).all()


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_declared_size_is_refused_before_decoding(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own warning must not be the user's
        message = refused(png(*size, 8, 2, b""))
    assert "pixels" in message
    assert "save it smaller" in message


def test_limits_can_be_set() -> None:
    content = encode(Image.fromarray(four_colours()), "PNG")
    assert "60×40" in refused(content, limits=PictureLimits(max_pixels=2399))
    assert load_picture(content, PictureLimits(max_pixels=2400)).shape == (40, 60, 3)
    assert "60×40" in refused(four_colours(), limits=PictureLimits(max_pixels=2399))
    assert "60×40" in refused(Image.fromarray(four_colours()), limits=PictureLimits(max_pixels=2399))


def test_files_that_are_too_large(tmp_path: Path) -> None:
    limits = PictureLimits(max_bytes=2**20)
    path = tmp_path / "x.jpg"
    with open(path, "wb") as file:
        file.truncate(2**20 + 1)
    assert "larger than 1 MiB" in refused(path, limits=limits)
    assert "larger than 1 MiB" in refused(bytes(2**20 + 1), limits=limits)
    assert "larger than 1 MiB" in refused(io.BytesIO(bytes(2**20 + 1)), limits=limits)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero on this system")
def test_endless_files_end() -> None:
    assert "larger than 1 MiB" in refused("/dev/zero", limits=PictureLimits(max_bytes=2**20))


def test_large_jpegs_may_come_reduced() -> None:
    content = encode(Image.fromarray(four_colours(800, 1200)), "JPEG")
    assert load_picture(content).shape == (800, 1200, 3)
    reduced = load_picture(content, at_least=150)
    assert reduced.shape == (200, 300, 3)
    np.testing.assert_allclose(reduced[50, 50].astype(int), RED, atol=6)
    assert load_picture(content, at_least=700).shape == (800, 1200, 3)
    assert load_picture(encode(Image.fromarray(four_colours(800, 1200)), "PNG"), at_least=150).shape == (800, 1200, 3)


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_pictures_are_refused(image_format: str, share: float, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    content = encode(noise, image_format)
    path = tmp_path / "half.jpg"
    path.write_bytes(content[: int(len(content) * share)])
    message = refused(path)
    assert str(path) in message
    assert "damaged or cut off" in message
    assert "download it again" in message


def test_damaged_pictures_never_raise_anything_else() -> None:
    """Bytes changed at random in real files: pixels or one line, nothing else."""
    generator = np.random.default_rng(0)
    for image_format in FORMATS:
        content = encode(Image.fromarray(four_colours(24, 36)), image_format)
        for _ in range(60):
            damaged = bytearray(content)
            for place in generator.integers(0, len(damaged), 4):
                damaged[place] = generator.integers(0, 256)
            with suppress(PictureError):
                assert load_picture(bytes(damaged), PictureLimits(max_pixels=10**6)).dtype == np.uint8


def test_empty_files(tmp_path: Path) -> None:
    (tmp_path / "none.jpg").touch()
    assert "none.jpg is empty (0 bytes)" in refused(tmp_path / "none.jpg")
    assert "empty" in refused(b"")


def test_text_called_jpg(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("I am no picture.\n" * 10)
    message = refused(tmp_path / "x.jpg")
    assert "x.jpg is not a picture" in message
    assert "JPEG" in message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(50), "HEIC"),
        (b"%PDF-1.7\n" + bytes(50), "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "PostScript"),
        (b"8BPS\x00\x01" + bytes(50), "Photoshop"),
    ],
)
def test_foreign_formats_say_what_to_do(content: bytes, word: str) -> None:
    message = refused(content)
    assert word in message
    assert "as JPEG or PNG" in message


# --- names -------------------------------------------------------------------------------------------------------


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.jpg")
    assert "is a folder" in refused(tmp_path)
    assert "is a folder" in refused(str(tmp_path))
    refused("a\x00b.jpg")
    refused("")
    refused("x" * 100_000)
    assert refused("two\nlines.jpg").startswith("two?lines.jpg")


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the system, in a way that also the all-powerful user of a container meets."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "permissions" in refused(tmp_path / "secret.jpg")


@pytest.mark.parametrize(
    "name", ["https://example.com/x.jpg", "HTTP://x/y.png", "file:///tmp/x.jpg", "data:image/png;base64,AAAA"]
)
def test_web_addresses_must_be_downloaded_first(name: str) -> None:
    assert "download the picture first" in refused(name)
    if name.startswith("https"):
        assert "download the picture first" in refused(Path(name))


@pytest.mark.parametrize("source", [None, 7, 1.5, [1, 2], {"a": 1}])
def test_things_that_are_no_source(source: object) -> None:
    assert type(source).__name__ in refused(source)


# --- arrays ------------------------------------------------------------------------------------------------------


def test_arrays_of_every_accepted_kind() -> None:
    picture = four_colours()
    grey = picture[:, :, 0]
    np.testing.assert_array_equal(load_picture(picture / 255.0), picture)
    np.testing.assert_array_equal(load_picture((picture / 255.0).astype(np.float32)), picture)
    np.testing.assert_array_equal(load_picture(picture.astype(np.uint16) * 257), picture)
    np.testing.assert_array_equal(load_picture(grey), np.repeat(grey[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(load_picture(grey[:, :, None]), np.repeat(grey[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(load_picture(grey > 0), np.repeat(grey[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(load_picture(picture[::2, ::-1]), picture[::2, ::-1])


def test_arrays_with_alpha_lie_over_white() -> None:
    picture = np.zeros((1, 3, 4), np.uint8)
    picture[0, :, 3] = (0, 255, 51)
    np.testing.assert_array_equal(load_picture(picture)[0, :, 0], [255, 0, 204])


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((3, 8, 8), np.uint8), "shape"),
        (np.zeros(8, np.uint8), "shape"),
        (np.zeros((1, 8, 8, 3), np.uint8), "shape"),
        (np.zeros((8, 8, 2), np.uint8), "shape"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.full((8, 8, 3), 255.0), "0..1"),
        (np.full((8, 8, 3), -0.1), "0..1"),
        (np.full((8, 8, 3), np.nan), "0..1"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.zeros((8, 8, 3), np.complex64), "complex64"),
    ],
)
def test_arrays_that_are_no_pictures(array: np.ndarray, word: str) -> None:
    assert word in refused(array)


# --- preparation -------------------------------------------------------------------------------------------------


def test_resizing_is_that_of_pillow() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((24, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resize_picture(picture, PictureSpec(16, 24)), np.asarray(expected))


def test_resizing_to_the_same_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resize_picture(four_colours(), PictureSpec(40, 60)), four_colours())


def test_fine_patterns_average_out() -> None:
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    out = resize_picture(np.repeat(board[:, :, None], 3, axis=2), PictureSpec(16, 16))
    np.testing.assert_allclose(out.astype(int), 127, atol=2)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_crop_takes_the_middle(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    long_axis = int(np.argmax(shape))
    middle = [slice(None), slice(None)]
    middle[long_axis] = slice(20, 40)
    picture[tuple(middle)] = 200
    np.testing.assert_array_equal(resize_picture(picture, PictureSpec(20, 20, fit="crop")), np.full((20, 20, 3), 200))
    squashed = resize_picture(picture, PictureSpec(20, 20))
    assert squashed.min() < 10


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (7, 3)])
def test_crop_of_extreme_shapes(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    np.testing.assert_array_equal(resize_picture(picture, PictureSpec(9, 31, fit="crop")), np.full((9, 31, 3), 90))


def test_normalizing() -> None:
    spec = PictureSpec(40, 60, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    out = normalize_picture(four_colours(), spec)
    assert (out.dtype, out.shape) == (np.float32, (3, 40, 60))
    assert out.flags.c_contiguous
    expected = (four_colours() / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    np.testing.assert_allclose(out, expected.transpose(2, 0, 1), atol=1e-6)


def test_prepare_is_both_steps() -> None:
    spec = PictureSpec(16, 24)
    expected = normalize_picture(resize_picture(four_colours(), spec), spec)
    np.testing.assert_array_equal(prepare_picture(four_colours(), spec), expected)


def test_specification_travels_as_json() -> None:
    spec = PictureSpec(100, 200, fit="crop")
    assert from_mapping(PictureSpec, to_mapping(spec)) == spec


@pytest.mark.parametrize(
    "changes", [{"height": 0}, {"width": -1}, {"height": 10**6}, {"std": (1.0, 0.0, 1.0)}, {"fit": "stretch"}]
)
def test_impossible_specifications(changes: dict) -> None:
    with pytest.raises(ConfigurationError):
        PictureSpec(**changes)
