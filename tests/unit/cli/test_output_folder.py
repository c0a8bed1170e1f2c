"""A folder that a command fills: whose it is, and what killed commands left in it."""

from pathlib import Path

import pytest

from optophone.cli.output_folder import claim_folder
from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.whole_file import Unfinished
from optophone.data.prepare.preparation import Preparation


def leave_half(target: Path) -> Path:
    """What a writer of `target` leaves that is killed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Unfinished(target) as part:
        path = part.path
    path.write_text("half")
    return path


def test_a_folder_with_leftovers_only_is_empty(tmp_path: Path) -> None:
    """A kill while the very first file was being written."""
    left = leave_half(tmp_path / "out/request.json")
    claim_folder(tmp_path / "out", {"speed": 1.0})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"request.json"}
    other = leave_half(tmp_path / "other/somewhere.wav")
    claim_folder(tmp_path / "other", {"speed": 1.0})
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"request.json"}
    assert not left.exists()
    assert not other.exists()


def test_leftovers_deep_in_a_claimed_folder_are_collected(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", {})
    left = leave_half(tmp_path / "out/album/summer/a.wav")
    claim_folder(tmp_path / "out", {})
    assert not left.exists()


def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Several machines may fill one folder together."""
    claim_folder(tmp_path / "out", {})
    with Unfinished(tmp_path / "out/a.wav") as part:
        claim_folder(tmp_path / "out", {})
        assert part.path.exists()
        part.put_in_place()
    assert (tmp_path / "out/a.wav").exists()


@pytest.mark.parametrize("name", ["photo.jpg", ".hidden", ".optophone-notes.part", ".photo.jpg.part"])
def test_anything_else_is_somebodys(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match="not empty"):
        claim_folder(tmp_path, {})
    assert (tmp_path / name).exists()


def test_a_data_set_is_begun_over_leftovers(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    leave_half(tmp_path / "out/preparing.json")
    leave_half(tmp_path / "out/train.jsonl")
    assert Preparation("one", tmp_path / "source", tmp_path / "out", {}).begin() is None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"preparing.json"}
    (tmp_path / "out/photo.jpg").touch()
    with pytest.raises(DataError, match="prepared differently"):
        Preparation("two", tmp_path / "source", tmp_path / "out", {}).begin()


def test_a_bundle_takes_a_folder_of_leftovers(tmp_path: Path) -> None:
    leave_half(tmp_path / "bundle/model.safetensors")
    with BundleWriter(tmp_path / "bundle", kind="vocoder", cls="griffin-lim", name="v"):
        pass
    assert open_bundle(tmp_path / "bundle").manifest.name == "v"
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}
