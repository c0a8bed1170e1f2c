"""A tiny WaveNet-VQ for tests: units of 4 frames, 5 samples a frame, 12 codes that are vectors of its own encoder."""

import torch

from optophone.models.units.strided_encoder import StridedEncoderConfig
from optophone.models.units.wavenet import WaveNetConfig
from optophone.models.units.wavenet_vq import WaveNetVQ, WaveNetVQConfig


def tiny_wavenet_vq(
    output: str = "mu-law", features: str = "mfcc", n_mels: int = 10, samples: int = 5, n_strides: int = 2
) -> WaveNetVQ:
    """In evaluation mode; `samples` of a frame."""
    torch.manual_seed(0)
    encoder = StridedEncoderConfig(
        n_mels,
        80.0,
        features,  # type: ignore[arg-type]
        5,
        12,
        n_strides=n_strides,
        n_feed_forward=1,
    )
    decoder = WaveNetConfig(6, 7, 2, 3, output, 3)  # type: ignore[arg-type]
    model = WaveNetVQ(
        WaveNetVQConfig(
            encoder, 12, 4, n_mixed=5, n_speakers=3, speaker_dim=2, decoder=decoder, samples_per_frame=samples
        )
    )
    with torch.no_grad():
        frames = model.eval().encode(tiny_levels(12 * 2**n_strides, n_mels, seed=9)[None]).frames[0].T
        model.quantizer.codes.copy_(frames)
        model.quantizer.sums.copy_(frames)
    return model


def tiny_levels(n_frames: int, n_mels: int = 10, seed: int = 0) -> torch.Tensor:
    """Decibels (M, T) of something that changes."""
    generator = torch.Generator().manual_seed(seed)
    return -80 * torch.rand(n_mels, n_frames, generator=generator)
