"""Region features of any picture, by tiny detectors with random weights."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from optophone.adapters.detector import DetectorRegions, RegionFeatures, class_scores, corners
from optophone.cli.features import features as command
from optophone.cli.shard_work import Counts, FeaturesOfSamples, ShardWork
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.regions import load_regions

PICTURE = np.kron(np.random.default_rng(0).integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
SIZES = {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "layer_type": "basic"}


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs transformers: pip install 'optophone[adapters]'")


@pytest.fixture(scope="module")
def detectors(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind, as `save_pretrained` leaves it."""
    import torch
    from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    torch.manual_seed(0)
    labels = {"id2label": {i: f"thing {i}" for i in range(5)}, "label2id": {f"thing {i}": i for i in range(5)}}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_layers": 1, "decoder_ffn_dim": 8}
    detr = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(**SIZES, out_features=["stage4"]),
        d_model=12, num_queries=7, encoder_layers=1, encoder_ffn_dim=8, **heads, **labels,
    )  # fmt: skip
    rt_detr = transformers.RTDetrConfig(
        backbone_config=transformers.RTDetrResNetConfig(**SIZES, out_features=["stage2", "stage3", "stage4"]),
        encoder_hidden_dim=16, encoder_in_channels=[8, 8, 8], encoder_ffn_dim=8, decoder_in_channels=[16, 16, 16],
        d_model=16, num_queries=9, decoder_n_points=2, num_denoising=0, **heads, **labels,
    )  # fmt: skip
    folders = {"detr": tmp_path_factory.mktemp("detr"), "rt-detr": tmp_path_factory.mktemp("rt-detr")}
    transformers.DetrForObjectDetection(detr).save_pretrained(folders["detr"])
    DetrImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 80}).save_pretrained(folders["detr"])
    transformers.RTDetrForObjectDetection(rt_detr).save_pretrained(folders["rt-detr"])
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folders["rt-detr"])
    return folders


@pytest.mark.parametrize(("kind", "n_queries", "dim"), [("detr", 7, 12), ("rt-detr", 9, 16)])
def test_every_region_has_a_vector_a_box_and_a_name(
    detectors: dict[str, Path], kind: str, n_queries: int, dim: int
) -> None:
    detector = DetectorRegions(detectors[kind])
    found = detector.regions(PICTURE)
    assert detector.dim == dim
    assert (found.features.shape, found.features.dtype) == ((n_queries, dim), np.float32)
    assert found.boxes.shape == (n_queries, 4)
    left, top, right, bottom = found.boxes.T
    assert ((left >= 0) & (left < right) & (right <= 56)).all()
    assert ((top >= 0) & (top < bottom) & (bottom <= 40)).all()
    assert set(found.labels) <= {f"thing {i}" for i in range(5)}
    assert (np.diff(found.scores) <= 0).all()
    few = DetectorRegions(detectors[kind], n_regions=3).regions(PICTURE)
    np.testing.assert_array_equal(few.features, found.features[:3])
    assert few.labels == found.labels[:3]


@pytest.mark.parametrize("kind", ["detr", "rt-detr"])
def test_vectors_boxes_and_names_are_those_of_the_same_region(
    detectors: dict[str, Path], kind: str, transformers: Any
) -> None:
    """Against transformers' own reading of the output."""
    import torch

    detector = DetectorRegions(detectors[kind], n_regions=100)
    found = detector.regions(PICTURE)
    output = detector.model(**detector.processor(images=PICTURE, return_tensors="pt"))
    (theirs,) = detector.processor.post_process_object_detection(output, 0.0, torch.tensor([[40, 56]]))
    boxes, scores = theirs["boxes"].numpy().clip(0, [56, 40, 56, 40]), theirs["scores"].numpy()
    likeliest = found.scores >= scores.min()  # theirs may name a region twice and leave out an unlikely one
    assert likeliest[:3].all()
    for i in np.flatnonzero(likeliest):
        same = (np.abs(boxes - found.boxes[i]).sum(1) < 1e-3) & (np.abs(scores - found.scores[i]) < 1e-5)
        assert found.labels[i] in {f"thing {int(label)}" for label in theirs["labels"][same]}
    head = detector.model.class_labels_classifier if kind == "detr" else detector.model.model.decoder.class_embed[-1]
    logits = head(torch.from_numpy(found.features)).numpy()
    np.testing.assert_allclose(class_scores(logits, 5).max(1), found.scores, atol=1e-5)


