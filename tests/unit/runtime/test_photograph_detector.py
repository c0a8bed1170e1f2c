"""The detector of photographs, as NumPy runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.errors import BundleError
from optophone.core.picture_statistics import far_view, picture_statistics
from optophone.models.detectors.photograph_classifier import PhotographClassifier, PhotographClassifierConfig
from optophone.runtime.photograph_detector import NumpyPhotographDetector, looks_blank
from tiny_bundles import write_detector

GENERATOR = np.random.default_rng(0)


def test_it_says_what_the_model_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PhotographClassifier(176, PhotographClassifierConfig(hidden=5)).eval()
    pictures = [GENERATOR.integers(0, high, (60, 80, 3)).astype(np.uint8) for high in (2, 30, 256)]
    statistics = np.stack([picture_statistics(picture) for picture in pictures])
    model.standardize(torch.from_numpy(statistics))
    np.savez(tmp_path / "photograph.npz", threshold=np.float32(0.5), **model.arrays())
    detector = NumpyPhotographDetector(tmp_path / "photograph.npz")
    expected = torch.sigmoid(model(torch.from_numpy(statistics))).detach().numpy()
    found = [detector.judge(picture).probability for picture in pictures]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_threshold_decides(tmp_path: Path) -> None:
    picture = GENERATOR.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    for threshold, is_photograph in ((0.49, True), (0.51, False)):
        detector = NumpyPhotographDetector(write_detector(tmp_path / "photograph.npz", threshold=threshold))
        judged = detector.judge(picture)
        assert judged.probability == pytest.approx(0.5)
        assert judged.is_photograph is is_photograph
        assert not judged.is_blank


def test_what_is_blank_is_no_photograph(tmp_path: Path) -> None:
    detector = NumpyPhotographDetector(write_detector(tmp_path / "photograph.npz", threshold=0.0))
    assert detector.judge(np.full((50, 70, 3), 200, np.uint8)).is_blank
    assert not detector.judge(np.full((50, 70, 3), 200, np.uint8)).is_photograph


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (20, 200, 90)])
def test_one_colour_looks_blank_even_with_faint_noise(colour: tuple[int, int, int]) -> None:
    noise = GENERATOR.normal(0, 4, (200, 300, 3))
    assert looks_blank(far_view(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)))


def test_a_line_of_text_or_two_shades_are_not_blank() -> None:
    page = np.full((200, 300, 3), 255, np.uint8)
    page[90:110, 30:270:3] = 0
    assert not looks_blank(far_view(page))
    halves = np.full((200, 300, 3), 100, np.uint8)
    halves[:, 150:] = 125
    assert not looks_blank(far_view(halves))


def test_damaged_files_and_other_statistics_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "photograph.npz"
    path.write_bytes(b"no arrays")
    with pytest.raises(BundleError, match="no detector of photographs"):
        NumpyPhotographDetector(path)
    with pytest.raises(BundleError, match="made for other statistics"):
        NumpyPhotographDetector(write_detector(path, n_statistics=12))
