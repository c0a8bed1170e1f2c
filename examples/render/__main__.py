"""Command line: python -m examples.render [--out FOLDER] [--width PIXELS]."""

import argparse
from pathlib import Path

from . import beach, lawn, snow

SCENES = {"beach": beach.render, "lawn": lawn.render, "snow": snow.render}
SEED = 1913


def main() -> None:
    """Render every scene and write it as FOLDER/<scene>.jpg."""
    parser = argparse.ArgumentParser(prog="python -m examples.render", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1], help="folder for the pictures")
    parser.add_argument("--width", type=int, default=640, help="width in pixels; the height is 3/4 of it")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, render in SCENES.items():
        path = arguments.out / f"{name}.jpg"
        render(arguments.width, SEED).save(path, quality=88)
        print(path)


if __name__ == "__main__":
    main()
