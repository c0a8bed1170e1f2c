"""Every `optophone ...` command that the documents and the run scripts show is one that the program takes."""

import json
import re
import shlex
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import click
import pytest

from optophone.cli.main import COMMANDS, cli
from optophone.core.configuration import to_mapping
from optophone.core.errors import OptophoneError
from optophone.training.configuration_file import read_configuration
from optophone.training.run import build_experiment

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "runs/README.md", ROOT / "CONTRIBUTING.md"]
SCRIPTS = sorted((ROOT / "runs").glob("*.sh"))
_FENCE = re.compile(r"^ *(`{3,}|~{3,})(\w*)")
_INLINE = re.compile(r"`([^`]+)`")
_OPERATORS = set("();<>|&")
_PLACEHOLDER = re.compile(r"[A-Z_.]+|.*\$.*|\.\.\.|…|.*<.*")


def shown_in(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and words of each command in a document or script, `optophone` left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in _script_lines(lines) if path.suffix == ".sh" else _document_lines(lines):
        for words in _simple_commands(line):
            yield number, words


def _script_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines with their continuations."""
    joined, first = "", 0
    for number, line in enumerate(lines, start=1):
        first = first if joined else number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        yield first, joined + line
        joined = ""


def _document_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines of code blocks that are no Python, and code within lines of text."""
    language, blocks = None, []
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if fence:
            language = None if language is not None else fence[2]
        elif language is not None or line.startswith("    "):
            blocks.append((number, "" if language == "python" else line))
        else:
            blocks.append((number, ""))
            yield from ((number, code) for code in _INLINE.findall(line) if " " in code)
    yield from _script_lines([line for _, line in blocks])


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The words of every `optophone` command in a line of shell."""
    if "optophone " not in line:
        return
    lexer = shlex.shlex(line.replace("[", " ").replace("]", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # text with an apostrophe, no command
        return
    command: list[str] | None = None
    begins = True
    for word in [*words, ";"]:
        if set(word) <= _OPERATORS:
            if command is not None:
                yield command
            command, begins = None, not set(word) & set("<>")
        elif command is not None:
            command.append(word)
        elif begins and (word == "optophone" or word.endswith("/optophone")):
            command = []
        else:
            begins = begins and (word in ("$", "do", "then", "time", "exec", "if", "!") or "=" in word)


SHOWN = [
    pytest.param(words, id=f"{path.relative_to(ROOT)}:{number}")
    for path in [*DOCUMENTS, *SCRIPTS]
    for number, words in shown_in(path)
]


def check(words: list[str]) -> None:
    """Fail where the program would not understand `words`; placeholders such as DATASET or $OUT stand for anything."""
    command: click.Command = cli
    context = click.Context(cli, info_name="optophone")
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        if rest[0].startswith("-") or _PLACEHOLDER.fullmatch(rest[0]):
            break
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {rest[0]!r}"
        context = click.Context(found, parent=context, info_name=rest[0], **found.context_settings)
        command, rest = found, rest[1:]
    values, extra, _ = command.make_parser(context).parse_args([word for word in rest if word != "..."])
    if command.name == "train":
        check_training(values.get("config"), extra)
    elif not isinstance(command, click.Group):
        assert extra == [], f"too many arguments: {extra}"
    for parameter in command.params:
        check_values(context, parameter, values.get(parameter.name or ""))


def check_values(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Numbers and choices are such; files are not looked for."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, str) and not _PLACEHOLDER.fullmatch(one) and not isinstance(parameter.type, click.Path):
            parameter.type.convert(one, parameter, context)


def check_training(config: object, options: list[str]) -> None:
    """The configuration exists and knows the options; what stands for any value keeps the one that is there."""
    if not isinstance(config, str) or not config.startswith("configs/") or _PLACEHOLDER.fullmatch(config):
        return
    text = " ".join(option.replace("=", " ", 1) for option in options).split()
    written = to_mapping(build_experiment(read_configuration(ROOT / config), config)[0])
    pairs = [(key.removeprefix("--"), value) for key, value in zip(text[::2], text[1::2], strict=True)]
    for i, (key, value) in enumerate(pairs):
        if _PLACEHOLDER.fullmatch(value):
            kept = reduce(lambda options, name: options[name], key.split("."), written)
            pairs[i] = (key, json.dumps(kept))
    build_experiment(read_configuration(ROOT / config, pairs), config)


@pytest.mark.parametrize("words", SHOWN)
def test_a_command_that_is_shown_parses(words: list[str]) -> None:
    try:
        check(words)
    except click.ClickException as error:
        pytest.fail(f"optophone {shlex.join(words)}: {error.format_message()}")


def test_the_readme_shows_how_to_start() -> None:
    text = README.read_text(encoding="utf-8")
    assert "make speak" in text
    assert "make test" in text
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+) *(?:[A-Z]+=|$|#|`)", text, re.MULTILINE)) <= targets


def test_the_readme_shows_the_main_commands() -> None:
    assert {"speak", "caption", "say", "train"} <= {words[0] for _, words in shown_in(README) if words}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_the_help_page_is_there(name: str) -> None:
    assert cli.get_command(click.Context(cli), name) is not None


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (ROOT / target).exists(), target


# ---------------------------------------------------------------------------------------------------------------------
# The reader above, on lines whose commands are known.


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("optophone speak a.jpg -o - | aplay -r 1  # optophone nothing", [["speak", "a.jpg", "-o", "-"]]),
        ('A=1 .venv/bin/optophone say "hello you" > x.txt', [["say", "hello you"]]),
        ("$ optophone models && optophone caption *.jpg; ls", [["models"], ["caption", "*.jpg"]]),
        ("for p in *.jpg; do optophone speak $p; done", [["speak", "$p"]]),
        ("optophone prepare A B [--size 192]", [["prepare", "A", "B", "--size", "192"]]),
        ("echo optophone speak", []),
        ("the program optophone speaks", []),
        ("from optophone import load", []),
    ],
)
def test_commands_are_found(line: str, commands: list[list[str]]) -> None:
    assert list(_simple_commands(line)) == commands


def test_blocks_and_inline_code_are_read_and_python_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text(
        "Run `optophone models -x`, or `optophone`.\n\n    optophone say a \\\n      -o b.wav\n"
        "```python\noptophone speak = 1\n```\n```bash\noptophone caption c\n```\n"
    )
    assert [words for _, words in shown_in(path)] == [["models", "-x"], ["say", "a", "-o", "b.wav"], ["caption", "c"]]


@pytest.mark.parametrize(
    "line",
    [
        "speek a.jpg",
        "speak a.jpg --loud",
        "speak a.jpg --variants many",
        "speak a.jpg --format avi",
        "speak a.jpg -o",
        "train configs/encoder/tiny-imagenet.yaml --trainer.max_step 3",
        "train configs/missing.yaml",
        "prepare imagenet A B",
        "--verbose",
    ],
)
def test_mistakes_are_noticed(line: str) -> None:
    with pytest.raises((click.ClickException, OptophoneError, AssertionError)):
        check(shlex.split(line))
