"""The detector learns from two small data sets, is written for the runtime, and its statistics are kept."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from optophone.core.errors import ConfigurationError
from optophone.data import statistics
from optophone.data.manifest import write_dataset, write_manifest
from optophone.runtime.photograph_detector import NumpyPhotographDetector
from optophone.training.photograph import choose_threshold
from optophone.training.run import train
from tiny_bundles import flat, grainy


def write_pictures(folder: Path, splits: tuple[str, ...], pictures: list[np.ndarray]) -> Path:
    (folder / "pictures").mkdir(parents=True)
    for split in splits:
        rows = [{"id": f"{split}{i}", "picture": f"{split}{i}.png", "family": "x"} for i in range(len(pictures))]
        for row, picture in zip(rows, pictures, strict=True):
            Image.fromarray(picture).save(folder / "pictures" / row["picture"])
        write_manifest(folder / f"{split}.jsonl", rows)
    write_dataset(
        folder, "x", splits=splits, options={}, source="x", layout="x", licence="", roots={"picture": "pictures"}
    )
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    photographs = write_pictures(tmp_path / "photographs", ("train",), [grainy(i % 2 == 0) for i in range(10)])
    others = write_pictures(tmp_path / "others", ("train", "test"), [flat(i % 2 == 0) for i in range(4)])
    packed = tmp_path / "packed"
    packed.mkdir()
    np.save(packed / "train.pictures.npy", np.stack([grainy(height=24, width=24)] * 5))
    write_manifest(packed / "train.jsonl", [{"id": f"{i}", "picture": f"{i}.jpg"} for i in range(5)])
    write_dataset(packed, "packed", splits=("train",), options={}, source="x", layout="x", licence="")
    mapping = {
        "kind": "photograph",
        "name": "tiny",
        "data": {
            "photographs": str(photographs),
            "n_photographs": 0,
            "more_photographs": str(packed),
            "n_more": 3,
            "non_photographs": str(others),
            "batch_size": 16,
        },
        "model": {"hidden": 4},
        "optimizer": {"learning_rate": 0.01},
        "trainer": {"max_steps": 40, "segment_steps": 20, "validate_every": 2},
    }
    path = tmp_path / "photograph.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


def test_it_learns_and_is_written_for_the_runtime(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(config, (), tmp_path / "run")
    assert "auc 1.0000" in capsys.readouterr().out
    detector = NumpyPhotographDetector(folder / "photograph.npz")
    assert 0 < detector.threshold <= 0.5
    assert detector.judge(grainy(height=60, width=50)).is_photograph
    assert not detector.judge(flat(height=60, width=50)).is_photograph
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "statistics").iterdir()}
    assert set(kept) == {"photographs-0.npy", "photographs-1.npy", "others-train.npy", "others-test.npy"}
    assert np.load(folder / "statistics/photographs-0.npy").shape == (10, 3, 176)
    assert np.load(folder / "statistics/photographs-1.npy").shape == (3, 3, 176)

    monkeypatch.setattr(statistics, "picture_statistics", lambda _: pytest.fail("computed again"))
    train(config, (), tmp_path / "run")
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "statistics").iterdir()} == kept


def test_statistics_go_on_where_they_were(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(config, (("trainer.max_steps", "1"),), tmp_path / "whole")
    compute, n_computed = statistics.picture_statistics, []

    def stop_at_seven(picture: np.ndarray) -> np.ndarray:
        n_computed.append(1)
        if len(n_computed) == 7:
            raise KeyboardInterrupt
        return compute(picture)

    monkeypatch.setattr(statistics, "picture_statistics", stop_at_seven)
    monkeypatch.setattr(statistics, "_BETWEEN_SAVES", 2)
    with pytest.raises(KeyboardInterrupt):
        train(config, (("trainer.max_steps", "1"),), tmp_path / "run")
    assert len(np.load(tmp_path / "run/statistics/photographs-0.npy")) == 2
    train(config, (("trainer.max_steps", "1"),), tmp_path / "run")
    for path in (whole / "statistics").iterdir():
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / "run/statistics" / path.name))


def test_without_held_out_photographs_there_is_no_threshold(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data.held_out is 0"):
        train(config, (("data.held_out", "0.0"),), tmp_path / "run")


def test_the_threshold_refuses_few_and_nothing_that_is_likely() -> None:
    probabilities = np.concatenate([[0.1, 0.2], np.linspace(0.4, 1, 98)])
    assert choose_threshold(probabilities, 0.02) == pytest.approx(0.4)
    assert (probabilities < choose_threshold(probabilities, 0.01)).sum() == 1
    assert choose_threshold(np.linspace(0.8, 1, 50), 0.01) == 0.5
