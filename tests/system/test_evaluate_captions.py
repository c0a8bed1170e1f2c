"""Scoring captions as users type it: of a bundle with a page, from files, and one result against another."""

import json
from pathlib import Path

import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.data.manifest import write_dataset, write_manifest
from tiny_bundles import BRIGHT, DARK, picture, write_captioner

BRIGHT_CAPTIONS = [BRIGHT, "a dog runs <b>over</b> the green grass", "the dog runs on grass"]
DARK_CAPTIONS = [DARK, "the cat sleeps in deep snow", "a cat lies in some snow"]
REFERENCES = {
    "images": [{"id": i, "file_name": f"dev-{i}.png"} for i in range(4)],
    "annotations": [
        {"image_id": i, "caption": caption}
        for i in range(4)
        for caption in (DARK_CAPTIONS if i % 2 else BRIGHT_CAPTIONS)
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark pictures by turns."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for split, n in (("train", 4), ("dev", 6)):
        rows = []
        for i in range(n):
            name = f"{split}-{i}.png"
            Image.fromarray(picture(i % 2 == 0)).save(folder / "pictures" / name)
            rows.append({"id": name, "picture": name, "captions": DARK_CAPTIONS if i % 2 else BRIGHT_CAPTIONS})
        write_manifest(folder / f"{split}.jsonl", rows)
    write_dataset(
        folder, "tiny", splits=["train", "dev"], options={}, source="noise", layout="tiny", licence="none",
        roots={"picture": "pictures"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_captioner(tmp_path_factory.mktemp("bundle") / "captioner"))


def written(path: Path, content: object) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_a_bundle_is_scored_and_shown(
    bundle: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # no Java
    output, page = tmp_path / "dev.json", tmp_path / "page"
    arguments = ["evaluate", "captions", bundle, str(data), "--document-frequency", "train", "--variants", "2", "-q"]
    assert run([*arguments, "--report", str(page), "--report-pictures", "1", "-o", str(output)]) == 0
    out = capfd.readouterr().out
    assert "METEOR not measured: needs " in out
    assert "seen in training" in out
    found = json.loads(output.read_text())
    assert found["scores"]["meteor"] is None
    assert "not_measured" in found
    assert found["not_measured"]["meteor"].startswith("needs ")
    assert found["scores"]["seen_in_training"] == 1
    assert found["document_frequency"] == "train"
    assert set(found["intervals"]) >= {"bleu_1", "rouge_l", "cider", "cider_d"}
    assert len(list(data.glob("document-frequency-*.npz"))) == 1
    html = (page / "index.html").read_text()
    assert html.count("<img ") == 3
    assert "&lt;b&gt;over" in html
    assert "<b>" not in html


def test_captions_from_a_file_are_scored(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    references = written(tmp_path / "captions.json", REFERENCES)
    results = written(tmp_path / "r.json", [{"image_id": 0, "caption": BRIGHT}, {"image_id": 1, "caption": BRIGHT}])
    arguments = ["evaluate", "caption-file", results, references, "--no-java"]
    assert run(arguments) == 2
    assert "'2' has reference captions but none to score" in capfd.readouterr().err
    output, page = tmp_path / "scores.json", tmp_path / "page.html"
    more = ["--partial", "--pictures", str(data / "pictures"), "--report", str(page), "-o", str(output)]
    assert run([*arguments, *more]) == 0
    found = json.loads(output.read_text())
    assert found["scores"]["n_pictures"] == 2
    assert found["captions"] == {"0": BRIGHT, "1": BRIGHT}
    assert found["kind"] == "caption file"
    assert page.read_text().count("data:image/jpeg") == 2
    assert run([*arguments, "--partial", "--document-frequency", references]) == 0
    assert run([*arguments, "--partial", "--document-frequency", "nothing"]) == 2
    assert "--document-frequency nothing: give corpus" in capfd.readouterr().err


def test_captions_from_a_file_are_scored_against_a_prepared_data_set(data: Path, tmp_path: Path) -> None:
    said = [{"image_id": f"dev-{i}.png", "caption": BRIGHT} for i in range(6)]
    results, output = written(tmp_path / "r.json", said), tmp_path / "scores.json"
    assert run(["evaluate", "caption-file", results, str(data), "--no-java", "-o", str(output)]) == 0
    assert json.loads(output.read_text())["scores"]["n_pictures"] == 6


def test_two_results_are_compared(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    files = []
    for name, captions in (("worse", [BRIGHT, BRIGHT]), ("better", [BRIGHT, DARK])):
        said = [{"image_id": f"dev-{i}.png", "caption": captions[i % 2]} for i in range(6)]
        files.append(str(tmp_path / f"{name}.json"))
        results = written(tmp_path / f"{name}-results.json", said)
        assert run(["evaluate", "caption-file", results, str(data), "--no-java", "-o", files[-1]]) == 0
    output = tmp_path / "compared.json"
    assert run(["evaluate", "compare", *files, "-o", str(output)]) == 0
    out = capfd.readouterr().out
    assert "CIDEr-D" in out
    differences = {found["metric"]: found for found in json.loads(output.read_text())["differences"]}
    for name in ("bleu_4", "cider_d"):
        low, high = differences[name]["interval"]
        assert 0 <= low < differences[name]["difference"] < high
        assert differences[name]["second_better"] > 0.95
    assert run(["evaluate", "compare", files[0], str(output)]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_the_other_tokenizer_needs_java(data: Path, tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    results = written(tmp_path / "r.json", [{"image_id": "dev-0.png", "caption": BRIGHT}])
    assert run(["evaluate", "caption-file", results, str(data), "--partial", "--tokenizer", "ptb"]) == 2
    err = capfd.readouterr().err
    assert "--tokenizer ptb: needs" in err
    assert len(err.splitlines()) == 1
