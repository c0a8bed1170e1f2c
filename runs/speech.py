"""Write docs/results/speech.md from the result files in docs/results/speech. Nothing in its tables is typed.

python runs/speech.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results/speech"
PAGE = ROOT / "docs/results/speech.md"
MARKS = ("<!-- tables of runs/speech.py -->", "<!-- end of tables -->")
COPIES = {"griffin-lim": "Griffin-Lim", "vocos": "Vocos", "waveglow-small": "WaveGlow, small"}
VOICES = {
    "voice-tacotron2": "Tacotron 2, Griffin-Lim",
    "voice-parallel": "parallel, Griffin-Lim",
    "voice-letters": "parallel, against judges, Griffin-Lim",
    "voice": "parallel, in phones of a dictionary, against judges (the default), Griffin-Lim",
    "voice-vocos": "the same, Vocos",
}
RUNS = {"vocos": "vocoder-ljspeech-vocos", "waveglow-small": "vocoder-ljspeech-waveglow-small"}


def load(name: str) -> dict[str, Any] | None:
    """The result file NAME.json, where it is."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def copies_table() -> list[str]:
    """Recordings by way of their mel and back."""
    headings = (
        "vocoder",
        "PESQ",
        "STOI",
        "MCD dB",
        "LSD dB",
        "F0 cents",
        "voicing error",
        "word errors",
        "hours",
        "RTF",
    )
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    training, speed = load("training") or {}, load("speed") or {"vocoders": {}}
    for name, label in COPIES.items():
        result = load(f"copy-{name}")
        if result is None:
            continue
        scores, heard = result["scores"], result["recognizer"]
        hours = training.get(RUNS.get(name, ""), {}).get("hours")
        factor = next((v["real_time_factor"] for k, v in speed["vocoders"].items() if k.startswith(name)), None)
        keys = (
            "pesq",
            "stoi",
            "mel_cepstral_distortion",
            "log_spectral_distance",
            "pitch_error_cents",
            "voicing_error",
        )
        cells = [number(scores[key], 3 if key in ("stoi", "voicing_error") else 2) for key in keys]
        cells += [number(heard["made"]["word"] if heard else None, 3), number(hours, 1), number(factor, 3)]
        lines.append("| " + " | ".join((label, *cells)) + " |")
    recorded = next(
        (r["recognizer"] for r in map(load, (f"copy-{name}" for name in COPIES)) if r and r["recognizer"]), None
    )
    if recorded:
        lines.append(f"| the recordings | | | | | | | {recorded['recorded']['word']:.3f} | | |")
    return lines


def voices_table() -> list[str]:
    """Texts of held-back recordings, and unseen sentences."""
    headings = (
        "the voice",
        "MCD dB",
        "F0 cents",
        "duration",
        "word errors",
        "of the recordings",
        "ratio",
        "unseen: word errors",
    )
    headings += ("pieces", "second tries", "stop failures", "skips", "repeats")
    if not any(map(load, VOICES)):
        return []
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for name, label in VOICES.items():
        result = load(name)
        if result is None:
            continue
        scores, heard, attention = result["scores"], result["recognizer"], result["attention"]
        made, recorded = heard["made"]["word"], heard["recorded"]["word"]
        cells = [number(scores[key], 2) for key in ("mel_cepstral_distortion", "pitch_error_cents", "duration_ratio")]
        cells += [f"{made:.3f}", f"{recorded:.3f}", f"{made / recorded:.2f}", number(heard["hard"]["word"], 3)]
        faults = ("n_utterances", "spoken_again", "stop_failures", "skips", "repeats")
        cells += [str(attention[key]) for key in faults]
        lines.append("| " + " | ".join((label, *cells)) + " |")
    return lines


def curves_table() -> list[str]:
    """How the trainings went."""
    lines = []
    for run, facts in (load("training") or {}).items():
        points = facts["curve"]
        chosen = [points[round(i * (len(points) - 1) / 5)] for i in range(6)] if len(points) > 6 else points
        curve = ", ".join(f"{value:.3g} at step {step}" for step, value in chosen)
        lines.append(f"- `{run}`, {facts['hours']} h: {facts['measure']} {curve}.")
    return lines


def main() -> None:
    """Put the tables between the marks of the page."""
    chosen = (copies_table(), voices_table(), curves_table())
    tables = "\n\n".join("\n".join(table) for table in chosen if table)
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
