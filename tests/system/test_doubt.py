"""From a bundle without to one with a detector, and what `optophone evaluate doubt` says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.data.manifest import write_dataset, write_manifest
from optophone.export.results import content_hash
from tiny_bundles import BRIGHT, DARK, flat, grainy, write_captioner, write_detector, write_voice

CAPTIONS = {True: [BRIGHT, "a dog runs over grass", "the dog runs"], False: [DARK, "the cat sleeps", "a cat in snow"]}


def write_photographs(folder: Path) -> Path:
    """Forty bright and dark ones; every fourth has the captions of the other kind."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for i in range(40):
        bright = i % 2 == 0
        Image.fromarray(grainy(bright)).save(folder / f"pictures/{i:02}.png")
        rows.append({"id": f"{i:02}", "picture": f"{i:02}.png", "captions": CAPTIONS[bright == bool(i % 4)]})
    write_manifest(folder / "dev.jsonl", rows)
    return _finish(folder, ("dev",))


def write_drawn(folder: Path) -> Path:
    """Plain pictures of a known and of an unseen family, and a family that looks like photographs."""
    (folder / "pictures").mkdir(parents=True)
    for split, names in (("train", ["stripes"]), ("test", ["face", "fractal"])):
        rows = []
        for name in names:
            for i in range(3):
                picture = grainy() if name == "fractal" else flat(height=30 + i)
                Image.fromarray(picture).save(folder / f"pictures/{name}{i}.png")
                rows.append({"id": f"{name}{i}", "picture": f"{name}{i}.png", "family": name})
        write_manifest(folder / f"{split}.jsonl", rows)
    return _finish(folder, ("train", "test"))


def _finish(folder: Path, splits: tuple[str, ...]) -> Path:
    write_dataset(
        folder, "x", splits=splits, options={}, source="x", layout="x", licence="", roots={"picture": "pictures"}
    )
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("data") / "photographs")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner that got its detector by export."""
    folder = tmp_path_factory.mktemp("bundles")
    plain = write_captioner(folder / "plain")
    detector = write_detector(folder / "detector.npz", refuses_flat=True)
    assert run(["export", str(plain), "--photograph", str(detector), "-o", str(folder / "doubting")]) == 0
    return folder / "doubting"


def test_a_detector_is_put_in_by_export(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    opened, plain = open_bundle(bundle), open_bundle(bundle.parent / "plain")
    assert opened.file("photograph.npz").read_bytes() == (bundle.parent / "detector.npz").read_bytes()
    assert content_hash(opened.manifest) == content_hash(plain.manifest)
    Image.fromarray(flat()).save(tmp_path / "drawing.png")
    assert run(["caption", str(tmp_path / "drawing.png"), "-m", str(bundle)]) == 0
    assert "I cannot tell" in capfd.readouterr().out


def test_a_system_gets_it_too(bundle: Path, tmp_path: Path) -> None:
    voice = write_voice(tmp_path / "voice")
    arguments = ["export", str(bundle.parent / "plain"), str(voice), "-o", str(tmp_path / "system")]
    assert run([*arguments, "--photograph", str(bundle.parent / "detector.npz")]) == 0
    assert "photograph.npz" in open_bundle(tmp_path / "system/captioner").manifest.files
    assert "photograph.npz" not in open_bundle(tmp_path / "system/acoustic").manifest.files


def test_a_detector_that_cannot_be_read_is_not_put_in(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"")
    plain = str(bundle.parent / "plain")
    assert run(["export", plain, "--photograph", str(tmp_path / "bad.npz"), "-o", str(tmp_path / "out")]) == 2
    assert "no detector of photographs" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_doubt_is_measured(bundle: Path, photographs: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    drawn = write_drawn(tmp_path / "drawn")
    arguments = ["evaluate", "doubt", str(bundle), str(photographs), "--non-photographs", str(drawn), "--quiet"]
    assert run([*arguments, "-o", str(tmp_path / "doubt.json"), "--figures", str(tmp_path / "figures")]) == 0
    out = capfd.readouterr().out
    assert "photographs refused" in out
    assert "refused of fractal" in out
    result = json.loads((tmp_path / "doubt.json").read_text())
    scores = result["scores"]
    assert scores["photographs_refused"] == 0
    assert 0 < scores["photographs_refused_interval"][1] < 0.1
    assert scores["others_refused"] == pytest.approx(6 / 9)
    assert scores["unseen_families_refused"] == pytest.approx(0.5)
    assert 0.5 < scores["auc_unseen_families"] < scores["auc"] < 1
    assert result["families"]["fractal"] == {"pictures": 3, "refused": 0.0, "unseen": True}
    assert result["families"]["stripes"] == {"pictures": 3, "refused": 1.0, "unseen": False}
    assert sum(group["n_pictures"] for group in result["reliability"]) == 40
    assert result["risk_coverage"][-1] == [1.0, pytest.approx(scores["cider_d"])]
    for name in ("reliability", "risk-coverage"):
        assert (tmp_path / f"figures/{name}.svg").read_text().startswith("<svg")

    assert run(["export", str(bundle), "--metrics", str(tmp_path / "doubt.json"), "-o", str(tmp_path / "out")]) == 0
    finished = open_bundle(tmp_path / "out")
    assert finished.manifest.metrics["unseen_families_refused"] == 0.5
    assert "photograph.npz" in finished.manifest.files
    assert "kinds of pictures that the detector never saw" in finished.file("CARD.md").read_text()


def test_without_a_detector_there_is_nothing_to_measure(
    bundle: Path, photographs: Path, capfd: pytest.CaptureFixture
) -> None:
    arguments = ["evaluate", "doubt", str(bundle.parent / "plain"), str(photographs)]
    assert run([*arguments, "--non-photographs", str(photographs)]) == 2
    assert "export it with --photograph" in capfd.readouterr().err


def test_captions_are_scored_in_spite_of_refusals(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    folder = write_photographs(tmp_path / "photographs")
    for i in range(40):
        Image.fromarray(flat(i % 2 == 0)).save(folder / f"pictures/{i:02}.png")
    result = tmp_path / "captions.json"
    assert (
        run(
            ["evaluate", "captions", str(bundle), str(folder), "--calibrate", "-o", str(result), "--quiet", "--no-java"]
        )
        == 0
    )
    said = json.loads(result.read_text())
    assert set(said["captions"].values()) == {BRIGHT, DARK}
    assert {"slope", "intercept", "lowest", "length"} <= set(said["calibration"])
    assert np.isfinite(said["calibration"]["by_chance"])
