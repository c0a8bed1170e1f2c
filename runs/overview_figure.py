"""The figure of one spoken picture, as SVG: its spectrogram, when each part is spoken, and where the model looked.

Used by runs/overview_ways.py. Screen readers read a title and a description with every part, its time and its place;
nothing is told by colour alone.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from optophone.core.mel import MelSpec, band_centres, log_mel

_WIDTH, _LEFT, _RIGHT, _TOP, _HEIGHT = 760, 52, 744, 66, 160
_MARKED_HZ = (500, 1000, 2000, 4000, 8000)
_IN_A_ROW = 6
_DARKEST = 0.2  # of what it was, where the model did not look
_QUALITY = 72  # of the small pictures
_PLACES = (("upper", "middle", "lower"), ("left", "middle", "right"))


@dataclass(frozen=True, eq=False)
class Part:
    """A word, or units that follow one another.

    Args:
        label: what is said, as it is written.
        span_s: seconds from where to where it is spoken, or None where nobody knows.
        attention: (rows, columns) where the model looked for it, or None.
    """

    label: str
    span_s: tuple[float, float] | None = None
    attention: np.ndarray | None = None


def spoken_figure(title: str, picture: Image.Image, wave: np.ndarray, spec: MelSpec, parts: Sequence[Part]) -> str:
    """The text of an SVG file.

    Args:
        title: read out first, and written above.
        picture: what was described.
        wave: (N,) at the sample rate of `spec`.
        spec: how the spectrogram is laid out.
        parts: in the order in which they are said; none where the model writes nothing down.
    """
    mel = log_mel(wave, spec)
    duration = len(wave) / spec.sample_rate
    looked = [part for part in parts if part.attention is not None]
    small = _small(picture)
    rows = -(-len(looked) // _IN_A_ROW)
    first_row = _TOP + _HEIGHT + 52
    height = first_row + rows * _row_height(small) if looked else _TOP + _HEIGHT + 46
    described = "; ".join(_described(part) for part in parts) or "nothing is written down on the way"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-labelledby="title description" font-family="sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">Spectrogram of {duration:.2f} seconds of speech. {escape(described)}.</desc>',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_spectrogram(mel, spec, duration),
        *_times(parts, duration),
        *_looks(looked, small, first_row),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _described(part: Part) -> str:
    text = part.label
    if part.span_s is not None:
        text += f", {part.span_s[0]:.2f} to {part.span_s[1]:.2f} s"
    if part.attention is not None:
        text += f", looking most at the {_place(part.attention)}"
    return text


def _place(attention: np.ndarray) -> str:
    """The ninth of the picture in which most of the attention is."""
    thirds = [
        [float(box.sum()) for box in np.array_split(row, 3, axis=1)] for row in np.array_split(attention, 3, axis=0)
    ]
    row, column = divmod(int(np.argmax(thirds)), 3)
    vertical, horizontal = _PLACES[0][row], _PLACES[1][column]
    return "middle" if vertical == horizontal else f"{vertical} {horizontal}"


def _spectrogram(mel: np.ndarray, spec: MelSpec, duration: float) -> Iterator[str]:
    """The picture of the mel (M, T), loud is dark, with its axes."""
    low, high = np.percentile(mel, 5), mel.max()
    grey = 255 - 255 * np.clip((mel - low) / max(high - low, 1e-6), 0, 1)
    width = _RIGHT - _LEFT
    data = _data_uri(Image.fromarray(grey[::-1].astype(np.uint8)), "png")
    yield (
        f'<image x="{_LEFT}" y="{_TOP}" width="{width}" height="{_HEIGHT}" preserveAspectRatio="none" href="{data}"/>'
    )
    bottom = _TOP + _HEIGHT
    yield f'<path d="M{_LEFT} {_TOP}V{bottom}H{_RIGHT}" fill="none" stroke="black"/>'
    centres = band_centres(spec)
    for hertz in _MARKED_HZ:
        if centres[0] <= hertz <= spec.f_max:
            y = bottom - _HEIGHT * (float(np.interp(hertz, centres, np.arange(len(centres)))) + 0.5) / len(centres)
            text = f"{hertz / 1000:g} kHz"
            yield f'<path d="M{_LEFT - 4} {y:.1f}h4" stroke="black"/>'
            yield f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end" font-size="11">{text}</text>'
    for second in np.arange(0, duration, 0.5):
        at = _x(second, duration)
        yield f'<path d="M{at:.1f} {bottom}v4" stroke="black"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle" font-size="11">{second:g} s</text>'


def _x(seconds: float, duration: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * seconds / duration


def _times(parts: Sequence[Part], duration: float) -> Iterator[str]:
    """The parts above the sound that they are, in two lines by turns so that short ones do not meet."""
    for number, part in enumerate(part for part in parts if part.span_s is not None):
        assert part.span_s is not None
        begin, end = (_x(seconds, duration) for seconds in part.span_s)
        y = 42 if number % 2 else 58
        yield f'<path d="M{begin:.1f} {y + 3}V{_TOP}" stroke="#888"/>'
        text = escape(part.label)
        yield f'<text x="{(begin + end) / 2:.1f}" y="{y}" text-anchor="middle">{text}</text>'


def _looks(parts: Sequence[Part], small: Image.Image, first_row: int) -> Iterator[str]:
    """The picture once for every part, bright where the model looked."""
    if parts:
        yield f'<text x="{_LEFT}" y="{first_row - 10}">Where it looked for each: bright.</text>'
    width = (_RIGHT - _LEFT) / _IN_A_ROW
    for number, part in enumerate(parts):
        assert part.attention is not None
        row, column = divmod(number, _IN_A_ROW)
        x, y = _LEFT + column * width, first_row + row * _row_height(small)
        data = _data_uri(_lit(small, part.attention), "jpeg")
        yield f'<image x="{x:.1f}" y="{y}" width="{small.width}" height="{small.height}" href="{data}"/>'
        middle = x + small.width / 2
        yield f'<text x="{middle:.1f}" y="{y + small.height + 15}" text-anchor="middle">{escape(part.label)}</text>'


def _row_height(small: Image.Image) -> int:
    return small.height + 26


def _small(picture: Image.Image) -> Image.Image:
    width = (_RIGHT - _LEFT) // _IN_A_ROW - 8
    height = round(width * picture.height / picture.width)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _lit(small: Image.Image, attention: np.ndarray) -> Image.Image:
    """The picture, dark where `attention` (rows, columns) is small beside its largest value."""
    share = (attention / max(float(attention.max()), 1e-9)).astype(np.float32)
    smooth = Image.fromarray(share).resize(small.size, Image.Resampling.BICUBIC)
    light = _DARKEST + (1 - _DARKEST) * np.clip(np.asarray(smooth), 0, 1)
    return Image.fromarray((np.asarray(small) * light[..., None]).astype(np.uint8))


def _data_uri(picture: Image.Image, format: str) -> str:
    buffer = io.BytesIO()
    if format == "jpeg":
        picture.save(buffer, "JPEG", quality=_QUALITY)
    else:
        picture.save(buffer, "PNG", optimize=True)
    return f"data:image/{format};base64,{base64.b64encode(buffer.getvalue()).decode()}"
