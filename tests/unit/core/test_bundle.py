"""Bundles: written whole or not at all, and opened only when every byte is as recorded."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optophone.core import bundle as bundle_module
from optophone.core import whole_file
from optophone.core.bundle import Bundle, BundleWriter, check_composition, open_bundle
from optophone.core.errors import BundleError
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.vocabulary import Vocabulary, build_units, build_words, tacotron2_characters
from optophone.core.whole_file import Unfinished

WORDS = build_words(["a dog", "a cat"])
MEL = MelSpec()


def write_captioner(folder: Path, vocabulary: Vocabulary = WORDS, **options: Any) -> Path:
    with BundleWriter(
        folder, kind="captioner", cls="sat", name="caption", vocabulary=vocabulary, picture=PictureSpec(8, 9), **options
    ) as writer:
        writer.path("encoder.onnx").write_bytes(b"encoder" * 100)
        writer.path("graphs/step.onnx").write_bytes(b"step" * 100)
    return folder


def write_acoustic(folder: Path, vocabulary: Vocabulary | None = None, mel: MelSpec = MEL) -> Path:
    vocabulary = vocabulary or tacotron2_characters()
    with BundleWriter(folder, kind="acoustic", cls="tacotron2", name="voice", vocabulary=vocabulary, mel=mel) as writer:
        writer.path("step.onnx").write_bytes(b"step")
    return folder


def write_vocoder(folder: Path, mel: MelSpec = MEL) -> Path:
    with BundleWriter(folder, kind="vocoder", cls="griffin-lim", name="vocoder", mel=mel):
        pass
    return folder


def write_system(folder: Path) -> Path:
    parts = {"captioner": "captioner", "acoustic": "voice", "vocoder": "vocoder"}
    with BundleWriter(folder, kind="system", cls="cascade", name="whole", parts=parts) as writer:
        write_captioner(writer.path("captioner"))
        write_acoustic(writer.path("voice"))
        write_vocoder(writer.path("vocoder"))
        writer.path("CARD.md").write_text("card")
    return folder


def fail_while_writing(folder: Path, error: BaseException) -> None:
    with BundleWriter(folder, kind="vocoder", cls="x", name="x") as writer:
        writer.path("model").write_bytes(b"half")
        raise error


def rewrite_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "bundle.json"
    mapping = json.loads(path.read_text())
    change(mapping)
    path.write_text(json.dumps(mapping))


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- writing -----------------------------------------------------------------------------------------------------


def test_what_is_written_opens(tmp_path: Path) -> None:
    options = {
        "metrics": {"bleu4": 17.5},
        "licence": "Apache-2.0",
        "data_manifest_hash": "ab",
        "configuration": {"n": [1]},
    }
    folder = write_captioner(tmp_path / "b", **options)
    opened = open_bundle(folder)
    manifest = opened.manifest
    assert (manifest.format, manifest.kind, manifest.cls, manifest.name) == (1, "captioner", "sat", "caption")
    assert manifest.picture == PictureSpec(8, 9)
    assert manifest.mel is None
    assert manifest.metrics == {"bleu4": 17.5}
    assert manifest.configuration == {"n": [1]}
    assert (manifest.licence, manifest.data_manifest_hash) == ("Apache-2.0", "ab")
    assert set(manifest.files) == {"encoder.onnx", "graphs/step.onnx", "vocabulary.json"}
    assert opened.file("graphs/step.onnx").read_bytes() == b"step" * 100
    assert opened.vocabulary() == WORDS
    assert manifest.vocabulary_hash == WORDS.hash
    assert names(tmp_path) == {"b"}


def test_the_manifest_is_as_documented(tmp_path: Path) -> None:
    mapping = json.loads((write_vocoder(tmp_path / "b") / "bundle.json").read_text())
    assert set(mapping) == {
        "format", "kind", "class", "name", "configuration", "vocabulary_hash", "mel", "picture", "data_manifest_hash",
        "metrics", "licence", "parts", "files",
    }  # fmt: skip
    assert mapping["mel"]["hop_length"] == 256
    content = (write_captioner(tmp_path / "c") / "encoder.onnx").read_bytes()
    record = json.loads((tmp_path / "c/bundle.json").read_text())["files"]["encoder.onnx"]
    assert record == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": 700}


def test_metrics_may_come_at_the_end(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b", kind="vocoder", cls="x", name="x") as writer:
        writer.metrics["pesq"] = 3.5
    assert open_bundle(tmp_path / "b").manifest.metrics == {"pesq": 3.5}


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        fail_while_writing(tmp_path / "b", RuntimeError("out of luck"))
    assert names(tmp_path) == set()


def test_a_failure_leaves_the_older_bundle(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        fail_while_writing(folder, KeyboardInterrupt())
    assert open_bundle(folder).manifest.kind == "captioner"
    assert names(tmp_path) == {"b"}


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b", kind="vocoder", cls="x", name="x") as writer:
        writer.path("model").write_bytes(b"all")
        assert not (tmp_path / "b").exists()
        assert not list(tmp_path.rglob("bundle.json"))
    assert (tmp_path / "b/bundle.json").exists()


def test_replaces_an_older_bundle_whole(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    write_vocoder(folder)
    assert open_bundle(folder).manifest.kind == "vocoder"
    assert names(folder) == {"bundle.json"}
    assert names(tmp_path) == {"b"}


def test_the_older_bundle_returns_when_renaming_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_captioner(tmp_path / "b")
    rename = os.rename

    def fail_once(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(whole_file, "_exchange", lambda one, other: False)  # a disk that cannot
    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(BundleError, match="No space left"):
        write_vocoder(folder)
    assert open_bundle(folder).manifest.kind == "captioner"
    assert names(tmp_path) == {"b"}


def test_leftovers_of_a_killed_writer_do_no_harm(tmp_path: Path) -> None:
    with Unfinished(tmp_path / "b", is_folder=True) as part:
        leftover = part.path
    leftover.mkdir()
    (leftover / "model").write_text("half")
    assert names(write_vocoder(tmp_path / "b")) == {"bundle.json"}
    assert names(tmp_path) == {"b"}


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/x.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name in ("photos", "file"):
        with pytest.raises(BundleError, match="not a bundle"):
            write_vocoder(tmp_path / name)
    assert names(tmp_path / "photos") == {"x.jpg"}
    assert open_bundle(write_vocoder(tmp_path / "empty"))


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    assert open_bundle(write_vocoder(tmp_path / "a/b/c"))


def test_a_linked_target_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_vocoder(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert open_bundle(tmp_path / "real").manifest.kind == "vocoder"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a\\b", "", ".", "a//b", "C:x", "x."])
def test_unsafe_names_are_a_mistake_of_the_program(name: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError), BundleWriter(tmp_path / "b", kind="vocoder", cls="x", name="x") as writer:
        writer.path(name)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_values_that_json_cannot_hold(value: object, tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match="JSON"),
        BundleWriter(tmp_path / "b", kind="vocoder", cls="x", name="x", metrics={"loss": value}),
    ):
        pass
    assert names(tmp_path) == set()


# --- systems -----------------------------------------------------------------------------------------------------


def test_a_system_holds_its_parts(tmp_path: Path) -> None:
    system = open_bundle(write_system(tmp_path / "s"))
    assert set(system.manifest.files) == {
        "captioner/bundle.json", "voice/bundle.json", "vocoder/bundle.json", "CARD.md",
    }  # fmt: skip
    assert open_bundle(system.part("acoustic")).manifest.name == "voice"
    check_composition(*(open_bundle(system.part(kind)) for kind in ("captioner", "acoustic", "vocoder")))
    with pytest.raises(BundleError, match="has no direct"):
        system.part("direct")


def test_a_part_cannot_be_exchanged(tmp_path: Path) -> None:
    folder = write_system(tmp_path / "s")
    shutil.rmtree(folder / "voice")
    write_acoustic(folder / "voice", mel=MelSpec(hop_length=200))
    assert "voice/bundle.json" in refused(folder)


def test_a_missing_part_is_noticed_when_writing(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match="captioner"),
        BundleWriter(tmp_path / "s", kind="system", cls="x", name="x", parts={"captioner": "captioner"}),
    ):
        pass
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"captioner": "../other"}, "not allowed"),
        ({"captioner": "/etc"}, "not allowed"),
        ({"captioner": "nothing"}, "not complete"),
        ({"singer": "voice"}, "no kind of part"),
        ({"system": "voice"}, "no kind of part"),
    ],
)
def test_impossible_parts(parts: dict[str, str], message: str, tmp_path: Path) -> None:
    folder = write_system(tmp_path / "s")
    rewrite_manifest(folder, lambda mapping: mapping.update(parts=parts))
    assert message in refused(folder)


def test_only_systems_have_parts(tmp_path: Path) -> None:
    folder = write_system(tmp_path / "s")
    rewrite_manifest(folder, lambda mapping: mapping.update(kind="captioner"))
    assert "only a system" in refused(folder)


# --- opening what is damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["encoder.onnx", "graphs/step.onnx", "vocabulary.json"])
def test_one_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    path = write_captioner(tmp_path / "b") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = refused(tmp_path / "b")
    assert str(path) in message
    assert "download or export it again" in message


def test_missing_longer_and_shorter_files(tmp_path: Path) -> None:
    for change, word in (
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "not a plain file"),
    ):
        path = write_captioner(tmp_path / "b") / "encoder.onnx"
        change(path)
        message = refused(tmp_path / "b")
        assert str(path) in message
        assert word in message


def test_additional_files_are_no_part_of_the_bundle(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    (folder / "note.txt").write_text("mine")
    opened = open_bundle(folder)
    with pytest.raises(BundleError, match=r"has no note\.txt"):
        opened.file("note.txt")
    with pytest.raises(BundleError, match="has no"):
        opened.file("../b/encoder.onnx")


def test_folders_that_are_no_bundles(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "missing")
    assert "not a bundle" in refused(tmp_path)
    (tmp_path / "file").touch()
    refused(tmp_path / "file")


def test_a_half_written_bundle_is_no_bundle(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    (folder / "bundle.json").unlink()
    assert "not a bundle" in refused(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b"\xff\xfe",
        b"{}",
        b'{"format": 1}',
        b'{"class": "x"}',
        b"NaN",
    ],
)
def test_manifests_that_are_none(content: bytes, tmp_path: Path) -> None:
    folder = write_vocoder(tmp_path / "b")
    (folder / "bundle.json").write_bytes(content)
    assert "bundle.json" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "update optophone"),
        ({"format": "1"}, "update optophone"),
        ({"kind": "toaster"}, "toaster"),
        ({"colour": "red"}, "unknown option 'colour'"),
        ({"name": 7}, "name"),
        ({"mel": {"hop": 3}}, "hop"),
        ({"mel": {"hop_length": 0}}, "hop_length"),
        ({"picture": {"height": -1}}, "1 to 8192"),
        ({"configuration": []}, "configuration"),
        ({"files": {"x": "y"}}, "FileRecord"),
        ({"files": {"x": {"sha256": "0"}}}, "bytes"),
        ({"files": {"x": {"sha256": "0", "bytes": -1}}}, "not allowed"),
        ({"files": {"x": {"sha256": "0", "bytes": 2**33}}}, "4 GiB"),
        ({"files": {f"f{i}": {"sha256": "0", "bytes": 1} for i in range(1001)}}, "at most 1000"),
    ],
)
def test_impossible_manifests(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write_vocoder(tmp_path / "b")
    rewrite_manifest(folder, lambda mapping: mapping.update(changes))
    assert message in refused(folder)


@pytest.mark.parametrize("key", ["name", "kind"])
def test_missing_keys(key: str, tmp_path: Path) -> None:
    folder = write_vocoder(tmp_path / "b")
    rewrite_manifest(folder, lambda mapping: mapping.pop(key))
    assert key in refused(folder)


def test_a_manifest_is_small(tmp_path: Path) -> None:
    folder = write_vocoder(tmp_path / "b")
    (folder / "bundle.json").write_bytes(b" " * (4 * 2**20 + 1))
    assert "too large" in refused(folder)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/hostname", "a/../../secret", "..", ".", "", "a\\..\\secret", "C:secret", "a//b", "./a", "a\nb",
     "x" * 300, "bundle.json", "~/x", "a/./b", "nul\x00", "/".join("abcdefghi")],
)  # fmt: skip
def test_names_that_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    folder = write_vocoder(tmp_path / "b")
    record = {"sha256": hashlib.sha256(b"s").hexdigest(), "bytes": 1}
    rewrite_manifest(folder, lambda mapping: mapping.update(files={name: record}))
    assert "not allowed" in refused(folder)


def test_links_must_stay_inside(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    outside = tmp_path / "outside.onnx"
    shutil.move(folder / "encoder.onnx", outside)
    (folder / "encoder.onnx").symlink_to(outside)
    assert "leads out" in refused(folder)
    (folder / "encoder.onnx").unlink()
    shutil.move(outside, folder / "inside.onnx")
    (folder / "encoder.onnx").symlink_to("inside.onnx")
    assert open_bundle(folder)
    (folder / "encoder.onnx").unlink()
    (folder / "encoder.onnx").symlink_to("encoder.onnx")
    assert "encoder.onnx" in refused(folder)


def test_linked_folders_must_stay_inside(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    shutil.move(folder / "graphs", tmp_path / "graphs")
    (folder / "graphs").symlink_to(tmp_path / "graphs")
    assert "leads out" in refused(folder)


def test_a_bundle_may_itself_be_linked(tmp_path: Path) -> None:
    write_captioner(tmp_path / "b")
    (tmp_path / "latest").symlink_to("b")
    assert open_bundle(tmp_path / "latest").vocabulary() == WORDS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_do_not_hang(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    (folder / "encoder.onnx").unlink()
    os.mkfifo(folder / "encoder.onnx")
    assert "not a plain file" in refused(folder)
    (folder / "bundle.json").unlink()
    os.mkfifo(folder / "bundle.json")
    assert "plain file" in refused(folder)


def test_a_grown_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_captioner(tmp_path / "b")
    with open(folder / "encoder.onnx", "wb") as file:
        file.truncate(2**40)
    sha256 = bundle_module._sha256

    def only_small(path: Path) -> str:
        assert path.name != "encoder.onnx"
        return sha256(path)

    monkeypatch.setattr(bundle_module, "_sha256", only_small)
    assert "damaged" in refused(folder)


def test_a_vocabulary_that_is_not_the_manifests(tmp_path: Path) -> None:
    folder = write_captioner(tmp_path / "b")
    rewrite_manifest(folder, lambda mapping: mapping.update(vocabulary_hash="0" * 64))
    with pytest.raises(BundleError, match="not the vocabulary"):
        open_bundle(folder).vocabulary()
    with pytest.raises(BundleError, match=r"has no vocabulary\.json"):
        open_bundle(write_vocoder(tmp_path / "v")).vocabulary()


# --- composition -------------------------------------------------------------------------------------------------


def opened(folder: Path) -> Bundle:
    return open_bundle(folder)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (WORDS, tacotron2_characters()),
        (tacotron2_characters(), tacotron2_characters()),
        (Vocabulary("characters", ("_", "a")), tacotron2_characters()),
        (build_units(5), build_units(5)),
        (WORDS, WORDS),
    ],
)
def test_parts_that_fit(written: Vocabulary, read: Vocabulary, tmp_path: Path) -> None:
    captioner, acoustic = write_captioner(tmp_path / "c", written), write_acoustic(tmp_path / "a", read)
    check_composition(opened(captioner), opened(acoustic), opened(write_vocoder(tmp_path / "v")))
    check_composition(None, opened(acoustic), None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (build_units(5), build_units(6)),
        (build_units(5), tacotron2_characters()),
        (WORDS, build_units(5)),
        (WORDS, build_words(["another"])),
        (Vocabulary("phones", ("_", "HH")), tacotron2_characters()),
    ],
)
def test_vocabularies_that_do_not_fit(written: Vocabulary, read: Vocabulary, tmp_path: Path) -> None:
    captioner, acoustic = write_captioner(tmp_path / "c", written), write_acoustic(tmp_path / "a", read)
    with pytest.raises(BundleError) as caught:
        check_composition(opened(captioner), opened(acoustic), None)
    for word in ("caption", "voice", written.kind, read.kind, written.hash[:12], read.hash[:12]):
        assert word in str(caught.value)


def test_mels_that_do_not_fit(tmp_path: Path) -> None:
    acoustic = write_acoustic(tmp_path / "a")
    vocoder = write_vocoder(tmp_path / "v", MelSpec(hop_length=200))
    with pytest.raises(BundleError, match=r"voice makes .*256.*vocoder takes .*200"):
        check_composition(None, opened(acoustic), opened(vocoder))


def test_a_full_disk_names_the_bundle_and_not_what_is_copied_into_it(tmp_path: Path) -> None:
    def copy() -> None:
        raise OSError(28, "No space left on device", "/scratch/encoder.onnx", None, str(tmp_path / "elsewhere"))

    with (
        pytest.raises(BundleError, match=r"b: .*make room"),
        BundleWriter(tmp_path / "b", kind="vocoder", cls="griffin-lim", name="v"),
    ):
        copy()
    assert not names(tmp_path)
