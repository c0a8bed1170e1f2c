"""Captioners that read regions, from the original's checkpoint to what ONNX Runtime says of ragged regions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.core.regions import RegionSpec, pad_regions
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.export.captioner import TrainedCaptioner, difference_from_torch, export_captioner
from optophone.export.noise import noise_regions
from optophone.export.training_facts import TrainingFacts
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig
from optophone.models.captioners.xlan import XLan, XLanConfig
from optophone.runtime.onnx_captioner import OnnxCaptioner

TOLERANCE = 1e-4
V, D = 11, 12
MEMBERS: dict[str, Callable[[], nn.Module]] = {
    "show-attend-tell": lambda: ShowAttendTell(ShowAttendTellConfig(V, D, 16, 10, 14)),
    "transformer": lambda: TransformerCaptioner(
        TransformerCaptionerConfig(V, D, dim=16, n_heads=2, n_layers=1, feed_forward_dim=32, max_length=8)
    ),
    "x-lan": lambda: XLan(XLanConfig(V, D, 16, 2, 2)),
}


@pytest.fixture(scope="module", params=MEMBERS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A member of the family with random weights, and the bundle of it that reads regions."""
    torch.manual_seed(0)
    model = MEMBERS[request.param]().eval()
    vocabulary = Vocabulary("words", (".", *(f"w{i}" for i in range(1, V))), pad=0, start=0, end=0)
    facts = TrainingFacts("tiny", "noise", "0" * 64, "no terms")
    search = SearchConfig(beam_size=3, max_length=5)
    trained = TrainedCaptioner(model, request.param, vocabulary, None, search, facts, RegionSpec(D))
    folder = tmp_path_factory.mktemp("regions")
    measured = export_captioner(trained, folder, "fp32", [], noise_regions(4, D))
    assert measured["difference_from_torch"] <= TOLERANCE
    return model, folder / "fp32"


@pytest.mark.parametrize("counts", [(1,), (1, 7), (23, 100, 2), (5, 5)])
def test_any_number_of_regions_is_as_in_torch(exported: tuple[nn.Module, Path], counts: tuple[int, ...]) -> None:
    model, folder = exported
    generator = np.random.default_rng(1)
    regions = [generator.standard_normal((n, D), np.float32) for n in counts]
    captioner = OnnxCaptioner(open_bundle(folder))
    assert difference_from_torch(model, captioner, regions, n_steps=4) <= TOLERANCE
    alone = [captioner.caption(one)[0] for one in regions]
    together = captioner.captions(regions)
    for mine, (found, *_) in zip(alone, together, strict=True):
        assert found.ids == mine.ids
        assert found.log_prob == pytest.approx(mine.log_prob, abs=TOLERANCE)
        assert found.attention is None


@torch.no_grad()
def test_what_padding_holds_does_not_matter(exported: tuple[nn.Module, Path]) -> None:
    _, folder = exported
    captioner = OnnxCaptioner(open_bundle(folder))
    generator = np.random.default_rng(2)
    regions, mask = pad_regions([generator.standard_normal((n, D), np.float32) for n in (3, 9)])
    assert mask.sum() == 12
    ids = np.zeros(2, np.int64)
    found = []
    for filling in (0.0, 7.0):
        filled = np.where(mask[:, :, None], regions, np.float32(filling))
        memory, state = captioner.begin({"regions": filled, "regions_mask": mask})
        found.append(captioner._step(ids, memory + state)[0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def stored(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    facts = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as arrays:
        return facts["config"], {key: arrays[key] for key in arrays.files}


def test_an_imported_xlan_says_what_the_original_says(parity_fixtures: Path, tmp_path: Path) -> None:
    config, arrays = stored(parity_fixtures, "xlan")
    weights = {f"module.{name[7:]}": torch.from_numpy(x) for name, x in arrays.items() if name.startswith("weight/")}
    torch.save(weights, tmp_path / "caption_model.pth")
    n_words = len(weights["module.word_embed.0.weight"]) - 1
    (tmp_path / "words.txt").write_text("".join(f"w{i}\n" for i in range(n_words)))
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = ["--vocabulary", str(tmp_path / "words.txt"), "--config", str(tmp_path / "config.json")]
    assert run(["import", "xlan", str(tmp_path / "caption_model.pth"), *files, "-o", str(tmp_path / "out")]) == 0
    captioner = OnnxCaptioner(open_bundle(tmp_path / "out"))
    mask = arrays["input/att_mask"] > 0
    regions = [one[valid] for one, valid in zip(arrays["input/att_feats"], mask, strict=True)]
    found = captioner.captions(regions)  # by its own search: three beams, as long as the original's
    for i, (best, *_) in enumerate(found):
        ids = arrays["output/beam3_ids"][i].tolist()
        assert list(best.ids) == [number for number in ids if number]
        assert best.log_prob == pytest.approx(float(arrays["output/beam3_score"][i]), abs=TOLERANCE)


def test_an_imported_sat_scores_as_the_original(parity_fixtures: Path, tmp_path: Path) -> None:
    config, arrays = stored(parity_fixtures, "sat")
    weights = {name[7:]: torch.from_numpy(x) for name, x in arrays.items() if name.startswith("weight/")}
    torch.save({"decoder": weights}, tmp_path / "sat.pth")
    names = {config["start_id"]: "<start>", config["end_id"]: "<end>", config["pad_id"]: "<pad>"}
    words = {names.get(i, f"w{i}"): i for i in range(len(weights["embedding.weight"]))}
    (tmp_path / "WORDMAP.json").write_text(json.dumps(words))
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = ["--vocabulary", str(tmp_path / "WORDMAP.json"), "--config", str(tmp_path / "config.json")]
    assert run(["import", "sat", str(tmp_path / "sat.pth"), *files, "-o", str(tmp_path / "out")]) == 0
    captioner = OnnxCaptioner(open_bundle(tmp_path / "out"))
    shown = arrays["input/encoder_out"]
    regions = [one.reshape(-1, shown.shape[-1]) for one in shown]
    memory, state = captioner.begin(captioner.prepare(regions))
    parts = memory + state
    expected_ids, expected = arrays["output/greedy_ids"], arrays["output/greedy_logprobs"]
    last = np.full(len(regions), config["start_id"], np.int64)
    for s in range(expected_ids.shape[1]):
        log_probs, _, parts = captioner._step(last, parts)
        last = log_probs.argmax(1)
        assert last.tolist() == expected_ids[:, s].tolist()
        best = log_probs if expected.ndim == 3 else log_probs.max(1)
        np.testing.assert_allclose(best, expected[:, s], atol=TOLERANCE, rtol=TOLERANCE)
