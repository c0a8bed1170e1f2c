"""A HuBERT of some thousand weights, made where it is needed."""

from pathlib import Path

import numpy as np
import pytest

from optophone.adapters.speech_model_units import SpeechModelUnits

WAVE = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)


def write_speech_model(folder: Path) -> Path:
    """Its weights and feature extractor, and centres.npy: four vectors of its first layer; returns the folder."""
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'optophone[adapters]'")
    import torch

    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, layerdrop=0.0,
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    np.save(folder / "start.npy", np.random.default_rng(1).normal(size=(4, 16)).astype(np.float32))
    features = SpeechModelUnits(folder, 1, folder / "start.npy").features(WAVE)
    np.save(folder / "centres.npy", features[[3, 10, 20, 30]])
    return folder
