"""Which search suits a captioner: scores on a development split for several beams and length normalisations.

    python benchmarks/search_options.py work/bundles/captioner data/flickr8k --limit 500

The pictures are encoded once; every search then sees the same memory, so the differences are the search's alone. Choose
on dev, never on test.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optophone.core.bundle import open_bundle
from optophone.core.picture import load_picture, prepare_picture
from optophone.core.search import SearchConfig, search
from optophone.data.manifest import read_dataset
from optophone.evaluation.captions import evaluate_captions
from optophone.runtime.onnx_captioner import OnnxCaptioner

BATCH = 25
OPTIONS = [(beam, norm, alpha) for beam in (3, 5) for norm, alpha in (("gnmt", 0.0), ("gnmt", 0.7), ("power", 1.0))]


def encoded(captioner: OnnxCaptioner, files: list[Path]) -> Iterator[tuple[tuple, tuple]]:
    """Memory and first state of the pictures, `BATCH` at a time."""
    for first in range(0, len(files), BATCH):
        pictures = [
            prepare_picture(load_picture(file), captioner.picture_spec) for file in files[first : first + BATCH]
        ]
        yield captioner.encode(np.stack(pictures))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("dataset")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--limit", type=int, default=0, help="the first so many pictures; 0 for all")
    arguments = parser.parse_args()
    captioner = OnnxCaptioner(open_bundle(arguments.bundle))
    dataset = read_dataset(arguments.dataset)
    rows = dataset.rows(arguments.split)[: arguments.limit or None]
    references = {row["id"]: row["captions"] for row in rows}
    batches = list(encoded(captioner, [dataset.path("picture", row) for row in rows]))
    print(f"{len(rows)} pictures of {arguments.split}, bundle {captioner.name}")
    print("beam  norm   alpha  BLEU-1  BLEU-4  CIDEr-D  different  words")
    for beam, norm, alpha in OPTIONS:
        config = SearchConfig(
            beam,
            captioner.search.max_length,
            alpha,
            norm,
            forbid_repeats=captioner.search.forbid_repeats,
            forbidden=captioner.search.forbidden,  # type: ignore[arg-type]
        )
        captions = [text for memory, state in batches for text in decode(captioner, memory, state, config)]
        scores = evaluate_captions(dict(zip(references, captions, strict=True)), references)
        print(
            f"{beam:4d}  {norm:5s}  {alpha:5.1f}  {scores.bleu_1:6.1f}  {scores.bleu_4:6.1f}  {scores.cider_d:7.1f}"
            f"  {scores.n_distinct_captions:9d}  {scores.mean_length:5.1f}",
            flush=True,
        )


def decode(captioner: OnnxCaptioner, memory: tuple, state: tuple, config: SearchConfig) -> list[str]:
    """The best caption of each encoded picture."""
    assert captioner.start is not None
    assert captioner.end is not None
    found = search(captioner._step, memory + state, captioner.start, captioner.end, config, len(memory[0]), len(memory))
    return [captioner.vocabulary.decode(hypotheses[0].ids) for hypotheses in found]


if __name__ == "__main__":
    main()
