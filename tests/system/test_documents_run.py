"""The notebook, and the Python that the tutorials show, run as they stand with the embedded model."""

import json
import re
import shutil
from pathlib import Path

import pytest

from optophone.runtime.load import embedded_bundles

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
TUTORIAL = ROOT / "docs/tutorials/developer.md"


@pytest.fixture(autouse=True)
def beside_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the example pictures, of which one is `photo.jpg`."""
    if not embedded_bundles():
        pytest.skip("no embedded default in this checkout")
    for picture in (ROOT / "examples").glob("*.jpg"):
        shutil.copy(picture, tmp_path)
    shutil.copy(ROOT / "examples/beach.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")


def run(pieces: list[str], source: Path) -> dict[str, object]:
    """Run pieces of Python one after another in one namespace; returns it."""
    names: dict[str, object] = {"__name__": "__main__"}
    for number, piece in enumerate(pieces, start=1):
        exec(compile(piece, f"{source.name}, piece {number}", "exec"), names)
    return names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 3
    assert not any(cell["outputs"] for cell in cells if cell["cell_type"] == "code"), "commit it without outputs"
    run(code, notebook)
    assert "cannot tell" in capsys.readouterr().out
    assert Path("lawn.wav").stat().st_size > 10_000


def test_the_python_of_the_tutorial_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    names = run(blocks, TUTORIAL)
    assert Path("photo.mp3").stat().st_size > 1000
    assert isinstance(names["n_samples"], int)
    assert names["n_samples"] > 10_000
    assert "something else" not in capsys.readouterr().out


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in (ROOT / "docs").rglob("*.md")
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken, broken
