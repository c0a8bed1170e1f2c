"""The page of all results: made of result files and bundles, nothing else."""

import importlib
import json
import math
import re
import sys
import xml.etree.ElementTree as tree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import optophone
from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.mel import MelSpec
from optophone.core.protocols import Caption, Intention, SpokenMel
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary, build_units
from optophone.pipelines import DirectPipeline
from tiny_bundles import BRIGHT, MEL, picture, save_graph, write_system

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d", "spice")
WAY = "textless/transformer-k-means"


@pytest.fixture
def overview(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "runs")
    return importlib.import_module("overview")


@pytest.fixture
def ways(overview: ModuleType) -> ModuleType:
    return importlib.import_module("overview_ways")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "bright.png", tmp_path / "dark.png"]
    for path in paths:
        Image.fromarray(picture(bright=path.stem == "bright")).save(path)
    return paths


def scored(value: float, **more: Any) -> dict[str, Any]:
    """Scores as result files have them, all alike, SPICE not measured."""
    intervals = dict.fromkeys(METRICS[:-1], (value - 1, value + 1))
    return {"scores": {**dict.fromkeys(METRICS, value), "spice": None}, "intervals": intervals, **more}


SPEED = {"runtime": {"real_time_factor": 0.0625}}
OURS = {"name": "ours", "content": "0" * 64, "order": 0, "knows": "any words"}
THEIRS = {"name": "theirs", "order": 2, "knows": {"captions": 30, "words": 20}}


