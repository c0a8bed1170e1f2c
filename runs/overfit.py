"""Whether each captioner of the family can learn 32 photographs by heart: BLEU-4 of what it says of them.

    python runs/overfit.py data/flickr8k -o docs/results/captioning/overfit.json [MEMBER...]

Decoders of the sizes in configs/captioner/flickr8k-MEMBER.yaml read the regions of a residual grid with random weights,
which tells photographs apart well enough; dropout is off. One caption of each photograph is taught, until BLEU-4
against it, searched greedily, is above 90 or the steps are used up. A member that cannot do this is broken.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from optophone.core.picture import PictureSpec
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary, build_words
from optophone.data.captioned_pictures import pad_captions
from optophone.data.manifest import read_dataset
from optophone.data.pictures import as_batch, normalize, resized
from optophone.evaluation.captions import evaluate_captions
from optophone.models.captioners import HasAuxiliaryLosses
from optophone.models.captioners.build import FAMILY, DecoderConfig, build_decoder
from optophone.models.encoders.residual_grid import ResidualGrid, ResidualGridConfig
from optophone.training.caption_loss import caption_cross_entropy
from optophone.training.describing import describe

CONFIGS = Path(__file__).resolve().parents[1] / "configs/captioner"
N_PHOTOGRAPHS, SIZE, EVERY, MOST_STEPS, AIM = 32, 160, 25, 400, 90.0
GREEDY = SearchConfig(method="greedy", max_length=40)


def taught(folder: Path) -> tuple[Tensor, list[str]]:
    """Photographs (32, 3, 160, 160) of Flickr8k train, and a caption of each."""
    dataset = read_dataset(folder)
    rows = dataset.rows("train")[:N_PHOTOGRAPHS]
    spec = PictureSpec(SIZE, SIZE)
    packed = resized(dataset.array("train", "pictures")[:N_PHOTOGRAPHS], spec)
    return normalize(as_batch(packed), spec), [row["captions"][0] for row in rows]


@torch.no_grad()
def regions_of(photographs: Tensor) -> Tensor:
    """Regions (32, R, D) with the statistics of these photographs, of variance 1."""
    torch.manual_seed(0)
    encoder = ResidualGrid(ResidualGridConfig())
    regions = encoder(photographs)  # in training mode: normalised by the photographs' own statistics
    return (regions - regions.mean((0, 1))) / (regions.std((0, 1)) + 1e-6)


def new_decoder(member: str, n_symbols: int, regions: Tensor) -> nn.Module:
    """The decoder of the member's configuration, without dropout."""
    name = f"flickr8k-{'transformer-frozen' if member == 'transformer' else member}.yaml"
    decoder = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))["decoder"]
    side = round(regions.shape[1] ** 0.5)
    torch.manual_seed(1)
    built = build_decoder(DecoderConfig(**decoder), n_symbols, regions.shape[2], (side, side))
    for module in built.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return built


def bleu_4(decoder: nn.Module, regions: Tensor, vocabulary: Vocabulary, captions: list[str]) -> float:
    """Of greedy captions against the ones that were taught."""
    decoder.eval()
    found = describe(decoder, regions, vocabulary, GREEDY)
    said = {str(i): vocabulary.decode(best.ids) for i, (best, *_) in enumerate(found)}
    return evaluate_captions(said, {str(i): [text] for i, text in enumerate(captions)}).bleu_4


def learn(member: str, regions: Tensor, captions: list[str]) -> dict[str, Any]:
    """Teach until the aim is met; what was reached, when."""
    vocabulary = build_words(captions, 1)
    ids = [[*vocabulary.encode(text), vocabulary.end] for text in captions]
    inputs, targets = pad_captions(ids, vocabulary, max(map(len, ids)))
    decoder = new_decoder(member, len(vocabulary), regions)
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-3)
    started, score, step = time.perf_counter(), 0.0, 0
    while step < MOST_STEPS and score <= AIM:
        decoder.train()
        for _ in range(EVERY):
            output = decoder(regions, None, inputs)
            loss = caption_cross_entropy(output.logits, targets, vocabulary.pad)
            if isinstance(decoder, HasAuxiliaryLosses):
                loss = loss + sum(decoder.auxiliary_losses(output, targets, vocabulary.pad).values())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
            optimizer.step()
        step += EVERY
        score = bleu_4(decoder, regions, vocabulary, captions)
    n_parameters = sum(p.numel() for p in decoder.parameters())
    return {"bleu_4": score, "steps": step, "seconds": time.perf_counter() - started, "n_parameters": n_parameters}


def main() -> None:
    """Teach every member, or those that are named; exit status 1 if one of them cannot learn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("members", nargs="*", default=list(FAMILY))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photographs, captions = taught(arguments.dataset)
    regions = regions_of(photographs)
    found = {}
    for member in arguments.members or FAMILY:
        found[member] = learn(member, regions, captions)
        print(f"{member:28} BLEU-4 {found[member]['bleu_4']:5.1f} after {found[member]['steps']} steps", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(any(result["bleu_4"] <= AIM for result in found.values()))


if __name__ == "__main__":
    main()
