"""Whisper through transformers: a tiny random one, made here."""

import json
from pathlib import Path

import numpy as np
import pytest

from optophone.adapters.whisper import WhisperRecognizer
from optophone.core.errors import ConfigurationError

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of some thousand weights, with letters for symbols."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("whisper")
    symbols = [*map(chr, range(33, 127)), "Ġ", *SPECIAL]
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), additional_special_tokens=SPECIAL
    )
    n_symbols, end = len(tokenizer), tokenizer.convert_tokens_to_ids("<|endoftext|>")
    features = transformers.WhisperFeatureExtractor(feature_size=8)
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(folder)
    start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    config = transformers.WhisperConfig(
        vocab_size=n_symbols,
        num_mel_bins=8,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=24,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    torch.manual_seed(0)
    transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_it_hears_words_of_letters(folder: Path) -> None:
    recognizer = WhisperRecognizer(folder)
    noise = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    words = recognizer.hear(noise, 22050)
    assert all(set(word) <= set("abcdefghijklmnopqrstuvwxyz'") for word in words)
    assert words == recognizer.hear(noise, 22050)
    assert recognizer.hear(np.zeros(100, np.float32), 16000) == []


def test_what_is_written_becomes_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = WhisperRecognizer(folder)
    windows = []

    def decode(ids: object, skip_special_tokens: bool) -> list[str]:
        windows.append(ids)
        return [" A dog, 2 cats!"]

    monkeypatch.setattr(recognizer.processor, "batch_decode", decode)
    wave = np.random.default_rng(0).normal(0, 0.1, 16000 * 31).astype(np.float32)
    assert recognizer.hear(wave, 16000) == ["a", "dog", "two", "cats"] * 2
    assert len(windows) == 2


def test_folders_without_a_whisper_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no Whisper") as caught:
        WhisperRecognizer(tmp_path)
    assert "\n" not in str(caught.value)
