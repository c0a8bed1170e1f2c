"""Write sentences that no voice was trained on: captions of Flickr8k dev, and prose of LibriSpeech.

    python runs/unseen_sentences.py work/unseen-sentences.txt [--captions data/flickr8k] [--prose data/librispeech]

For `optophone evaluate speech --sentences`. Half are captions, half prose of 5 to 25 words; which ones, the seed says.
"""

import argparse
from pathlib import Path

import numpy as np

from optophone.data.manifest import read_dataset


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--captions", default="data/flickr8k", help="a prepared data set of captioned pictures")
    parser.add_argument("--prose", default="data/librispeech", help="a prepared data set of speech")
    parser.add_argument("-n", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    captions = [caption for row in read_dataset(options.captions).rows("dev") for caption in row["captions"]]
    spoken = read_dataset(options.prose)  # no voice of ours learns from it
    prose = [row["text"] for split in sorted(spoken.splits) for row in spoken.rows(split)]
    prose = [text for text in prose if 5 <= len(text.split()) <= 25]
    generator = np.random.default_rng(options.seed)
    lines = [*_draw(captions, options.n // 2, generator), *_draw(prose, options.n - options.n // 2, generator)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw(texts: list[str], n: int, generator: np.random.Generator) -> list[str]:
    if n > len(texts):
        raise SystemExit(f"{n} sentences are wanted, but there are {len(texts)}.")
    return [texts[i] for i in sorted(generator.choice(len(texts), n, replace=False))]


if __name__ == "__main__":
    main()