def test_scores_of_both_kinds() -> None:
    logits = np.array([[2.0, 0.0, 1.0]])
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(class_scores(logits, 2), expected[:, :2], atol=1e-6)
    np.testing.assert_allclose(class_scores(logits, 3), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_boxes_stay_within_the_picture() -> None:
    found = corners(np.array([[0.5, 0.5, 0.5, 1.0], [0.1, 0.9, 0.4, 0.4]]))
    np.testing.assert_allclose(found, [[0.25, 0, 0.75, 1], [0, 0.7, 0.3, 1]], atol=1e-6)


def test_a_saved_file_is_read_as_regions(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    found = RegionFeatures(features, np.zeros((3, 4), np.float32), ("a", "b", "ü"), np.ones(3, np.float32))
    path = tmp_path / "new" / "x.npz"
    found.save(path)
    np.testing.assert_array_equal(load_regions(path), features)
    with np.load(path, allow_pickle=False) as stored:
        assert list(stored["labels"]) == ["a", "b", "ü"]
        assert stored["bbox"].shape == (3, 4)
    assert [file.name for file in path.parent.iterdir()] == ["x.npz"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        found.save(tmp_path / "file" / "x.npz")


def test_what_is_no_detector_is_refused(detectors: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{tmp_path}: no detector that transformers can load"):
        DetectorRegions(tmp_path)
    with pytest.raises(ConfigurationError, match="n_regions is 0"):
        DetectorRegions(tmp_path, n_regions=0)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        copy = tmp_path / name
        shutil.copytree(detectors["detr"], copy)
        (copy / name).write_bytes(b"{")
        with pytest.raises(ConfigurationError, match="no detector") as raised:
            DetectorRegions(copy)
        assert "\n" not in str(raised.value)


def test_weights_must_be_whole(detectors: dict[str, Path], tmp_path: Path) -> None:
    """transformers would draw what is missing at random, and say so in a log."""
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(detectors["detr"], tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    part = {name: x for name, x in weights.items() if "bbox" not in name}
    save_file(part, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match="weights are missing, bbox_predictor"):
        DetectorRegions(copy)


def test_code_and_pickles_of_others_are_not_run(detectors: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(detectors["detr"], tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="no detector"):
        DetectorRegions(copy)
    copy = shutil.copytree(detectors["detr"], tmp_path / "other")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForObjectDetection": "mine.M"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ConfigurationError, match="no detector"):
        DetectorRegions(copy)
    assert not (tmp_path / "ran").exists()


def test_the_command(detectors: dict[str, Path], tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "one.png")
    (tmp_path / "bad.jpg").write_text("no picture")
    photos = [str(tmp_path / name) for name in ("bad.jpg", "one.png")]
    arguments = ["--detector", str(detectors["rt-detr"]), "-o", str(tmp_path / "out"), "--regions", "4"]
    result = CliRunner().invoke(command, [*photos, *arguments], standalone_mode=False)
    assert result.return_value == 2, result.output
    assert "one.npz: 4 regions (thing " in result.output
    assert "bad.jpg" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.npz"]
    expected = DetectorRegions(detectors["rt-detr"], 4).regions(PICTURE).features
    np.testing.assert_allclose(load_regions(tmp_path / "out" / "one.npz", dim=16), expected, atol=1e-6)


def test_photos_of_one_name_would_share_a_file(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the same name"):
        CliRunner().invoke(
            command, ["a/x.jpg", "b/x.jpg", "--detector", "d", "-o", str(tmp_path)], catch_exceptions=False
        )


def test_the_pictures_of_a_shard(detectors: dict[str, Path], tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a.png", "b.png"):
            archive.add(tmp_path / name, name)
    (tmp_path / "out").mkdir()
    work = ShardWork(FeaturesOfSamples(str(detectors["detr"]), n_regions=4), str(tmp_path / "out"))
    assert work()(str(tmp_path / "x.tar")) == Counts(1, 1)
    with tarfile.open(tmp_path / "out/x.tar") as archive:
        archive.extract("a.npz", tmp_path, filter="data")
    seen = DetectorRegions(detectors["detr"], 4).regions(PICTURE)
    np.testing.assert_array_equal(load_regions(tmp_path / "a.npz", 12), seen.features)
    good, bad = map(json.loads, (tmp_path / "out/x.jsonl").read_text().splitlines())
    assert good == {"key": "a", "n_regions": 4, "labels": list(seen.labels[:3]), "file": "a.npz"}
    assert bad["key"] == "b"
    assert "not a picture" in bad["error"]
