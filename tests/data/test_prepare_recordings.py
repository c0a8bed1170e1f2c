"""Places Audio, SpokenCOCO, SPEECH-COCO and the Flickr Audio Caption Corpus from their official layouts."""

import json
import sqlite3

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.data.manifest import write_dataset, write_manifest
from optophone.data.prepare.flickr8k import prepare_flickr8k
from optophone.data.prepare.flickr8k_audio import prepare_flickr8k_audio
from optophone.data.prepare.places_audio import prepare_places_audio
from optophone.data.prepare.speechcoco import prepare_speechcoco
from optophone.data.prepare.spokencoco import prepare_spokencoco


@pytest.fixture
def coco(tmp_path):
    """A data set as if prepared from COCO: pictures 42 and 7 both in test."""
    folder = tmp_path / "coco"
    folder.mkdir()
    write_manifest(folder / "test.jsonl", [{"id": "42"}, {"id": "7"}])
    write_dataset(folder, "coco", splits=["test"], options={}, source="", layout="", licence="")
    return folder


def _counts(dataset):
    return {name: split.rows for name, split in dataset.splits.items()}


def test_places_audio_packs_its_pictures(trees, tmp_path):
    source = trees.places_audio()
    dataset = prepare_places_audio(source.parent, tmp_path / "out", source.parent / "images", size=8)
    assert _counts(dataset) == {"train": 2, "dev": 1}
    assert dataset.rows("train")[1] == {
        "id": "Atrain-GSUN_1",
        "picture_id": "Atrain-GSUN_1",
        "caption_index": 0,
        "audio": "wavs/train/utterance_1.wav",
        "duration_s": 0.11,
        "sample_rate": 16000,
        "text": "an old abbey",
        "speaker": "Atrain",
        "picture": "a/abbey/gsun_train_1.jpg",
    }
    pictures = dataset.array("dev", "pictures")
    assert pictures.shape == (1, 8, 8, 3)
    assert np.abs(pictures[0].astype(int) - trees.colour(5)).max() <= 3
    assert len(dataset.wave(dataset.rows("dev")[0])[0]) == 1600
    assert dataset.path("picture", dataset.rows("dev")[0]).is_file()


def test_places_audio_without_pictures_and_in_the_splits_of_2020(trees, tmp_path):
    source = trees.places_audio()
    (source / "metadata" / "train.json").rename(source / "metadata" / "train_2020.json")
    (source / "metadata" / "val.json").rename(source / "metadata" / "dev_unseen_2020.json")
    dataset = prepare_places_audio(source, tmp_path / "out")
    assert _counts(dataset) == {"train": 2, "dev-unseen": 1}
    assert not dataset.has_array("train", "pictures")
    assert "picture" not in dataset.rows("train")[0]
    with pytest.raises(DataError, match="give --pictures the folder"):
        prepare_places_audio(source, tmp_path / "other", tmp_path / "nowhere")
    with pytest.raises(DataError, match="3 of 3 pictures are missing"):
        prepare_places_audio(source, tmp_path / "other", source)


def test_spokencoco_in_its_official_layout(trees, tmp_path, coco):
    source = trees.spokencoco()
    dataset = prepare_spokencoco(source.parent, tmp_path / "out")
    assert _counts(dataset) == {"train": 2, "dev": 1}
    assert dataset.rows("train")[1] == {
        "id": "m0-3LU_train_1",
        "picture_id": "42",
        "caption_index": 1,
        "audio": "wavs/train/0/m0-3LU_train_1.wav",
        "duration_s": 0.11,
        "sample_rate": 16000,
        "text": "a urinal one",
        "speaker": "m0",
    }
    joined = prepare_spokencoco(source, tmp_path / "joined", coco)
    assert [row["picture_id"] for row in joined.rows("test")] == ["42", "42", "7"]
    assert joined.layout.endswith("; splits of coco")


@pytest.mark.parametrize("with_database", [False, True])
def test_speechcoco_in_its_official_layout(trees, tmp_path, with_database):
    source = trees.speechcoco()
    if with_database:
        _to_database(source / "train2014")
    dataset = prepare_speechcoco(source.parent, tmp_path / "out")
    assert _counts(dataset) == {"train": 2, "dev": 1}
    assert [row["id"] for row in dataset.rows("train")] == [
        "298817_26002_Phil_None_0-9",
        "298817_26763_Phil_None_0-9",
    ]
    assert dataset.rows("train")[1] == {
        "id": "298817_26763_Phil_None_0-9",
        "picture_id": "298817",
        "caption_index": 1,
        "audio": "train2014/wav/298817_26763_Phil_None_0-9.wav",
        "duration_s": 0.1,
        "sample_rate": 16000,
        "text": "a group of turkeys, zero.",
        "speaker": "Phil",
    }


def _to_database(part):
    """The JSON files of `part` as the database of the corpus, and the files gone."""
    with sqlite3.connect(part / "train_2014.sqlite3") as database:
        database.execute(
            "CREATE TABLE captions (captionID INTEGER PRIMARY KEY, imageID INTEGER, wavFilename TEXT, duration FLOAT, "
            "timecode TEXT, disfluencyPos TEXT, disfluencyVal TEXT, speed FLOAT, text TEXT, speaker TEXT)"
        )
        for path in (part / "json").iterdir():
            one = json.loads(path.read_text())
            values = (one["captionID"], one["imgID"], one["wavFilename"], one["synthesisedCaption"], one["speaker"])
            database.execute(
                "INSERT INTO captions (captionID, imageID, wavFilename, text, speaker) VALUES (?,?,?,?,?)", values
            )
            path.unlink()
    database.close()


