"""Karpathy's splits of COCO, Flickr8k and Flickr30k, and COCO's own layout: three pictures and more of each."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError, DataError, PictureError
from optophone.core.picture import PictureSpec, load_picture, resize_picture
from optophone.data.manifest import read_dataset
from optophone.data.prepare import packing
from optophone.data.prepare.coco import prepare_coco
from optophone.data.prepare.karpathy import LAYOUTS, prepare_karpathy

# cocoid, folder, split
COCO = [
    (391895, "val2014", "test"),
    (522418, "val2014", "restval"),
    (57870, "train2014", "train"),
    (9, "val2014", "val"),
]
FOLDERS = {"flickr8k-karpathy": "Flicker8k_Dataset", "flickr30k": "flickr30k-images"}
RAW = ["A man on a \nred  moped. ", "Man rides."]


def sentences(imgid: int) -> list[dict[str, Any]]:
    return [
        {"tokens": raw.lower().split(), "raw": f"{raw}{imgid}", "imgid": imgid, "sentid": 2 * imgid + i}
        for i, raw in enumerate(RAW)
    ]


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def karpathy_coco(trees: Any, where: str = ".") -> Path:
    """COCO in the layout that its users have: train2014, val2014 and dataset_coco.json."""
    source = trees.root / "coco"
    images = []
    for number, (cocoid, folder, split) in enumerate(COCO):
        name = f"COCO_{folder}_{cocoid:012}.jpg"
        (source / folder).mkdir(parents=True, exist_ok=True)
        (source / folder / name).write_bytes(trees.picture(number, (64, 48), "jpeg"))
        image = {"filepath": folder, "filename": name, "cocoid": cocoid, "imgid": number, "split": split}
        images.append({**image, "sentids": [2 * number], "sentences": sentences(number)})
    write_json(source / where / "dataset_coco.json", {"images": images, "dataset": "coco"})
    return source


def karpathy_flickr(trees: Any, name: str) -> Path:
    source = trees.root / name
    (source / FOLDERS[name]).mkdir(parents=True)
    images = []
    for number, split in enumerate(("train", "val", "test")):
        file = f"{1000 + number}.jpg"
        (source / FOLDERS[name] / file).write_bytes(trees.picture(number, (50, 40), "jpeg"))
        images.append({"filename": file, "imgid": number, "split": split, "sentences": sentences(number)})
    write_json(source / LAYOUTS[name].splits_file, {"images": images, "dataset": name})
    return source


def coco(trees: Any, years: tuple[str, ...] = ("2014",), parts: tuple[str, ...] = ("train", "val")) -> Path:
    source = trees.root / "official"
    for year in years:
        for part in parts:
            folder = source / f"{part}{year}"
            folder.mkdir(parents=True)
            images, annotations = [], []
            first = 107 if part == "train" else 7
            for number in range(3):
                name = f"{number + first:012}.jpg"
                (folder / name).write_bytes(trees.picture(number, (40, 50), "jpeg"))
                images.append({"license": 1, "file_name": name, "height": 50, "width": 40, "id": number + first})
                annotations.append({"image_id": first + 2 - number, "id": number, "caption": f"A dog {9 - number}.\n"})
            annotations.append({"image_id": first, "id": 50, "caption": "Another  dog."})
            licences = [{"url": "u", "id": 1, "name": "n"}]
            content = {"info": {"year": year}, "images": images, "licenses": licences, "annotations": annotations}
            write_json(source / "annotations" / f"captions_{part}{year}.json", content)
    return source


@pytest.mark.parametrize("where", [".", "annotations", "caption_datasets"])
def test_coco_in_the_splits_of_the_literature(trees, tmp_path, where):
    dataset = prepare_karpathy("coco-karpathy", karpathy_coco(trees, where), tmp_path / "out", size=16)
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 2, "dev": 1, "test": 1}
    rows = dataset.rows("train")
    assert [row["id"] for row in rows] == ["522418", "57870"], "restval is trained on; ids are COCO's"
    assert rows[1]["picture"] == "train2014/COCO_train2014_000000057870.jpg"
    assert rows[0]["captions"] == ["A man on a red moped. 1", "Man rides.1"]
    original = load_picture(dataset.path("picture", rows[1]))
    np.testing.assert_array_equal(dataset.array("train", "pictures")[1], resize_picture(original, PictureSpec(16, 16)))


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_flickr_in_the_splits_of_the_literature(trees, tmp_path, name):
    dataset = prepare_karpathy(name, karpathy_flickr(trees, name), tmp_path / "out", size=16)
    assert {key: split.rows for key, split in dataset.splits.items()} == {"train": 1, "dev": 1, "test": 1}
    (row,) = dataset.rows("dev")
    assert (row["id"], row["picture"], len(row["captions"])) == ("1001", "1001.jpg", 2)
    assert load_picture(dataset.path("picture", row)).shape == (40, 50, 3)
    assert dataset.name == name


def test_flickr30k_takes_the_captions_of_its_token_file(trees, tmp_path):
    source = karpathy_flickr(trees, "flickr30k")
    (source / "results_20130124.token").write_text("1000.jpg#1\tTwo men .\n1000.jpg#0\tTwo young guys .\n")
    dataset = prepare_karpathy("flickr30k", source, tmp_path / "out", size=8)
    assert dataset.rows("train")[0]["captions"] == ["Two young guys .", "Two men ."]
    assert dataset.rows("test")[0]["captions"] == ["A man on a red moped. 2", "Man rides.2"]


def test_sentences_without_raw_text_are_joined_from_their_tokens(trees, tmp_path):
    source = karpathy_flickr(trees, "flickr30k")
    path = source / "dataset_flickr30k.json"
    content = json.loads(path.read_text())
    for sentence in content["images"][0]["sentences"]:
        del sentence["raw"]
    path.write_text(json.dumps(content))
    dataset = prepare_karpathy("flickr30k", source, tmp_path / "out", size=8)
    assert dataset.rows("train")[0]["captions"] == ["a man on a red moped.", "man rides."]


@pytest.mark.parametrize(("parts", "splits"), [(("train", "val"), ["train", "dev"]), (("val",), ["dev"])])
@pytest.mark.parametrize("year", ["2014", "2017"])
def test_coco_in_its_official_layout(trees, tmp_path, year, parts, splits):
    dataset = prepare_coco(coco(trees, (year,), parts), tmp_path / "out", size=16)
    assert list(dataset.splits) == splits
    rows = dataset.rows("dev")
    assert [row["id"] for row in rows] == ["7", "8", "9"]
    assert rows[0]["picture"] == f"val{year}/000000000007.jpg"
    assert rows[0]["captions"] == ["A dog 7.", "Another dog."]
    original = load_picture(dataset.path("picture", rows[2]))
    np.testing.assert_array_equal(dataset.array("dev", "pictures")[2], resize_picture(original, PictureSpec(16, 16)))
    assert dataset.layout == f"official folder, {year}"


def test_two_years_of_coco_need_a_choice(trees, tmp_path):
    source = coco(trees, ("2014", "2017"), ("val",))
    with pytest.raises(DataError, match="choose with --year"):
        prepare_coco(source, tmp_path / "out", size=8)
    dataset = prepare_coco(source, tmp_path / "out", size=8, year="2017")
    assert dataset.rows("dev")[0]["picture"].startswith("val2017/")


def prepare_any(kind: str, trees: Any) -> Any:
    """A function of an output folder and options that prepares a small source of that kind, and the source."""
    if kind == "coco":
        source = coco(trees)
        return lambda out, **options: prepare_coco(source, out, **options), source
    source = karpathy_coco(trees) if kind == "coco-karpathy" else karpathy_flickr(trees, kind)
    return lambda out, **options: prepare_karpathy(kind, source, out, **options), source


@pytest.mark.parametrize("kind", ["coco", *LAYOUTS])
def test_captions_alone_need_no_pictures_and_keep_the_ids(trees, tmp_path, kind):
    prepare, source = prepare_any(kind, trees)
    with_pictures = prepare(tmp_path / "with", size=8)
    for path in source.rglob("*.jpg"):
        path.unlink()
    without = prepare(tmp_path / "without", features_only=True)
    for split in with_pictures.splits:
        kept = [{key: value for key, value in row.items() if key != "picture"} for row in with_pictures.rows(split)]
        assert without.rows(split) == kept
        assert not without.has_array(split, "pictures")
    with pytest.raises(DataError, match="prepared differently"):
        prepare(tmp_path / "without", size=8)


@pytest.mark.parametrize("kind", ["coco", *LAYOUTS])
def test_continues_after_a_kill_and_does_nothing_when_done(trees, tmp_path, snapshot, killer, monkeypatch, kind):
    monkeypatch.setattr(packing, "PICTURES_BETWEEN_SAVES", 1)
    prepare, _ = prepare_any(kind, trees)
    prepare(tmp_path / "whole", size=16)
    killer.arm("optophone.data.prepare.packing", 1)
    if kind in FOLDERS:  # one picture a split: the loop ends before the second
        killer.arm("optophone.data.prepare.packing", 0)
    with pytest.raises(killer.killed):
        prepare(tmp_path / "out", size=16)
    with pytest.raises(DataError, match="no finished data set"):
        read_dataset(tmp_path / "out")
    done = prepare(tmp_path / "out", size=16)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
    monkeypatch.setattr(packing, "load_picture", None)
    assert prepare(tmp_path / "out", size=16) == done


def test_missing_pictures_are_counted_and_named(trees, tmp_path):
    prepare, source = prepare_any("coco-karpathy", trees)
    for name in ("val2014/COCO_val2014_000000391895.jpg", "train2014/COCO_train2014_000000057870.jpg"):
        (source / name).unlink()
    with pytest.raises(DataError, match=r"2 of 4 pictures are missing: train2014/.*57870.*391895.*--features-only"):
        prepare(tmp_path / "out", size=8)


def damage_json(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][1].pop("split"), r"dataset_coco\.json: image 1: expected"),
        (lambda c: c["images"][1].update(split="extra"), r"image 1: expected.*'extra'"),
        (lambda c: c["images"][1].update(filename="../../x.jpg"), "no file inside"),
        (lambda c: c["images"][2].update(sentences=[]), "train: 1 of 2 pictures have no captions: train2014/"),
        (lambda c: c["images"][2].update(cocoid=9), "the picture 9 occurs twice"),
        (lambda c: c.pop("images"), 'no list of "images"'),
    ],
)
def test_damaged_splits_are_told_in_one_line(trees, tmp_path, change, message):
    prepare, source = prepare_any("coco-karpathy", trees)
    damage_json(source / "dataset_coco.json", change)
    with pytest.raises(DataError, match=message) as failure:
        prepare(tmp_path / "out", size=8)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].update(image_id=1000), "annotation 0: expected"),
        (lambda c: c["annotations"].pop(0), "1 of 3 pictures have no captions: train2014/000000000109"),
        (lambda c: c["images"][1].pop("file_name"), "image 1: expected"),
        (lambda c: c["images"][1].update(id=107), "the id 107 occurs twice"),
        (lambda c: c.pop("annotations"), "no captions of COCO"),
    ],
)
def test_damaged_captions_of_coco_are_told_in_one_line(trees, tmp_path, change, message):
    source = coco(trees, parts=("train",))
    damage_json(source / "annotations" / "captions_train2014.json", change)
    with pytest.raises(DataError, match=message) as failure:
        prepare_coco(source, tmp_path / "out", size=8)
    assert "\n" not in str(failure.value)


def test_a_wrong_folder_is_told(trees, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, layout in LAYOUTS.items():
        with pytest.raises(DataError, match=f"no {layout.splits_file} here"):
            prepare_karpathy(name, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="no COCO captions here"):
        prepare_coco(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="not a folder"):
        prepare_coco(tmp_path / "nowhere", tmp_path / "out")
    source = karpathy_coco(trees)
    (source / "dataset_coco.json").write_text('{"images": [')
    with pytest.raises(DataError, match="not JSON"):
        prepare_karpathy("coco-karpathy", source, tmp_path / "out")


def test_without_any_folder_of_pictures_the_way_out_is_told(tmp_path, trees):
    source = coco(trees, parts=("val",))
    (source / "val2014").rename(source / "elsewhere")
    with pytest.raises(DataError, match="expected the folder val2014, or --features-only"):
        prepare_coco(source, tmp_path / "out", size=8)


def test_an_unreadable_picture_and_a_full_disk_are_told(trees, tmp_path, monkeypatch):
    prepare, source = prepare_any("coco", trees)
    (source / "train2014" / "000000000108.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"train2014/000000000108\.jpg"):
        prepare(tmp_path / "out", size=8)
    full = packing.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: full)
    with pytest.raises(DataError, match=r"needs 0\.0 GB and the disk has 0\.0 GB free"):
        prepare(tmp_path / "other", size=8)


def run_command(*arguments: Any) -> str:
    from click.testing import CliRunner

    from optophone.cli.prepare import prepare

    result = CliRunner().invoke(prepare, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.parametrize("kind", ["coco", *LAYOUTS])
def test_as_a_user_types_it(trees, tmp_path, kind):
    _, source = prepare_any(kind, trees)
    assert f"{kind} is ready (" in run_command(kind, source, tmp_path / "out", "--size", 8)
    assert "nothing to do" in run_command(kind, source, tmp_path / "out", "--size", 8)
    assert "is ready" in run_command(kind, source, tmp_path / "captions", "--features-only")
    assert not list((tmp_path / "captions").glob("*.npy"))
    with pytest.raises(ConfigurationError, match="--features-only packs no pictures"):
        run_command(kind, source, tmp_path / "other", "--features-only", "--size", 8)


def test_options_of_other_data_sets_are_refused(trees, tmp_path):
    source = karpathy_coco(trees)
    with pytest.raises(ConfigurationError, match="--year is an option of coco, not of coco-karpathy"):
        run_command("coco-karpathy", source, tmp_path / "out", "--year", "2014")
    with pytest.raises(ConfigurationError, match="--features-only is an option of coco-karpathy"):
        run_command("ljspeech", source, tmp_path / "out", "--features-only")
