"""Numbers that tell photographs from drawn things: how values, edges, colours and fine grain are distributed.

A photograph of the world has sensor grain and soft light, so that neighbours are rarely exactly equal; its colours are
many and close to each other; its channels change together; its spectrum falls steadily (Field 1987; Ruderman 1994). A
page, a window or a chart has few colours and hard edges along the axes, and a gradient or noise is the same everywhere.
The numbers are taken twice: of pixels as they are, on patches from all over the picture, and of the whole picture made
small, because scaling and JPEG change the first and hardly the second.
"""

import numpy as np
from PIL import Image

NEAR_PATCH, NEAR_GRID = 48, 4  # pixels a side, and patches a side
FAR_SIZE = 96  # pixels a side
_EDGES = (0, 1, 3, 6, 12, 24, 48, 96)
_BENDS = (0, 1, 3, 12)
_DEVIATIONS = (0.5, 1, 2, 4, 8, 16, 32)
_LEVELS = np.arange(512, dtype=np.float64)


def picture_statistics(picture: np.ndarray, far: np.ndarray | None = None) -> np.ndarray:
    """The numbers (D,) float32 of `picture` (H, W, 3) uint8; every one finite, and as many for any size.

    `far` is its `far_view`, where that was needed for something else too.
    """
    assert (picture.dtype, picture.shape[2:]) == (np.uint8, (3,))
    far = far_view(picture) if far is None else far
    near, small = _near(picture), far[None]
    coarse = np.asarray(Image.fromarray(far).reduce(3))
    grey = _grey(small)[0].astype(np.float32)
    parts = [_grain(near), _colours(near), _grain(small), _colours(small), _layout(grey), _spectrum(grey)]
    return np.nan_to_num(np.concatenate([*parts, _grain(coarse[None])])).astype(np.float32)


