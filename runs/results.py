"""Write the figures of the embedded default, from the result files in docs/results, into docs/results/default.md and
between the marks in README.md. Nothing in those tables is typed by hand.

    python runs/results.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results"
MARKS = ("<!-- figures of runs/results.py -->", "<!-- end of figures -->")
PAGE = """# The embedded default

Written by `python runs/results.py` from the `default-*.json` files beside this page, which these commands made:

{commands}
    python benchmarks/main_job.py -o docs/results/default-speed.json
    python benchmarks/server.py --seconds 60 -o docs/results/server.json

{tables}

The voice's own durations are too short on texts that are new; the option `--pace` of `optophone export` lengthens them
by what `default-voice-pace.json` found on the same held-back recordings, one number.

![Reliability of the confidence](figures/reliability.svg)
![CIDEr-D when only the surest are described](figures/risk-coverage.svg)

Published beside it, on the Flickr8k **test** photographs with an ImageNet-pretrained network: soft attention,
BLEU-1 to 4 67 / 44.8 / 29.9 / 19.5 (Xu et al. 2015). Ours are dev photographs of 192 × 192 pixels, and nothing was
pretrained on more than 50,000 pictures of 64 × 64. The search (beam 5) was chosen on the same dev photographs, with
`benchmarks/search_options.py`.
"""
Row = tuple[str, str, str]


def load(name: str) -> dict[str, Any]:
    """The result file docs/results/default-NAME.json."""
    return json.loads((RESULTS / f"default-{name}.json").read_text(encoding="utf-8"))


def caption_rows(own: dict[str, Any], shuffled: dict[str, Any]) -> list[Row]:
    """Captions of the development photographs, and the control."""
    scores, control, intervals = own["scores"], shuffled["scores"], own["intervals"]
    low, high = intervals["bleu_4"]
    low_c, high_c = intervals["cider_d"]
    bleus = " / ".join(f"{scores[f'bleu_{n}']:.1f}" for n in range(1, 5))
    calibration = own["calibration"]
    return [
        ("BLEU-1 / 2 / 3 / 4", bleus, f"BLEU-4 within {low:.1f}–{high:.1f} (95 %); aim: 17"),
        (
            "METEOR, ROUGE-L",
            f"{scores['meteor']:.1f}, {scores['rouge_l']:.1f}",
            "SPICE not measured: its parser is not here",
        ),
        ("CIDEr-D × 100", f"{scores['cider_d']:.1f}", f"within {low_c:.1f}–{high_c:.1f} (95 %)"),
        ("BLEU-4, CIDEr-D, pictures shuffled", f"{control['bleu_4']:.1f}, {control['cider_d']:.1f}", "control"),
        (
            "different captions",
            str(scores["n_distinct_captions"]),
            f"on {scores['n_pictures']} photographs; aim: over 300",
        ),
        (
            "confidence off by",
            f"{100 * calibration['expected_calibration_error']:.1f} points",
            "expected calibration error, fitted on nine tenths, measured on the tenth",
        ),
    ]


def doubt_rows(doubt: dict[str, Any]) -> list[Row]:
    """What it says where it should not say much."""
    scores = doubt["scores"]
    low, high = scores["photographs_refused_interval"]
    unseen = f"of kinds never shown {100 * scores['unseen_families_refused']:.1f} %"
    return [
        (
            "photographs told from drawn pictures",
            f"{scores['auc']:.3f}",
            f"area under the curve; kinds never shown {scores['auc_unseen_families']:.3f}; aim: .95",
        ),
        (
            "drawn pictures refused",
            f"{100 * scores['others_refused']:.1f} %",
            f"of {doubt['non_photographs']['pictures']}; {unseen}",
        ),
        (
            "photographs refused by mistake",
            f"{100 * scores['photographs_refused']:.1f} %",
            f"within {100 * low:.1f}–{100 * high:.1f} (95 %)",
        ),
        (
            "CIDEr-D × 100 of the surer half",
            f"{scores['cider_d_surer_half']:.1f}",
            f"of all {scores['cider_d']:.1f}",
        ),
    ]


def voice_rows(voice: dict[str, Any], beside_people: dict[str, Any]) -> list[Row]:
    """What an independent recogniser hears of captions, and of texts that the person reads in held-back recordings."""
    words, read = voice["hearings"][0], beside_people["hearings"][0]
    low, high = words["ratio_interval"]
    return [
        ("word error rate, our voice", f"{words['voice']:.3f}", "pocketsphinx, closed vocabulary, no word order"),
        ("word error rate, espeak-ng", f"{words['reference']:.3f}", f"through our vocoder {words['copied']:.3f}"),
        ("ratio of the two", f"{words['ratio']:.2f}", f"within {low:.2f}–{high:.2f}; aim: 1.5"),
        ("cut off before the end", str(voice["scores"]["stop_failures"]), f"of {voice['data']['rows']}"),
        (
            "word error rate, texts of held-back recordings",
            f"{read['voice']:.3f}",
            f"the recordings themselves {read['reference']:.3f}; ratio {read['ratio']:.2f}, within "
            f"{read['ratio_interval'][0]:.2f}–{read['ratio_interval'][1]:.2f}; aim: 1.3",
        ),
        (
            "durations within 25 % of the recordings'",
            f"{100 * beside_people['durations']['within_25_percent']:.0f} %",
            f"aim: 95 %; median {beside_people['durations']['median']:.2f}",
        ),
    ]


def speed_rows(speed: dict[str, Any]) -> list[Row]:
    """What the benchmark measured."""
    ours, command, torch = speed["runtime"], speed["command"], speed.get("torch_eager")
    beside = f"torch eager {torch['whole_wave_s']:.2f} s" if torch else ""
    return [
        ("photo → first sound, loaded", f"{ours['first_sound_s']:.2f} s", "limit: 1 s"),
        ("photo → whole wave, loaded", f"{ours['whole_wave_s']:.2f} s", beside),
        ("real-time factor", f"{ours['real_time_factor']:.3f}", ""),
        ("`optophone speak photo.jpg`, cold", f"{command['cold_speak']['median_s']:.2f} s", "limit: 3 s"),
        ("its peak memory", f"{command['cold_speak_peak_memory_mb']:.0f} MB", "limit: 300 MB"),
        ("`optophone --help`", f"{command['help']['median_s']:.3f} s", "limit: .2 s"),
    ]


def server_rows(server: dict[str, Any]) -> list[Row]:
    """What clients of the server saw."""
    several, single = server["several"], server["one_at_a_time"]
    load = several["load"]
    refused = sum(count for status, count in load["statuses"].items() if status != "200")
    return [
        (
            "first byte of the sound, one client",
            f"{several['one_client']['first_byte']['p50_s']:.2f} s",
            "warm; limit: .3 s",
        ),
        (
            f"answers a second, {server['clients']} clients at once for {load['seconds']:.0f} s",
            f"{load['answered_per_s']:.1f}",
            f"one request at a time: {single['load']['answered_per_s']:.1f}; not answered: {refused}",
        ),
        ("whole sound, p95", f"{load['whole']['p95_s']:.2f} s", f"median {load['whole']['p50_s']:.2f} s"),
        ("peak memory", f"{several['memory']['peak_mb']:.0f} MB", "limit: 400 MB"),
    ]


def table(heading: str, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [f"| {heading} | | |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    return "\n".join(lines)


def machine_line(machine: dict[str, Any]) -> str:
    """Where figures were taken."""
    instructions = f" ({machine['instructions']})" if machine.get("instructions") else ""
    return f"{machine['processor']}{instructions}, {machine['threads']} of {machine['cores']} threads"


def main() -> None:
    """Write both files."""
    own, shuffled, doubt = (load(name) for name in ("captions", "captions-shuffled", "doubt"))
    voice, beside_people, speed = load("voice"), load("voice-recordings"), load("speed")
    server = json.loads((RESULTS / "server.json").read_text(encoding="utf-8"))
    tables = "\n\n".join(
        (
            table(
                f"Captions: Flickr8k dev, {own['data']['rows']} photographs, the shipped bundle",
                caption_rows(own, shuffled),
            ),
            table("Doubt: the same photographs, and pictures drawn by a program", doubt_rows(doubt)),
            table(f"Voice: {voice['data']['rows']} captions of Flickr8k dev", voice_rows(voice, beside_people)),
            table(f"Speed: {machine_line(speed['machine'])}", speed_rows(speed)),
            table(f"`optophone serve`: {machine_line(server['machine'])}", server_rows(server)),
        )
    )
    paced = load("voice-pace")
    measured = (own, shuffled, doubt, paced, voice, beside_people)
    commands = "\n".join(f"    {result['command']}" for result in measured)
    page = PAGE.format(commands=commands, tables=tables)
    (RESULTS / "default.md").write_text(page, encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = readme.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    (ROOT / "README.md").write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