def test_flickr8k_audio_takes_splits_and_texts_from_flickr8k(trees, tmp_path):
    trees.flickr8k()
    source = trees.flickr8k_audio()
    with pytest.raises(DataError, match="no Flickr8k_text in or beside it"):
        prepare_flickr8k_audio(source, tmp_path / "out")
    prepare_flickr8k(trees.root / "flickr8k", tmp_path / "pictures", size=8)
    joined = prepare_flickr8k_audio(trees.root, tmp_path / "joined", tmp_path / "pictures")
    (trees.root / "flickr8k" / "Flickr8k_text").rename(trees.root / "Flickr8k_text")
    alone = prepare_flickr8k_audio(source, tmp_path / "out")
    assert _counts(joined) == _counts(alone) == {"train": 2, "dev": 1}
    assert joined.rows("train") == alone.rows("train")
    assert joined.rows("train")[1] == {
        "id": "train_0_0",
        "picture_id": "train_0",
        "caption_index": 0,
        "audio": "wavs/train_0_0.wav",
        "duration_s": 0.11,
        "sample_rate": 16000,
        "text": "a dog runs.",
        "speaker": "7",
    }
    assert joined.rows("dev")[0]["text"] == alone.rows("dev")[0]["text"] == "a dog."


def test_training_reads_what_was_prepared(trees, tmp_path):
    """The rows are what the pairs of pictures and speech are made of."""
    torch_data = pytest.importorskip("optophone.data.spoken_pictures")
    source = trees.places_audio()
    dataset = prepare_places_audio(source, tmp_path / "out", source.parent / "images", size=8)
    config = torch_data.SpokenPicturesConfig(str(tmp_path / "out"), str(tmp_path / "out"), size=8)
    speech = torch_data.Speech(dataset, dataset.rows("train"), "train", config)
    assert speech.pictures == [0, 1]
    assert [len(rows) for rows in speech.utterances] == [1, 1]
    levels, n_frames = speech.batch([rows[0] for rows in speech.utterances])
    assert levels.shape[0] == 2
    assert n_frames.min() > 0


def test_damaged_sounds_stop_or_are_left_out(trees, tmp_path):
    source = trees.spokencoco()
    cut = source / "wavs" / "train" / "0" / "m0-3LU_train_1.wav"
    cut.write_bytes(cut.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"train_1\.wav: cut off.*--skip-damaged"):
        prepare_spokencoco(source, tmp_path / "out")
    (source / "wavs" / "val" / "0" / "m0-3LU_val_0.wav").unlink()
    with pytest.raises(DataError, match=r"1 of 3 sound files are missing: wavs/val/0/m0-3LU_val_0\.wav"):
        prepare_spokencoco(source, tmp_path / "out")
    dataset = prepare_spokencoco(source, tmp_path / "left", skip_damaged=True)
    assert _counts(dataset) == {"train": 1}
    assert len((tmp_path / "left" / "damaged.txt").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", 'no list "data"'),
        ("{", "not JSON"),
        ('{"data": [{"image": "a.jpg", "captions": []}]}', 'entry 0: expected "image" and "captions"'),
        ('{"data": [{"image": "7.jpg", "captions": [{"wav": "a.wav"}]}]}', 'entry 0: expected "image"'),
        ('{"data": [{"image": "7.jpg", "captions": [{"uttid": "a", "wav": "../a.wav"}]}]}', "not a path inside"),
    ],
)
def test_a_damaged_description_is_told_in_one_line(trees, tmp_path, content, message):
    source = trees.spokencoco()
    (source / "SpokenCOCO_train.json").write_text(content)
    with pytest.raises(DataError, match=message) as failure:
        prepare_spokencoco(source, tmp_path / "out")
    assert "\n" not in str(failure.value)


def test_other_damage_is_told(trees, tmp_path, coco):
    source = trees.speechcoco()
    (source / "val2014" / "val_2014.sqlite3").write_text("no database")
    with pytest.raises(DataError, match=r"val_2014\.sqlite3: cannot be read"):
        prepare_speechcoco(source, tmp_path / "out")
    (source / "val2014" / "val_2014.sqlite3").unlink()
    with pytest.raises(DataError, match="none of the recordings is about one of these pictures"):
        prepare_flickr8k_audio(trees.flickr8k_audio(), tmp_path / "audio", coco)
    (trees.root / "flickr_audio" / "wav2capt.txt").write_text("a.wav b.jpg\n")
    with pytest.raises(DataError, match=r"wav2capt\.txt:1: expected WAV PICTURE #NUMBER"):
        prepare_flickr8k_audio(trees.root, tmp_path / "audio", coco)
    places = trees.places_audio()
    (places / "metadata" / "val.json").write_text('{"data": [{"uttid": "a", "wav": "/a.wav", "image": "b"}]}')
    with pytest.raises(DataError, match=r"val\.json: entry 0: expected"):
        prepare_places_audio(places, tmp_path / "places")
    for prepare in (prepare_places_audio, prepare_spokencoco, prepare_speechcoco, prepare_flickr8k_audio):
        with pytest.raises(DataError, match=r"no .* here; expected"):
            prepare(coco, tmp_path / prepare.__name__)
