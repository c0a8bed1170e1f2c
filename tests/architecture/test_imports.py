"""Who may import whom. The rooms of the house keep their doors shut, so that the light ones stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import optophone
from tiny_bundles import BRIGHT, picture, write_system

PACKAGE = Path(optophone.__file__).parent
# What else is in models is shared by them.
FAMILIES = {"captioners", "acoustic", "vocoders", "units", "direct", "recognizers"}
# Family: the others whose layers it is made of. A direct model is a captioner and a voice in one network.
MADE_OF = {"direct": {"captioners", "acoustic", "units"}}

# Room: the other rooms of ours it may import.
MAY_IMPORT = {
    "core": set(),
    "pipelines": {"core"},
    "models": {"core"},
    "data": {"core"},
    "evaluation": {"core", "pipelines"},
    "training": {"core", "models", "data", "evaluation"},
    "runtime": {"core", "pipelines"},
    "checkpoints": {"core", "models", "runtime"},
    "export": {"core", "models", "runtime"},
    "adapters": {"core"},
    "server": {"core", "pipelines", "runtime", "adapters"},
    "cli": {"core", "pipelines", "models", "data", "evaluation", "training", "runtime", "checkpoints", "export"}
    | {"adapters", "server", "own_parts", "__init__"},
    "own_parts": {"core", "pipelines", "runtime", "adapters"},
    "__init__": {"own_parts", "pipelines"},
    "__main__": {"cli"},
}
# Room: the packages of others it may import, where that is limited. Wherever in a file the import stands.
MAY_INSTALL = {
    "core": {"numpy", "PIL", "soundfile"},
    "pipelines": {"numpy"},
    "runtime": {"numpy", "onnxruntime"},
    "__init__": set(),
}
NEVER_TORCH = {"core", "pipelines", "runtime", "server", "adapters", "__init__"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    """The folder below the package, or the file's own name."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, at the top or inside functions."""
    package = ("optophone", *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).rstrip(".")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def ours(name: str) -> str | None:
    """The room a name of ours is in; None for other people's packages."""
    parts = name.split(".")
    if parts[0] != "optophone":
        return None
    if len(parts) == 1:
        return "__init__"
    is_room = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").is_file()
    return parts[1] if is_room else "__init__"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_what_its_room_may(file: Path) -> None:
    room = room_of(file)
    assert room in MAY_IMPORT, f"{room} is a new room: say in MAY_IMPORT what it may import"
    for line, name in imports_of(file):
        target, package = ours(name), name.split(".")[0]
        where = f"{file.relative_to(PACKAGE)}:{line} imports {name}"
        if target is not None:
            assert target == room or target in MAY_IMPORT[room], f"{where}: {room} may not import {target}"
        elif package not in sys.stdlib_module_names:
            allowed = MAY_INSTALL.get(room)
            assert allowed is None or package in allowed, f"{where}: {room} may not need {package}"
            assert package not in ("torch", "lightning") or room not in NEVER_TORCH, f"{where}: never in {room}"


@pytest.mark.parametrize("file", sorted((PACKAGE / "models").rglob("*.py")), ids=lambda file: file.stem)
def test_a_family_of_models_imports_no_other(file: Path) -> None:
    family = file.relative_to(PACKAGE / "models").parts[0]
    for line, name in imports_of(file):
        parts = name.split(".")
        if parts[:2] == ["optophone", "models"] and len(parts) > 2 and parts[2] in FAMILIES:
            allowed = {family} | MADE_OF.get(family, set())
            assert parts[2] in allowed, f"{file.name}:{line}: {family} imports {parts[2]}"


def test_names_say_what_things_do() -> None:
    for file in FILES:
        assert file.name not in ("utils.py", "helpers.py", "common.py"), f"{file}: name it after what it does"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert not node.name.startswith("Base"), f"{file}: {node.name}"
                assert not node.name.endswith("Manager"), f"{file}: {node.name}"


BLOCKED = ("torch", "lightning", "onnx", "onnxscript", "yaml", "safetensors", "matplotlib", "tensorboard", "tqdm")
WITHOUT_TORCH = f"""
import importlib, importlib.abc, pkgutil, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

sys.meta_path.insert(0, Block())
import optophone, optophone.core, optophone.runtime
modules = ["optophone.pipelines"]
for room in (optophone.core, optophone.runtime):
    modules += [module.name for module in pkgutil.walk_packages(room.__path__, room.__name__ + ".")]
for name in modules + ["optophone.cli." + command for command in ("speak", "caption", "say", "units", "models")]:
    importlib.import_module(name)
from optophone.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_photos_are_spoken_without_torch(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    system = write_system(tmp_path / "system")
    command = [sys.executable, "-c", WITHOUT_TORCH, "speak", "photo.png", "-m", str(system)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(BRIGHT)
    assert (tmp_path / "photo.wav").is_file()


def test_the_server_imports_without_torch() -> None:
    if not any((PACKAGE / "server").glob("[!_]*.py")):
        pytest.skip("there is no server yet")
    names = [f"optophone.server.{file.stem}" for file in (PACKAGE / "server").glob("[!_]*.py")]
    check = f"import sys; sys.modules['torch'] = None; import {', '.join(names)}"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    if "No module named 'fastapi'" in done.stderr:
        pytest.skip("the extra serve is not installed")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", ["optophone", *(f"optophone.cli.{file.stem}" for file in sorted((PACKAGE / "cli").glob("[!_]*.py")))]
)
def test_commands_are_cheap_to_import(module: str) -> None:
    workers = {"picture_speaker", "text_speaker", "sound_files", "sound_stream", "trained_run"}
    workers |= {"caption_evaluation", "doubt_evaluation", "voice_evaluation", "checkpoint_import", "speech_evaluation"}
    workers |= {"run_facts", "trained_units", "unit_writing", "unit_evaluation", "alignment_writing"}
    workers |= {"trained_direct", "evenly_spread", "many_pictures", "output_folder", "worker_pool"}
    workers |= {"bulk_run", "shard_work", "ray_shards"}
    workers |= {"trained_recognizer", "recognizer_choice", "recognizer_evaluation"}
    workers |= {"spoken_caption_evaluation", "spoken_caption_result", "caption_controls", "caption_speakers"}
    workers |= {"listening"}
    workers |= {"caption_file_evaluation", "caption_scoring"}  # all imported when a command runs
    if module.rpartition(".")[2] in workers:
        pytest.skip("does the work of a command")
    check = f"import sys, {module}; print(*({{'numpy', 'torch', 'onnxruntime', 'PIL', 'yaml'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
