"""The command `optophone`: finds the subcommand, and turns errors into one line and an exit status.

Status 0: all went well. 2: something the user can mend, said in one line. 130: stopped with Ctrl-C. 141: whoever read
our output went away.
"""

import errno
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click

import optophone
from optophone.cli.interrupts import noticed_interrupts
from optophone.core.errors import OptophoneError

# Name: group of the help page, and what it does. Each command is the function of that name in the module of that name
# beside this one; the module is imported when the command is called, so that the help page needs neither NumPy nor
# PyTorch.
COMMANDS = {
    "speak": ("Use", "Describe photos aloud: a sound file for each."),
    "caption": ("Use", "Describe photos in words only."),
    "say": ("Use", "Speak a text with the voice alone."),
    "serve": ("Use", "A page for the browser, and answers for programs."),
    "features": ("Use", "Find objects in photos: region features for the captioners that read these."),
    "units": ("Use", "Write speech down in units, without any text."),
    "bulk": ("Use", "Work through shards of pictures or sounds, on one machine or many."),
    "models": ("Use", "List the models that are there, with size and figures."),
    "prepare": ("Make", "Turn a data set into manifests to train on."),
    "train": ("Make", "Train a part from a YAML configuration; resumes by itself."),
    "import": ("Make", "Turn a public checkpoint into a bundle to use."),
    "export": ("Make", "Turn a training run into a bundle to use and share."),
    "evaluate": ("Make", "Score captions or speech, with a report."),
}
# The commands whose names Python keeps for itself: module and function.
RENAMED = {"import": "import_checkpoint"}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
EXTRAS = {
    "train": ("torch", "lightning", "tensorboard", "matplotlib", "onnx", "onnxscript", "yaml", "safetensors", "tqdm"),
    "voices": ("espeakng_loader",),
    "serve": ("fastapi", "uvicorn", "multipart", "python_multipart"),
    "eval": ("jiwer", "pesq", "pocketsphinx", "pycocoevalcap", "pystoi"),
    "play": ("sounddevice",),
    "camera": ("cv2",),
    "ray": ("ray",),
    "adapters": ("transformers",),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; the help page is made from `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        name = RENAMED.get(cmd_name, cmd_name)
        return getattr(importlib.import_module(f"optophone.cli.{name}"), name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output who goes away ends it quietly, here before click makes that a 1."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # Python flushes stdout once more at exit, and would complain there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names with their one-line help, without importing any of them."""
        for heading in dict.fromkeys(group for group, _ in COMMANDS.values()):
            rows = [(name, text) for name, (group, text) in COMMANDS.items() if group == heading]
            with formatter.section(heading):
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(optophone.__version__, "--version", prog_name="optophone")
def cli() -> None:
    """Look at a photo and speak what is in it, offline.

    \b
    Examples:
      optophone speak photo.jpg              say it: prints the words, writes photo.wav
      optophone speak *.jpg -o spoken/       many photos, a sound file for each
      optophone speak photo.jpg -o - | aplay listen while it is being spoken
      optophone caption photo.jpg --json     the words only, for a program to read
      optophone say "Hello there." -o hello.wav

    `optophone COMMAND --help` says more about each.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit status."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors become one line on stderr."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it complains of a home that cannot be written to
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # each photo's own, not only the first's
        warnings.showwarning = _show_warning
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with noticed_interrupts():
            status = cli.main(args=arguments, prog_name="optophone", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except OptophoneError as error:
        return _fail(str(error))
    except click.ClickException as error:
        error.show()
        return 2
    except ModuleNotFoundError as error:
        return _fail(_missing_extra(error))
    except OSError as error:
        return _fail(_unwritable(error))
    except (KeyboardInterrupt, click.Abort):
        return 130


def _fail(message: str) -> int:
    one_line = " ".join(message.encode("utf-8", "replace").decode("utf-8").split())
    click.echo(f"optophone: {one_line}", err=True)
    return 2


def _unwritable(error: OSError) -> str:
    """What to do about a disk that is full or may not be written to; other errors are faults of ours, raised again."""
    if isinstance(error, FileNotFoundError) and "temporary directory" in (error.strerror or str(error)):
        return "no folder for temporary files can be written to; name one in TMPDIR, and run it again"
    if error.errno not in _DISK_ERRORS:
        raise error
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    reason = (error.strerror or "cannot be written").lower()
    return f"{place}{reason}; make room or choose another place, and run it again"


def _missing_extra(error: ModuleNotFoundError) -> str:
    """How to install what an optional command needs; other missing modules are faults of ours and raised again."""
    missing = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if missing in modules:
            return f"this needs the package {missing!r}, which is not installed: pip install 'optophone[{extra}]'"
    raise error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings for the user in one line; those for programmers are left to tests and `python -W`."""
    if category.__module__.partition(".")[0] == "optophone":
        click.echo(f"optophone: warning: {message}", err=True)


if __name__ == "__main__":
    main()
