"""Checkpoint files of strangers: what is read, and what is refused without running it."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from optophone.checkpoints.files import read_checkpoint, state_dict_of
from optophone.core.errors import BundleError

WEIGHTS = {"module.a.weight": torch.arange(12.0).reshape(3, 4), "module.a.bias": torch.ones(3)}


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


class EvilCommand(Evil):
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return (os.system, (f"touch '{self.marker}'",))


def refused(path: Path, reference: str = "") -> str:
    """The one line with which `path` is refused."""
    with pytest.raises(BundleError) as caught:
        state_dict_of(read_checkpoint(path, reference), path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [
    lambda w: w,
    lambda w: {"state_dict": w, "iteration": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]}},
    lambda w: {"model": {"state_dict": w}, "config": {"x": 1}},
])  # fmt: skip
def test_weights_are_taken_out_of_their_wrappers(tmp_path: Path, wrap: Any, zipped: bool) -> None:
    path = tmp_path / "x.pth.tar"
    torch.save(wrap(WEIGHTS), path, _use_new_zipfile_serialization=zipped)
    found = state_dict_of(read_checkpoint(path), path)
    assert list(found) == list(WEIGHTS)
    for name, tensor in WEIGHTS.items():
        assert torch.equal(found[name], tensor)


def test_a_part_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"encoder": {"e": torch.ones(1)}, "decoder": {"d": torch.ones(2)}}, path)
    assert list(state_dict_of(read_checkpoint(path), path, "decoder")) == ["d"]


def test_safetensors_arrays_and_scalars_of_numpy(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "x.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "x.safetensors")["module.a.bias"], torch.ones(3))
    path = tmp_path / "x.pt"
    torch.save({"state_dict": {"a": np.arange(3, dtype=np.float32)}, "best": np.float64(0.3)}, path)
    found = state_dict_of(read_checkpoint(path), path)["a"]
    assert torch.equal(found, torch.arange(3.0))


@pytest.mark.parametrize("kind", [Evil, EvilCommand])
@pytest.mark.parametrize("form", ["archive", "old", "pickle"])
def test_what_would_run_is_not_run(tmp_path: Path, kind: type[Evil], form: str) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "ran"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": kind(marker)}, protocol=2))
    else:
        torch.save({"state_dict": {"a": kind(marker)}}, path, _use_new_zipfile_serialization=form == "archive")
    message = refused(path)
    assert not marker.exists()
    if form != "pickle":
        assert "nothing was run, delete it" in message
        assert "torch.load" not in message
    pickle.loads(pickle.dumps(kind(marker)))  # it is as bad as it is meant to be
    assert marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_modules_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {"epoch": 3, "encoder": nn.Linear(2, 3), "decoder": nn.Linear(3, 4)}
    torch.save(whole, "BEST_checkpoint_coco.pth.tar", _use_new_zipfile_serialization=zipped)
    message = refused(Path("BEST_checkpoint_coco.pth.tar"), "sat")
    assert "torch.nn.modules.linear.Linear" in message
    command = message.partition('python -c "')[2].removesuffix('"')
    exec(command, {})  # in the words of the message, which is meant to be copied
    path = Path("BEST_checkpoint_coco.weights.pt")
    assert path.name in message
    found = state_dict_of(read_checkpoint(path), path, "decoder")
    assert torch.equal(found["weight"], whole["decoder"].weight)  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [nn.Linear(2, 3), {"model": nn.Linear(2, 3), "iteration": 1}])
def test_the_way_out_of_any_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "x.pt")
    exec(refused(Path("x.pt"), "tacotron2").partition('python -c "')[2].removesuffix('"'), {})
    assert list(state_dict_of(read_checkpoint("x.weights.pt"), "x.weights.pt")) == ["weight", "bias"]


def test_a_name_that_a_shell_would_run_is_left_out_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "$(reboot)'.pt"
    torch.save(nn.Linear(2, 3), path)
    assert "reboot" not in refused(path).partition('python -c "')[2]


def test_programs_are_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "x.pt")
    message = refused(tmp_path / "x.pt")
    assert "TorchScript" in message
    assert "torch.jit.load" in message


def packed(path: Path) -> None:
    torch.save(WEIGHTS, path.with_suffix(".plain"))
    with zipfile.ZipFile(path.with_suffix(".plain")) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in plain.namelist():
            out.writestr(name, plain.read(name))


@pytest.mark.parametrize(("write", "says"), [
    (lambda path: path.write_bytes(b""), "damaged"),
    (lambda path: path.write_text("<html>404</html>"), "damaged"),
    (lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 100), "damaged"),
    (lambda path: None, "cannot be read"),
    (lambda path: path.mkdir(), "cannot be read"),
    (packed, "not packed as PyTorch packs"),
    (lambda path: torch.save([torch.ones(2)], path), "holds a list"),
    (lambda path: torch.save({"epoch": 3}, path), "no state dictionary found in it (it has: epoch)"),
    (lambda path: torch.save({"a": torch.ones(2), "epoch": 3}, path), "epoch is no tensor"),
    (lambda path: torch.save({"a": torch.ones(1).expand(10**6, 10**6)}, path), "claim more than the file holds"),
    (lambda path: torch.save({"a": torch.tensor([1.0, torch.nan])}, path), "a holds values that are not finite"),
    (lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path), "no state dictionary found"),
])  # fmt: skip
def test_everything_else_is_one_line(tmp_path: Path, write: Any, says: str) -> None:
    write(tmp_path / "x.pth")
    assert says in refused(tmp_path / "x.pth")


def test_a_cut_file_and_a_broken_safetensors(tmp_path: Path) -> None:
    for name, zipped in (("new.pt", True), ("old.pt", False)):
        torch.save(WEIGHTS, tmp_path / name, _use_new_zipfile_serialization=zipped)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-40])
        assert "damaged" in refused(tmp_path / name)
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 40)
    assert "not a safetensors file" in refused(tmp_path / "x.safetensors")
