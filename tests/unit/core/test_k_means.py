"""k-means, and the units made of it."""

from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import BundleError, ConfigurationError, DataError
from optophone.core.k_means import KMeansConfig, fit_k_means, nearest
from optophone.core.k_means_units import KMeansUnits, KMeansUnitsConfig, fit_k_means_units, unit_features


def blobs(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Frames around six far points, and the points."""
    random = np.random.default_rng(0)
    points = random.normal(0, 10, (6, 4))
    return (points[np.arange(n) % 6] + random.normal(0, 0.1, (n, 4))).astype(np.float32), points


def test_nearest_equals_a_loop() -> None:
    random = np.random.default_rng(1)
    frames, centres = random.normal(size=(50, 3)), random.normal(size=(7, 3))
    codes, distances = nearest(frames, centres)
    for frame, code, distance in zip(frames, codes, distances, strict=True):
        all_distances = [((frame - centre) ** 2).sum() for centre in centres]
        assert code == np.argmin(all_distances)
        assert distance == pytest.approx(min(all_distances))


@pytest.mark.parametrize(("n_steps", "n_passes"), [(0, 4), (30, 0), (30, 4)])
def test_centres_are_where_the_frames_are(n_steps: int, n_passes: int) -> None:
    frames, points = blobs()
    centres = fit_k_means(frames, KMeansConfig(6, n_steps=n_steps, batch_size=64, n_passes=n_passes))
    _, distances = nearest(points, centres)
    assert distances.max() < 0.02


def test_passes_end_at_the_means_of_their_frames() -> None:
    frames = np.random.default_rng(2).normal(size=(300, 2)).astype(np.float32)
    centres = fit_k_means(frames, KMeansConfig(8, n_steps=10, batch_size=50, n_passes=100))
    codes, _ = nearest(frames, centres)
    for k in range(8):
        np.testing.assert_allclose(centres[k], frames[codes == k].mean(0), atol=1e-5)


def test_mini_batches_lower_the_distance() -> None:
    frames = np.random.default_rng(3).normal(size=(2000, 5)).astype(np.float32)

    def distance(n_steps: int) -> float:
        config = KMeansConfig(20, n_seeding=20, n_steps=n_steps, batch_size=200, n_passes=0)
        return float(nearest(frames, fit_k_means(frames, config))[1].mean())

    assert distance(40) < 0.95 * distance(0)


def test_the_seed_decides() -> None:
    frames, _ = blobs()
    config = KMeansConfig(9, n_steps=5, batch_size=50)
    assert np.array_equal(fit_k_means(frames, config), fit_k_means(frames, config))
    other = KMeansConfig(9, n_steps=5, batch_size=50, seed=1)
    assert not np.array_equal(fit_k_means(frames, config), fit_k_means(frames, other))


def test_equal_frames_and_idle_centres_do_no_harm() -> None:
    frames = np.concatenate([np.zeros((50, 2)), np.ones((3, 2))]).astype(np.float32)
    centres = fit_k_means(frames, KMeansConfig(5, n_steps=3, batch_size=10))
    assert np.isfinite(centres).all()
    assert nearest(frames, centres)[1].max() < 1e-6


def test_what_cannot_be_is_refused() -> None:
    frames, _ = blobs(12)
    with pytest.raises(DataError, match="12 frames for 13 units"):
        fit_k_means(frames, KMeansConfig(13))
    frames[3, 1] = np.nan
    with pytest.raises(DataError, match="no numbers"):
        fit_k_means(frames, KMeansConfig(3))
    with pytest.raises(ConfigurationError):
        KMeansConfig(0)
    with pytest.raises(DataError, match="no speech"):
        fit_k_means_units([], KMeansConfig(3))


def speech(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples)


def test_features_are_frames_side_by_side() -> None:
    plain = unit_features(speech(4000), KMeansUnitsConfig(frames_per_unit=1, normalize=False))
    three = unit_features(speech(4000), KMeansUnitsConfig(frames_per_unit=3, normalize=False))
    assert len(plain) == 1 + 4000 // 160
    assert np.array_equal(three, plain[: len(plain) // 3 * 3].reshape(-1, 120))


def test_normalized_bands_have_no_mean_and_unit_spread() -> None:
    frames = unit_features(speech(16000), KMeansUnitsConfig(frames_per_unit=1))
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)


def test_units_are_the_same_after_saving(tmp_path: Path) -> None:
    units = fit_k_means_units([speech(8000, 1)], KMeansConfig(5), KMeansUnitsConfig(frames_per_unit=2))
    units.save(tmp_path / "units.npz")
    again = KMeansUnits.load(tmp_path / "units.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["units.npz"]
    assert again.config == units.config
    assert again.unit_s == pytest.approx(0.02)
    assert np.array_equal(again.units(speech(5000, 2)), units.units(speech(5000, 2)))


def test_files_that_hold_no_units_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "units.npz"
    with pytest.raises(BundleError, match="no such units"):
        KMeansUnits.load(path)
    for content in (b"", b"PK\x03\x04cut off", b"text"):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="no k-means units"):
            KMeansUnits.load(path)
    np.savez(path, centres=np.zeros((3, 7), np.float32), configuration=np.array("{}"))
    with pytest.raises(BundleError, match="do not fit"):
        KMeansUnits.load(path)
    np.savez(path, centres=np.array([{}]), configuration=np.array("{}"))
    with pytest.raises(BundleError, match="no k-means units"):
        KMeansUnits.load(path)
