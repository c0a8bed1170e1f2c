"""What an acoustic model is trained to make small."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from optophone.models.acoustic.tacotron2 import AcousticOutput


@dataclass(frozen=True)
class AcousticLossConfig:
    """The defaults are the loss of the public Tacotron 2.

    Args:
        distance: between mels, before and after the postnet: squared ("mse"), absolute ("l1"), or the sum of both.
        stop_weight: of the stop loss.
        stop_positive_weight: how much a frame where the utterance has ended counts against one where it goes on.
        guide_weight: of the guided attention loss; 0 is none.
        guide_width: g of the guided attention loss, a fraction of the utterance.
        count_padding: average over padded positions too (where they are exactly right), as the original does; False
            averages over valid ones, so that long and short utterances weigh by their frames alone.
    """

    distance: Literal["mse", "l1", "mse+l1"] = "mse"
    stop_weight: float = 1.0
    stop_positive_weight: float = 1.0
    guide_weight: float = 0.0
    guide_width: float = 0.2
    count_padding: bool = True


class AcousticLosses(NamedTuple):
    """Scalars, unweighted but for `total`: the sum to minimize."""

    total: Tensor
    mel_before: Tensor
    mel_after: Tensor
    stop: Tensor
    guide: Tensor


class AcousticLoss(nn.Module):
    """Mel distance before and after the postnet, stop cross entropy, guided attention.

    Source: Shen et al. 2018, section 3.1; guided attention: Tachibana et al. 2018, "Efficiently Trainable
    Text-to-Speech System Based on Deep Convolutional Networks with Guided Attention", section 4.
    """

    def __init__(self, config: AcousticLossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: AcousticOutput, mel: Tensor, mel_lengths: Tensor, id_lengths: Tensor) -> AcousticLosses:
        """Losses of `output` against the true `mel` (B, M, T).

        Args:
            output: teacher-forced prediction.
            mel: (B, M, T) truth.
            mel_lengths, id_lengths: (B,) valid frames and symbols.
        """
        positions = torch.arange(mel.shape[2], device=mel.device)
        mask = (
            torch.ones_like(mel[:, 0], dtype=torch.bool)
            if self.config.count_padding
            else (positions < mel_lengths[:, None])
        )
        mel = mel.masked_fill(positions >= mel_lengths[:, None, None], 0.0)
        before = self._distance(output.mel_before, mel, mask)
        after = self._distance(output.mel_after, mel, mask)
        # The last frame of an utterance already counts as ended: it is the one at which to stop.
        ended = (positions + 1 >= mel_lengths[:, None]).to(output.stop_logits.dtype)
        weight = output.stop_logits.new_tensor(self.config.stop_positive_weight)
        stop = functional.binary_cross_entropy_with_logits(output.stop_logits[mask], ended[mask], pos_weight=weight)
        if self.config.guide_weight:
            guide = guided_attention_loss(output.alignment, output.step_lengths, id_lengths, self.config.guide_width)
        else:
            guide = torch.zeros_like(stop)
        total = before + after + self.config.stop_weight * stop + self.config.guide_weight * guide
        return AcousticLosses(total, before, after, stop, guide)

    def _distance(self, predicted: Tensor, mel: Tensor, mask: Tensor) -> Tensor:
        difference = (predicted - mel).transpose(1, 2)[mask]
        total = difference.new_zeros(())
        if "mse" in self.config.distance:
            total = total + difference.square().mean()
        if "l1" in self.config.distance:
            total = total + difference.abs().mean()
        return total


def guided_attention_loss(alignment: Tensor, step_lengths: Tensor, id_lengths: Tensor, width: float) -> Tensor:
    """Mean over valid cells of the attention weight times its distance from the diagonal.

    The distance is W = 1 - exp(-(s / S - u / U)² / (2 width²)) for symbol s of S at step u of U.

    Args:
        alignment: (B, U, S) attention weights.
        step_lengths, id_lengths: (B,) valid steps and symbols.
        width: g; 0.2 in the paper.

    Source: Tachibana et al. 2018, section 4, the loss L_att.
    """
    steps = torch.arange(alignment.shape[1], device=alignment.device)[None, :, None]
    symbols = torch.arange(alignment.shape[2], device=alignment.device)[None, None]
    n_steps, n_symbols = step_lengths[:, None, None], id_lengths[:, None, None]
    away = 1 - torch.exp(-((symbols / n_symbols - steps / n_steps) ** 2) / (2 * width**2))
    valid = (steps < n_steps) & (symbols < n_symbols)
    return (alignment * away * valid).sum() / valid.sum()
