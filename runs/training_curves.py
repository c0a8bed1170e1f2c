"""Write how long runs took and how a measure of theirs went down, from what they logged.

    python runs/training_curves.py OUTPUT.json RUN:MEASURE...

for instance `work/vocoder-ljspeech-vocos:mel_distance`. Hours are the sum of the times between logged steps, without
the pauses between two parts of a run that was stopped and resumed.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from optophone.core.whole_file import write_whole

LONGEST_STEP_S = 600.0  # a longer time between two logged steps was a pause


def summary(run: Path, measure: str) -> dict[str, Any]:
    """Steps, hours and the curve of `measure` of the run in the folder `run`."""
    events = EventAccumulator(str(run / "curves"), size_guidance={"scalars": 0})
    events.Reload()
    times = sorted(event.wall_time for tag in events.Tags()["scalars"] for event in events.Scalars(tag))
    seconds = sum(gap for gap in (b - a for a, b in pairwise(times)) if gap < LONGEST_STEP_S)
    curve = {event.step + 1: round(event.value, 4) for event in events.Scalars(f"dev/{measure}")}
    return {"hours": round(seconds / 3600, 2), "steps": max(curve), "measure": measure, "curve": sorted(curve.items())}


def main() -> None:
    """Read every run, write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", nargs="+", metavar="RUN:MEASURE")
    options = parser.parse_args()
    found = {}
    for item in options.runs:
        run, _, measure = item.rpartition(":")
        found[Path(run).name] = summary(Path(run), measure)
    write_whole(options.output, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