def _near(picture: np.ndarray) -> np.ndarray:
    """(P, 48, 48, 3) pixels as they are: patches evenly spread; a small picture is mirrored at its edges."""
    missing = [max(NEAR_PATCH - length, 0) for length in picture.shape[:2]]
    if any(missing):
        picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    rows, columns = (
        np.linspace(0, length - NEAR_PATCH, min(NEAR_GRID, -(-length // NEAR_PATCH))).astype(int).tolist()
        for length in picture.shape[:2]
    )
    return np.stack([picture[y : y + NEAR_PATCH, x : x + NEAR_PATCH] for y in rows for x in columns])


def far_view(picture: np.ndarray) -> np.ndarray:
    """(96, 96, 3) uint8: the whole picture squashed, each pixel the mean of what it covers (of some of it in very large
    pictures, where the mean of all would take longer than the description)."""
    step = max(min(picture.shape[:2]) // (8 * FAR_SIZE), 1)
    image = Image.fromarray(np.ascontiguousarray(picture[::step, ::step]))
    factor = min(image.size) // (2 * FAR_SIZE)
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((FAR_SIZE, FAR_SIZE), Image.Resampling.BILINEAR))


def _grey(patches: np.ndarray) -> np.ndarray:
    """Luma (P, H, W) int16 of (P, H, W, 3) uint8."""
    weights = (77, 150, 29)
    total = sum(patches[..., i].astype(np.int32) * weight for i, weight in enumerate(weights))
    return (np.asarray(total) >> 8).astype(np.int16)


def _histogram(values: np.ndarray) -> np.ndarray:
    """Shares (512,) of whole numbers 0..511."""
    return np.bincount(values.ravel(), minlength=512) / values.size


def _grain(patches: np.ndarray) -> np.ndarray:
    """Edges, equality of neighbours, fine grain and its correlations, of (P, H, W, 3) uint8."""
    grey = _grey(patches)
    across, down = np.diff(grey, axis=2), np.diff(grey, axis=1)
    by_column, by_row = _histogram(np.abs(across)), _histogram(np.abs(down))
    steps = (by_column + by_row) / 2
    bends = np.cumsum(_histogram(np.minimum(np.abs(np.diff(across, axis=2)), 511)))
    mean, square = steps @ _LEVELS, steps @ _LEVELS**2
    channels = [np.diff(patches[..., i].astype(np.int16), axis=2) for i in range(3)]
    equal = ((channels[0] == 0) & (channels[1] == 0) & (channels[2] == 0)).mean()
    blocks = _block_deviations(grey)
    levels = np.log1p(np.quantile(blocks, (0.05, 0.25, 0.5, 0.75, 0.95)))
    lags = [_correlation(across[..., lag:], across[..., :-lag]) for lag in (1, 2, 4)]
    values = [_correlation(grey[:, :, lag:], grey[:, :, :-lag]) for lag in (1, 4)]
    together = [_correlation(channels[a], channels[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
    return np.array(
        [
            *np.cumsum(steps)[list(_EDGES)],
            *bends[list(_BENDS)],
            equal,
            np.log1p(mean),
            np.log((square + 1e-3) / (mean * mean + 1e-3)),
            np.log((by_column @ _LEVELS + 0.1) / (by_row @ _LEVELS + 0.1)),
            *levels,
            *((blocks < deviation).mean() for deviation in _DEVIATIONS),
            *lags,
            *values,
            *together,
        ]
    )


def _block_deviations(grey: np.ndarray) -> np.ndarray:
    """Standard deviation in blocks of 8 × 8 pixels (4 × 4 in small patches), flat."""
    side = 8 if grey.shape[1] >= 48 else 4
    rows, columns = grey.shape[1] // side, grey.shape[2] // side
    blocks = grey[:, : rows * side, : columns * side].astype(np.float32).reshape(-1, rows, side, columns, side)
    mean = blocks.mean(axis=2).mean(axis=3)
    square = (blocks * blocks).mean(axis=2).mean(axis=3)
    return np.sqrt(np.maximum(square - mean * mean, 0)).ravel()


def _colours(patches: np.ndarray) -> np.ndarray:
    """How many colours there are, how evenly they are used, how saturated and how bright they are."""
    red, green, blue = (patches[..., i].ravel().astype(np.int32) for i in range(3))
    counts = np.bincount((red >> 4) * 256 + (green >> 4) * 16 + (blue >> 4), minlength=4096) / len(red)
    used = np.sort(counts[counts > 0])[::-1]
    tops = [used[:n].sum() for n in (1, 2, 4, 8, 16, 32, 64)]
    exact = np.sort((red << 16) + (green << 8) + blue)
    levels = _histogram(_grey(patches))[:256]
    occupied = levels[levels > 0]
    mean = float(levels @ _LEVELS[:256])
    square = float(levels @ _LEVELS[:256] ** 2)
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    saturation = _histogram(chroma)
    mean_chroma = float(saturation @ _LEVELS)
    square_chroma = float(saturation @ _LEVELS**2)
    return np.array(
        [
            *tops,
            -(used * np.log(used)).sum(),
            np.log1p((used > 0.001).sum()),
            (np.count_nonzero(np.diff(exact)) + 1) / len(exact),
            -(occupied * np.log(occupied)).sum(),
            levels.max(),
            (levels > 0.0005).mean(),
            np.abs(np.diff(levels)).sum(),
            levels[:4].sum(),
            levels[252:].sum(),
            mean / 255,
            max(square - mean * mean, 0) ** 0.5 / 128,
            mean_chroma / 255,
            max(square_chroma - mean_chroma * mean_chroma, 0) ** 0.5 / 128,
            saturation[:3].sum(),
            saturation[151:].sum(),
        ]
    )


def _layout(grey: np.ndarray) -> np.ndarray:
    """How a picture (96, 96) is the same along rows and columns, in its halves, at its border and all over."""
    rows, columns, whole = grey.mean(axis=1), grey.mean(axis=0), max(float(grey.std()), 1e-3)
    by_row, by_column = np.log1p(grey.std(axis=1)), np.log1p(grey.std(axis=0))
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    cells = grey.reshape(6, 16, 6, 16)
    means, deviations = cells.mean(axis=(1, 3)), cells.std(axis=(1, 3))
    down, across = np.abs(np.diff(grey, axis=0)).mean(axis=1), np.abs(np.diff(grey, axis=1)).mean(axis=0)
    return np.array(
        [
            rows.std() / whole,
            columns.std() / whole,
            by_row.min(),
            by_row.std(),
            by_column.min(),
            by_column.std(),
            np.log1p(border.std()),
            means.std() / whole,
            np.log1p(deviations.min()),
            np.log1p(deviations.max()),
            deviations.std() / max(float(deviations.mean()), 1e-3),
            _correlation(grey, grey[:, ::-1]),
            _correlation(grey, grey[::-1]),
            _peakedness(down),
            _peakedness(across),
            _correlation(deviations, means),
        ]
    )


def _spectrum(grey: np.ndarray) -> np.ndarray:
    """Power of a picture (96, 96) by octave and by direction, and how steadily it falls."""
    window = np.hanning(FAR_SIZE)
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * np.outer(window, window))) ** 2
    rows, columns = np.abs(np.fft.fftfreq(FAR_SIZE, 1 / FAR_SIZE))[:, None], np.fft.rfftfreq(FAR_SIZE, 1 / FAR_SIZE)
    radius = np.hypot(rows, columns)
    octave = np.digitize(radius, (1, 3, 6, 12, 24, 48)).ravel()
    sums = np.bincount(octave, power.ravel(), 7) / np.maximum(np.bincount(octave, minlength=7), 1)
    octaves = np.log(sums[1:6] + 1)
    high = radius >= 6
    strong, along = power[high], np.minimum(rows, columns)[high] < 0.1 * radius[high]
    on_axes = strong[along].sum() / (strong.sum() + 1)
    peak = np.log(strong.max() + 1) - np.log(strong.mean() + 1)
    return np.array([*(octaves[1:] - octaves[0]), octaves[0], on_axes, peak, np.diff(octaves).std()])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two arrays of one shape; 0 where one of them is constant."""
    a, b = a.astype(np.float32).ravel(), b.astype(np.float32).ravel()
    a -= a.mean()
    b -= b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b))) / len(a)
    return float(a @ b) / len(a) / scale if scale > 1e-3 else 0.0


def _peakedness(steps: np.ndarray) -> float:
    """log of mean square over squared mean, of positive numbers: high where few are large and most are 0."""
    mean = float(steps.mean())
    return float(np.log((float((steps * steps).mean()) + 1e-3) / (mean * mean + 1e-3)))
