"""The command `unblank`: finds the subcommand; `unblank.commands` has a module for each.

These modules import nothing heavy, so that `--help` answers at once; what a command calls is
imported when it runs.
"""

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TextIO

from unblank.untrusted.panics import panics_named
from unblank.version import __version__

__all__ = ["main"]


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: what it is for, and its module in `unblank.commands` by its name."""

    goal: str
    """Heading under which `--help` lists it."""
    summary: str
    trains: bool = False
    """Whether it is a long run, which handles interruption itself."""


_TRY, _TRAIN, _USE, _MEASURE, _CHANGE = (
    "Try it, and see what a model sees",
    "Train on your own text",
    "Use a model",
    "Measure",
    "Import and change models",
)

COMMANDS: dict[str, Command] = {
    "demo": Command(
        _TRY, "train a tiny GLM on this machine and fill blanks with it; no download", trains=True
    ),
    "show": Command(_TRY, "show what the model sees of a text, or of an example of a task"),
    "tokenize": Command(_TRAIN, "train a tokenizer on your text"),
    "pretrain": Command(
        _TRAIN, "pretrain a model on your text, or continue from a model", trains=True
    ),
    "finetune": Command(
        _TRAIN,
        "fine-tune a model on your own examples: text pairs, labels, cloze tasks",
        trains=True,
    ),
    "fill": Command(_USE, "fill the blanks of texts"),
    "score": Command(_USE, "score candidates for a blank"),
    "generate": Command(
        _USE, "write a target for each source (translate, summarise, answer), and score it"
    ),
    "evaluate": Command(_MEASURE, "measure a model on tasks and text; keep every prediction"),
    "compare": Command(
        _MEASURE, "pretrain variants of a model and measure them in one table", trains=True
    ),
    "bench": Command(_MEASURE, "measure speed and memory against BERT, T5 and BART"),
    "convert": Command(
        _CHANGE, "turn a published checkpoint into a model folder without pickles, or verify one"
    ),
    "merge": Command(_CHANGE, "merge a trained LoRA adapter into its base model"),
    "trim": Command(_CHANGE, "drop the tokens of a model that your text does not need"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; user errors become one message and exit status 2.

    Args:
        arguments: without the program's name; None takes `sys.argv`.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(overview())
        return
    if name in ("-V", "--version"):
        print(f"unblank {__version__}")
        return
    if name not in COMMANDS:
        _fail(f"unblank: unknown command {name!r}{_suggestion(name)}")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            with panics_named():
                _run(name, rest)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("UNBLANK_TRACEBACK") or not _is_for_the_user(error):
            raise
        _fail(f"unblank {name}: {error}")


def overview() -> str:
    """Return the text of `unblank --help`: the commands by what one wants to do."""
    width = max(map(len, COMMANDS))
    lines = ["usage: unblank COMMAND [options]", ""]
    lines += ["Blank-infilling language models: pretrain, fine-tune, fill, score, generate."]
    goal = ""
    for name, command in COMMANDS.items():
        if command.goal != goal:
            goal = command.goal
            lines += ["", goal]
        lines.append(f"  {name:<{width}}  {command.summary}")
    lines += ["", "unblank COMMAND --help explains each; UNBLANK_TRACEBACK=1 shows where an error"]
    return "\n".join(lines) + " arose."


def _is_for_the_user(error: Exception) -> bool:
    """Whether the message says all: bad input, files, a missing extra, or an error of ours."""
    is_ours = type(error).__module__.startswith("unblank.")
    return is_ours or isinstance(error, ValueError | OSError | ImportError)


def _run(name: str, words: Sequence[str]) -> None:
    """Run a command; `--help` prints and exits."""
    module: Any = import_module(f"unblank.commands.{name}")
    settings = module.parse(words)
    if not COMMANDS[name].trains:
        # What is asked to end leaves no temporary folder, as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    module.run(settings)


def _suggestion(name: str) -> str:
    near = get_close_matches(name, COMMANDS, n=1)
    return f": did you mean {near[0]!r}?" if near else ": unblank --help lists the commands"


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without the place in our source, which tells a user nothing."""
    print(f"note: {message}", file=sys.stderr)


def _fail(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)
