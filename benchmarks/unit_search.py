"""Which search suits a captioner that writes units: agreement with spoken captions for several searches.

    python benchmarks/unit_search.py work/textless/resdavenet-vq/transformer data/flickr8k \
        work/textless/resdavenet-vq/column --limit 100

Long sequences of units run into loops and miss their end, which a search can forbid: no n units twice. The pictures are
encoded once; the differences are the search's alone. "as in the bundle" is what the bundle says. Choose on dev, never
on test.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from search_options import encoded

from optophone.cli.caption_evaluation import read_units_of
from optophone.core.bundle import open_bundle
from optophone.core.search import Hypothesis, SearchConfig, search
from optophone.data.manifest import read_dataset
from optophone.data.written_captions import written_rows
from optophone.evaluation.unit_captions import unit_agreement, unit_figures
from optophone.runtime.onnx_captioner import OnnxCaptioner

OPTIONS = {
    "as in the bundle": {},
    "beam 1": {"beam_size": 1},
    "beam 5": {"beam_size": 5},
    "beam 8": {"beam_size": 8},
    "beam 10": {"beam_size": 10},
    "sampled, .5": {"method": "sample", "temperature": 0.5},
    "beam 5, no 3 twice": {"beam_size": 5, "block_ngram": 3},
    "beam 5, no 5 twice": {"beam_size": 5, "block_ngram": 5},
    "beam 5, no 8 twice": {"beam_size": 5, "block_ngram": 8},
    "beam 5, no 5, plain sum": {"beam_size": 5, "block_ngram": 5, "length_penalty": 0.0},
    "beam 5, no 5, mean": {"beam_size": 5, "block_ngram": 5, "length_penalty": 1.0, "length_norm": "power"},
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("dataset")
    parser.add_argument("units", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--limit", type=int, default=100, help="the first so many pictures; 0 for all")
    arguments = parser.parse_args()
    part = open_bundle(arguments.bundle)
    captioner = OnnxCaptioner(part)
    dataset = read_dataset(arguments.dataset)
    units = read_units_of(part, arguments.units)
    rows = written_rows(dataset, arguments.split, captioner.vocabulary.kind, units)[: arguments.limit or None]
    references = {row["id"]: row["captions"] for row in rows}
    names = list(references)
    exchanged = {name: references[names[i - 1]] for i, name in enumerate(names)}
    batches = list(encoded(captioner, [dataset.path("picture", row) for row in rows]))
    print(f"{len(rows)} pictures of {arguments.split}, bundle {captioner.name}")
    print(f"{'search':24s}  BLEU-4  shuffled  wrong units  length  loops  no end")
    for name, options in OPTIONS.items():
        config = replace(captioner.search, **options)  # type: ignore[arg-type]
        found = [best for memory, state in batches for best in searched(captioner, memory, state, config)]
        captions = {id_: captioner.vocabulary.decode(one.ids) for id_, one in zip(names, found, strict=True)}
        agreement = unit_agreement(captions, references, exchanged)
        figures = unit_figures(captions, [one.finished for one in found])
        print(
            f"{name:24s}  {agreement.bleu_4:6.1f}  {agreement.shuffled_bleu_4:8.1f}  {agreement.unit_error_rate:11.3f}"
            f"  {agreement.length_ratio:6.2f}  {figures.loop_rate:5.2f}  {figures.no_end_rate:6.2f}",
            flush=True,
        )


def searched(captioner: OnnxCaptioner, memory: tuple, state: tuple, config: SearchConfig) -> list[Hypothesis]:
    """The best sequence of each encoded picture."""
    assert captioner.start is not None
    assert captioner.end is not None
    found = search(captioner._step, memory + state, captioner.start, captioner.end, config, len(memory[0]), len(memory))
    return [hypotheses[0] for hypotheses in found]


if __name__ == "__main__":
    main()
