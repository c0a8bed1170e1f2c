"""Captioners of transformers: tiny ones with random weights, made and saved here."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from optophone.adapters.transformers_captioner import GumbelDraw, TransformersCaptioner
from optophone.cli.caption import caption as command
from optophone.core.errors import ConfigurationError
from optophone.core.search import SearchConfig
from optophone.own_parts import load_describer

PICTURE = np.kron(np.random.default_rng(0).integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "dog", "cat", "run", "##s", "##ning", "on", "grass", "the", "boy"]
N_SYMBOLS = len(SPECIAL) + len(WORDS)
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VISION = {**SMALL, "image_size": 16, "patch_size": 8}
KINDS = ("blip", "git", "vit-gpt2")


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs transformers: pip install 'optophone[adapters]'")


@pytest.fixture(scope="module")
def captioners(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind, as `save_pretrained` leaves it."""
    import torch

    torch.manual_seed(0)
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    marks = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "sep_token_id": 3, "vocab_size": N_SYMBOLS}
    blip = transformers.BlipConfig(
        text_config={**SMALL, **marks, "encoder_hidden_size": 16, "max_position_embeddings": 32},
        vision_config=VISION, projection_dim=8, image_text_hidden_size=8,
    )  # fmt: skip
    git = transformers.GitConfig(vision_config=VISION, **SMALL, **marks, max_position_embeddings=64)
    vit_gpt2 = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**VISION),
        transformers.GPT2Config(vocab_size=N_SYMBOLS, n_positions=64, n_embd=16, n_layer=1, n_head=2,
                                bos_token_id=2, eos_token_id=3),
    )  # fmt: skip
    vit_gpt2.decoder_start_token_id, vit_gpt2.pad_token_id, vit_gpt2.eos_token_id = 3, 0, 3
    models = {
        "blip": transformers.BlipForConditionalGeneration(blip),
        "git": transformers.GitForCausalLM(git),
        "vit-gpt2": transformers.VisionEncoderDecoderModel(vit_gpt2),
    }
    for kind, folder in folders.items():
        _louder(models[kind]).save_pretrained(folder)
        _tokenizer(transformers, folder)
        transformers.CLIPImageProcessor(
            size={"height": 16, "width": 16}, do_center_crop=False
        ).save_pretrained(folder)  # fmt: skip
    return folders


def _louder(model: Any) -> Any:
    """Weights large enough that symbols differ in probability."""
    for weight in model.parameters():
        weight.data.mul_(4 if weight.dim() > 1 else 1)
    model.generation_config.max_length = None
    return model


def _tokenizer(transformers: Any, folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]))
    transformers.BertTokenizer.from_pretrained(str(folder)).save_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_confidence_is_what_the_model_gives_its_own_words(captioners: dict[str, Path], kind: str) -> None:
    captioner = TransformersCaptioner(captioners[kind])
    (best,) = captioner.caption(PICTURE, SearchConfig(beam_size=2, max_length=6, min_length=2))
    assert 2 <= len(best.ids) <= 6
    assert best.text == captioner.tokenizer.decode(best.ids, skip_special_tokens=True)
    assert best.log_prob == pytest.approx(sum(best.token_log_probs))
    assert best.confidence == pytest.approx(math.exp(best.log_prob / len(best.token_log_probs)))
    assert len(best.token_log_probs) in (len(best.ids), len(best.ids) + 1)
    np.testing.assert_allclose(best.token_log_probs, _scored(captioner, kind, best), atol=1e-4)


def _scored(captioner: TransformersCaptioner, kind: str, caption: Any) -> list[float]:
    """The log-probabilities of a caption in one pass over all of it."""
    import torch

    pixels = captioner.processor(images=PICTURE, return_tensors="pt")["pixel_values"]
    ended = len(caption.token_log_probs) > len(caption.ids)
    start = {"blip": 2, "git": 2, "vit-gpt2": 3}[kind]
    written = [*caption.ids, *([3] if ended else [])]
    ids = torch.tensor([[start, *written]])
    model = captioner.model
    if kind == "blip":
        regions = model.vision_model(pixels)[0]
        logits = model.text_decoder(input_ids=ids, encoder_hidden_states=regions).logits
    elif kind == "git":
        logits = model(input_ids=ids, pixel_values=pixels).logits[:, -ids.shape[1] :]
    else:
        logits = model(decoder_input_ids=ids, pixel_values=pixels).logits
    scores = logits[0].log_softmax(-1)
    return [float(scores[place, number]) for place, number in enumerate(written)]


