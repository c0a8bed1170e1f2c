"""Small models with random weights, for tests of their export."""

from typing import Any

import numpy as np
import torch

from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import build_words, tacotron2_characters
from optophone.export.acoustic import TrainedAcoustic
from optophone.export.captioner import TrainedCaptioner
from optophone.export.training_facts import TrainingFacts
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config
from optophone.models.captioners.build import DecoderConfig, build_captioner
from optophone.models.encoders.residual_grid import ResidualGridConfig

FACTS = TrainingFacts("tiny", "noise", "0" * 64, "no terms", {"voice": "en-us"}, 7)
SIZE = 32
DECODERS = {
    "show-attend-tell": {"embedding_dim": 64, "attention_dim": 32, "hidden_dim": 64, "tied_embeddings": True},
    "transformer": {"dim": 64, "n_heads": 2, "n_layers": 2, "n_encoder_layers": 1, "feed_forward_dim": 96},
}
TEXTS = ("a dog runs.", "two men in red shirts stand on a beach.")


def tiny_captioner(decoder: str, options: dict[str, Any] | None = None) -> TrainedCaptioner:
    """A captioner of 96 words with batch norms that have seen something; its options are those of `DECODERS`."""
    torch.manual_seed(0)
    vocabulary = build_words([" ".join(f"w{i}" for i in range(92))])
    encoder = ResidualGridConfig(widths=(8, 16, 24), depths=(1, 1, 1))
    model = build_captioner(
        encoder, DecoderConfig(decoder, DECODERS[decoder] if options is None else options), len(vocabulary), SIZE
    )
    with torch.no_grad():
        for _ in range(20):  # running statistics, as after a training
            model.train().encoder(torch.randn(8, 3, SIZE, SIZE))
        for name, parameter in model.named_parameters():
            if name.endswith("norm2.weight"):
                parameter.fill_(0.7)  # residual branches begin at 0
    search = SearchConfig(beam_size=2, max_length=6)
    return TrainedCaptioner(model.eval(), decoder, vocabulary, PictureSpec(SIZE, SIZE), search, FACTS)


def tiny_acoustic(speakers: tuple[str, ...] = ()) -> TrainedAcoustic:
    """A Tacotron 2, perhaps of several speakers, whose stop gate opens only at the length cap of the runtime."""
    torch.manual_seed(0)
    sizes = Tacotron2Config(
        n_mels=16, embedding_dim=32, encoder_dim=32, attention_dim=16, attention_rnn_dim=48, decoder_rnn_dim=48,
        location_filters=4, location_kernel_size=7, prenet_dims=(24, 24), postnet_dim=16, postnet_convolutions=3,
        reduction_factor=2, attention_window=(2, 4), max_frames_per_symbol=3.0,
        n_speakers=len(speakers), speaker_dim=8,
    )  # fmt: skip
    model = Tacotron2(sizes).eval()
    torch.nn.init.constant_(model.decoder.stop.bias, -9.0)
    mel = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)
    return TrainedAcoustic(model, tacotron2_characters(), mel, FACTS, speakers)


def pictures(n: int, seed: int) -> list[np.ndarray]:
    """Coarse coloured noise (40, 48, 3) uint8, each picture another."""
    generator = np.random.default_rng(seed)
    return [np.kron(generator.integers(0, 256, (5, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(n)]


def symbols(trained: TrainedAcoustic) -> list[np.ndarray]:
    """Symbols (S,) of two short texts."""
    return [np.array(trained.vocabulary.encode(text), np.int64) for text in TEXTS]