def heard(value: float, parts: dict[str, str], cascade: bool = False, ear: dict[str, Any] = OURS) -> dict[str, Any]:
    """A result of spoken captions."""
    rows = {"system": scored(value, word_error_rate=None), "shuffled": scored(2.2, word_error_rate=None)}
    rows["speech"] = scored(77.7, word_error_rate={"rate": 0.25, "interval": (0.2, 0.3)})
    if cascade:
        rows["cascade"] = scored(33.3, word_error_rate={"rate": 0.125, "interval": (0.1, 0.2)})
        rows["cascade_written"] = scored(44.4, word_error_rate=None)
    content: dict[str, Any] = {
        "kind": "spoken captions",
        "command": "optophone evaluate spoken-captions X Y",
        "data": {"rows": 1000},
    }
    bundle = {"parts": {**parts, "voice": {}}}  # beside contents, how a system's voice is set up
    content["recognizer"] = ear
    return {**content, "bundle": bundle, "cascade": {"name": "other", "parts": {"captioner": "1"}}, "rows": rows}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_the_page_is_made_of_files_and_bundles(
    overview: ModuleType, ways: ModuleType, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, bundle = tmp_path / "results", write_system(tmp_path / "system", units=True)
    result = heard(12.3, ways.contents(open_bundle(bundle)), cascade=True)
    write(results / f"{WAY}.json", result)
    write(results / "textless/units-k-means.json", {"kind": "units", "scores": {}})
    write(results / "direct/of-mine.json", heard(6.5, {"direct": "0"}))
    write(results / "ways/textless-transformer-k-means-speed.json", {**SPEED, "machine": {"instructions": "avx2"}})
    write(results / "default-captions.json", scored(18.9))
    for seed, value in enumerate((15.0, 16.0)):
        write(results / f"captioning/own-{seed}.json", scored(value))
    (results / "speech.md").write_text("# Speech\n")
    command = ["overview.py", "--results", results, "--pictures", *pictures, "--way", f"{WAY}={bundle}"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    overview.main()
    page = (results / "README.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    line = next(line for line in lines if f"({WAY}.json)" in line and "transformer over k-means" in line)
    assert "| 12.3 (11.3 .. 13.3) | 12.3 | 12.3 | 12.3 (11.3 .. 13.3) | – | 2.2 | – |" in line
    assert re.search(
        r"\| \[0\.0 M\]\(ways/textless-transformer-k-means\.json\) \| – \| \[0\.062\]\(ways/[^)]*\) avx2 \|", line
    )
    assert "`UNITS=k-means CAPTIONERS=transformer bash runs/textless.sh`" in line
    cascade = next(line for line in lines if line.startswith(f"| [text cascade]({WAY}.json) (`other`) | 33.3"))
    assert "0.125 (0.100 .. 0.200) | – |" in cascade, "the result is of another bundle than the cost"
    assert any(line.startswith(f"| [its text, before it is spoken]({WAY}.json) | 44.4") for line in lines)
    assert any("people's captions, spoken" in line and "77.7" in line for line in lines)
    assert any(line.startswith("| [direct: of-mine](direct/of-mine.json) | 6.5") for line in lines)
    missing = next(line for line in lines if line.startswith("| direct: joint |"))
    assert "not measured yet" in missing
    assert "`MEMBERS=joint bash runs/direct.sh`" in missing
    assert not re.search(r"\d", missing.split("|")[2]), "no figures where none were measured"
    assert any("Show and Speak" in line and "| 3.5 |" in line for line in lines)
    assert any(
        "ours: own, seed [0](captioning/own-0.json), [1](captioning/own-1.json) | 15.5" in line for line in lines
    )
    assert "- [speech](speech.md)" in page
    assert "captioning.md)" not in page, "there is no such page here"
    assert "1 2 3 4 5" in page, "the units of the bright picture"
    for link in re.findall(r"\]\(((?:figures|audio|ways|captioning|textless|direct)/[^)]*)\)", page):
        assert (results / link).is_file(), link

    write(results / f"{WAY}.json", heard(12.3, {"captioner": "another"}))
    overview.write_page(results)
    line = next(line for line in (results / "README.md").read_text().splitlines() if f"({WAY}.json)" in line)
    assert "| – | – | [0.062]" in line, "weights and hours are of another bundle than the scores"
    written = next(line for line in overview.ways_table(results).splitlines() if "before it is spoken" in line)
    assert written.startswith("| [its text, before it is spoken](default-captions.json) | 18.9"), "it was not heard"


def test_who_hears_otherwise_has_a_table_of_its_own(overview: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / f"{WAY}.json", heard(12.3, {}, cascade=True))
    write(tmp_path / "textless/show-attend-tell-k-means.json", heard(11.1, {}))
    assert "another recogniser" not in overview.ways_section(tmp_path)
    write(tmp_path / "direct/transformer.json", heard(6.5, {}, cascade=True, ear=THEIRS))
    main, other = overview.ways_section(tmp_path).split("### Heard by another recogniser")
    line = next(line for line in main.splitlines() if line.startswith("| direct: transformer |"))
    assert "[below](#heard-by-another-recogniser)" in line
    assert "6.5" not in main, "what another ear heard is not compared"
    assert "theirs; it knows the 20 words of 30 captions of train, 2 in a row" in other
    assert "| [direct: transformer](direct/transformer.json) | 6.5 (5.5 .. 7.5) |" in other
    assert "| [text cascade](direct/transformer.json) (`other`) | 33.3" in other
    assert "people's captions, spoken" in other
    assert "12.3" not in other
    assert "11.1" not in other
    assert "not measured yet" not in other


def test_examples_stay_as_they_are_while_nothing_changes(
    ways: ModuleType, pictures: list[Path], tmp_path: Path
) -> None:
    way = ways.Way("cascade", str(write_system(tmp_path / "system")))
    record = json.loads(ways.show(way, pictures, tmp_path / "results").read_text())
    assert record["examples"][0]["said"].endswith(BRIGHT)
    sound = tmp_path / "results" / record["examples"][0]["audio"]
    figure = tmp_path / "results" / record["examples"][1]["figure"]
    assert sound.stat().st_size > 1000
    sound.write_bytes(b"mine")
    ways.show(way, pictures, tmp_path / "results")
    assert sound.read_bytes() == b"mine"
    figure.unlink()
    ways.show(way, pictures, tmp_path / "results")
    assert figure.is_file(), "what is missing is made again"
    assert sound.read_bytes() != b"mine"


def test_words_stand_where_they_are_spoken(ways: ModuleType, pictures: list[Path], tmp_path: Path) -> None:
    pipeline = optophone.load(write_system(tmp_path / "system"))
    spoken = pipeline(pictures[0])
    parts = ways.parts_of(pipeline, spoken.variants[0])
    assert [part.label for part in parts] == BRIGHT.split()
    spans = [part.span_s for part in parts]
    assert None not in spans
    assert all(begin < end for begin, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert spans[-1][1] <= spoken.duration_s * 1.1
    assert spans[-1][1] > 0.7 * spoken.duration_s
    assert all(part.attention is not None for part in parts)
    assert ways.word_spans([*"a, dog."]) == [(0, 1), (3, 6)]
    assert ways.word_spans(["@AH0", ",", " ", "@D", "@AO1", "@G", "."]) == [(0, 1), (3, 6)]


class Humming:
    """A direct model that hums for 30 frames; with units it says three of them, ten frames each."""

    def __init__(self, with_units: bool) -> None:
        self.mel_spec: MelSpec = MEL
        self.vocabulary: Vocabulary | None = build_units(9) if with_units else None
        self.search = SearchConfig()

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        attention = np.ones((3, 2, 2), np.float32) / 4
        return [Intention(0, Caption((3, 5, 7), -1.0, 0.5, attention) if self.vocabulary else None)]

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        alignment = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0) if self.vocabulary else None
        return SpokenMel(np.concatenate(list(self.stream(picture)), axis=1), alignment)

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        yield np.linspace(-9, -3, MEL.n_mels * 30, dtype=np.float32).reshape(MEL.n_mels, 30)


@pytest.mark.parametrize("with_units", [False, True])
def test_direct_models_show_what_they_have(
    overview: ModuleType, ways: ModuleType, pictures: list[Path], tmp_path: Path, with_units: bool
) -> None:
    pipeline = DirectPipeline(Humming(with_units), GriffinLim(MEL, GriffinLimConfig(n_iterations=2)))
    parts = ways.parts_of(pipeline, pipeline.caption(pictures[0])[0])
    step = 10 * MEL.hop_length / MEL.sample_rate
    if with_units:
        assert [part.label for part in parts] == ["0", "2", "4"]
        assert [part.span_s for part in parts] == [pytest.approx((i * step, (i + 1) * step)) for i in range(3)]
    else:
        assert parts == []
    for folder in ("figures", "audio"):
        (tmp_path / folder).mkdir()
    one = ways.example(ways.Way("direct/mine", ""), pipeline, pictures[0], tmp_path)
    text = overview.example_text("direct/mine", {**one, "picture": "bright.png"})
    assert text.startswith(f"**direct/mine**: {'units' if with_units else 'nothing in writing'}, [")
    assert ("\n0 2 4\n" in text) == with_units
    assert (tmp_path / one["audio"]).stat().st_size > 500
    looks = (tmp_path / one["figure"]).read_text().count("data:image/jpeg")
    assert looks == (3 if with_units else 0)


def test_the_figure_says_what_it_shows(overview: ModuleType) -> None:
    figure = importlib.import_module("overview_figure")
    attention = np.zeros((6, 6), np.float32)
    attention[0, 5] = 1.0
    parts = [figure.Part("dog & cat", (0.1, 0.3), attention), figure.Part("runs")]
    wave = np.sin(np.arange(22050, dtype=np.float32) / 5)
    text = figure.spoken_figure("a <title>", Image.fromarray(picture()), wave, MelSpec(), parts)
    root = tree.fromstring(text)
    described = root.find("{http://www.w3.org/2000/svg}desc").text
    assert described == (
        "Spectrogram of 1.00 seconds of speech. dog & cat, 0.10 to 0.30 s, looking most at the upper right; runs."
    )
    assert len(root.findall("{http://www.w3.org/2000/svg}image")) == 2, "the spectrogram, and one look"


def test_weights_are_counted_once_and_without_scales(ways: ModuleType, tmp_path: Path) -> None:
    shared = np.arange(12, dtype=np.float32).reshape(3, 4)
    graph = "tiny (float[1,3] x) => (float[1,4] y) { y = MatMul(x, w) }"
    with BundleWriter(tmp_path / "part", kind="captioner", cls="x", name="x", licence="Apache-2.0") as writer:
        more = {"w": shared, "shape": np.array([1, 2, 3]), "q_scale": np.ones(5, np.float32)}
        save_graph(writer.path("a.onnx"), graph, {**more, "own": np.ones((2, 2), np.int8), "one": np.float32(1)})
        save_graph(writer.path("b.onnx"), graph, {"w": shared, "q_zero_point": np.zeros(5, np.int8)})
    assert ways.parameters(open_bundle(tmp_path / "part")) == {"captioner": 12 + 4}


def test_hours_are_those_of_the_curves_without_pauses(ways: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path / "run/curves"))
    for step, at in enumerate((0, 500, 1000, 90_000, 90_440)):
        value = Summary(value=[Summary.Value(tag="train/loss", simple_value=1.0)])
        writer.add_event(Event(wall_time=1e9 + at, step=step, summary=value))
    writer.close()
    assert ways.training(tmp_path / "run") == {"hours": round(1440 / 3600, 2), "steps": 5}
    assert math.isclose(ways.training(tmp_path / "run")["hours"], 0.4)


def test_ways_are_those_of_the_scripts(overview: ModuleType, tmp_path: Path) -> None:
    known = {way.name for way in overview.known_ways(tmp_path)}
    assert {"cascade", WAY, "textless/show-attend-tell-wavenet-vq", "direct/joint", "direct/show-and-speak"} <= known
    for name in ("work/textless/k-means/system-transformer", "work/direct/joint"):
        write(tmp_path / name / "bundle.json", {})
    halves_of = ("k-means", re.search(r"UNITS:-([\w-]+)", (ROOT / "runs/direct.sh").read_text())[1])  # type: ignore[index]
    halves = [f"textless/{units}/{half}-run" for units in set(halves_of) for half in ("voice", "transformer")]
    for run in ("encoder-tiny-imagenet", *halves, *(f"textless/{units}/voice-judged-run" for units in set(halves_of))):
        (tmp_path / "work" / run / "curves").mkdir(parents=True)
    (tmp_path / "work/direct/joint-run/curves").mkdir(parents=True)
    built = {way.name: [run.name for run in way.runs] for way in overview.built_ways(tmp_path)}
    halves = ["encoder-tiny-imagenet", "voice-run", "transformer-run"]
    assert built == {WAY: [*halves, "voice-judged-run"], "direct/joint": [*halves, "joint-run"]}


def test_a_training_belongs_to_a_way(overview: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["overview.py", "--results", str(tmp_path), "--trained", "direct/joint=x"])
    with pytest.raises(SystemExit):
        overview.main()
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_is_gone_is_taken_from_another_way(
    overview: ModuleType, ways: ModuleType, pictures: list[Path], tmp_path: Path
) -> None:
    eyes = {"hours": 0.9, "steps": 30}
    write(tmp_path / "ways/direct-joint.json", {"training": {"eyes": eyes}})
    way = ways.Way("direct/mine", str(write_system(tmp_path / "system")))
    way = overview.with_training(way, "direct/joint:eyes", tmp_path)
    assert json.loads(ways.show(way, pictures, tmp_path).read_text())["training"] == {"eyes": eyes}
    for run in ("direct/joint:ears", "direct/other:eyes", "folder"):
        assert overview.with_training(way, run, tmp_path).runs == (Path(run),)


def test_all_that_the_committed_page_shows_is_there() -> None:
    page = ROOT / "docs/results/README.md"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]
    assert any(link.startswith("audio/") for link in links)
    for link in links:
        path = page.parent / link
        assert path.exists(), link
        assert path.suffix != ".mp3" or path.stat().st_size < 100_000