def test_a_wider_beam_finds_nothing_worse_and_variants_differ(captioners: dict[str, Path]) -> None:
    captioner = TransformersCaptioner(captioners["blip"])
    config = SearchConfig(beam_size=8, max_length=5, n_results=8, length_penalty=0.0)
    found = captioner.caption(PICTURE, config)
    assert len({caption.ids for caption in found}) == len(found) == 8
    assert [one.log_prob for one in found] == sorted((one.log_prob for one in found), reverse=True)
    (greedy,) = captioner.caption(PICTURE, SearchConfig(method="greedy", max_length=5))
    (beam,) = captioner.caption(PICTURE, replace(config, n_results=1))
    assert beam.log_prob >= greedy.log_prob - 1e-5


def test_a_seed_draws_the_same_words_and_disturbs_nobody(captioners: dict[str, Path]) -> None:
    import torch

    captioner = TransformersCaptioner(captioners["git"])
    config = SearchConfig(method="sample", max_length=6, n_results=4, seed=3, temperature=1.5)
    before = torch.get_rng_state()
    torch.manual_seed(1)
    first = captioner.caption(PICTURE, config)
    torch.manual_seed(2)
    again = captioner.caption(PICTURE, config)
    torch.set_rng_state(before)
    assert [one.ids for one in first] == [one.ids for one in again]
    assert len({one.ids for one in first}) > 1
    other = captioner.caption(PICTURE, replace(config, seed=4))
    assert [one.ids for one in first] != [one.ids for one in other]


def test_draws_follow_the_probabilities() -> None:
    torch = pytest.importorskip("torch")
    probabilities = torch.tensor([0.1, 0.6, 0.3])
    scores = probabilities.log().repeat(4000, 1)
    drawn = GumbelDraw(0)(None, scores)
    counts = torch.bincount(drawn.argmax(-1), minlength=3) / 4000
    np.testing.assert_allclose(counts, probabilities, atol=0.03)
    assert (drawn.exp().sum(-1) == 1).all()


def test_searches_it_cannot_do_are_refused(captioners: dict[str, Path]) -> None:
    captioner = TransformersCaptioner(captioners["blip"])
    with pytest.raises(ConfigurationError, match="--diverse"):
        captioner.caption(PICTURE, SearchConfig(beam_size=4, groups=2))
    with pytest.raises(ConfigurationError, match="--forbid-repeats"):
        captioner.caption(PICTURE, SearchConfig(forbid_repeats=True))


def test_the_describer_says_the_tokenizers_words(captioners: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    describer = load_describer(captioner=f"transformers:{captioners['vit-gpt2']}")
    tokenizer = describer.captioner.tokenizer
    monkeypatch.setattr(tokenizer, "decode", lambda ids, skip_special_tokens: " a dog  runs ")
    (only,) = describer.caption(PICTURE, variants=3)
    assert (only.text, only.said, only.photograph) == ("a dog runs", "a dog runs", None)
    assert describer.at_least == 48
    assert describer.writes_text


def test_the_command_describes_and_says_how_sure(captioners: dict[str, Path], tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "one.png")
    arguments = [str(tmp_path / "one.png"), "--captioner", f"transformers:{captioners['git']}", "--json"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    record = json.loads(result.stdout)
    assert record["text"]
    assert 0 < record["confidence"] <= 1
    assert result.stderr == ""


def test_pickled_weights_are_refused_with_the_way_out(captioners: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(captioners["blip"], tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match=r"no safetensors, only pytorch_model.bin.*save_pretrained") as raised:
        TransformersCaptioner(copy)
    assert "\n" not in str(raised.value)


def test_what_is_no_captioner_is_refused(captioners: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{tmp_path}: no captioner that transformers can load"):
        TransformersCaptioner(tmp_path)
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"):
        copy = shutil.copytree(captioners["blip"], tmp_path / name)
        (copy / name).write_bytes(b"{")
        with pytest.raises(ConfigurationError, match="no captioner") as raised:
            TransformersCaptioner(copy)
        assert "\n" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="give the folder or the name"):
        load_describer(captioner="transformers:")
    with pytest.raises(ConfigurationError, match="no captioner; give transformers"):
        load_describer(captioner="piper:voice.onnx")


def test_weights_must_be_whole(captioners: dict[str, Path], tmp_path: Path) -> None:
    """transformers would draw what is missing at random, and say so in a log."""
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(captioners["git"], tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    part = {name: x for name, x in weights.items() if "encoder.layer.0.output" not in name}
    assert len(part) < len(weights)
    save_file(part, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"weights are missing, git\.encoder\.layer\.0\.output"):
        TransformersCaptioner(copy)


def test_code_of_others_is_not_run(captioners: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(captioners["blip"], tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForImageTextToText": "mine.M"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ConfigurationError, match="no captioner"):
        TransformersCaptioner(copy)
    assert not (tmp_path / "ran").exists()
