"""The command `unblank`: each subcommand parses one settings dataclass and calls one function.

Settings modules import nothing heavy, so that `--help` answers at once; the function is imported
when it is called.
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

from unblank import __version__

__all__ = ["main"]


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand; its settings and its `run` are in the module of its name in `commands`."""

    summary: str
    settings: str = ""
    """Name of the dataclass of its settings; without one the module has a function `parse`."""
    trains: bool = False
    """Arrange this process's memory before torch is loaded."""


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "train a tiny GLM on this machine and fill blanks with it; no download, no argument",
        "DemoSettings",
        trains=True,
    ),
    "tokenize": Command(
        "train a tokenizer on your text",
        "TokenizeSettings",
    ),
    "pretrain": Command(
        "pretrain a GLM on your text, or continue from a model",
        trains=True,
    ),
    "finetune": Command(
        "fine-tune a model on your own examples: pairs of texts, labels, cloze tasks",
        trains=True,
    ),
    "merge": Command(
        "add trained LoRA adapters to their base model, as a plain model folder",
        "MergeSettings",
    ),
    "show": Command(
        "show what the model really sees of a text, or of a task's example",
    ),
    "fill": Command(
        "fill the blanks of texts",
        "FillSettings",
    ),
    "generate": Command(
        "write answers to sources: translate, summarise, ask; and score them",
        "GenerateSettings",
    ),
    "score": Command(
        "score candidates for a blank",
        "ScoreSettings",
    ),
    "trim": Command(
        "drop the tokens that your text does not need from a model",
        "TrimSettings",
    ),
    "evaluate": Command(
        "measure a model on tasks and text: a table, and every prediction as JSON",
    ),
    "convert": Command(
        "turn a published checkpoint into a safe model folder, or verify one",
    ),
    "compare": Command(
        "pretrain variants of a model side by side, measure each: one table",
        "CompareSettings",
        trains=True,
    ),
    "bench": Command(
        "measure speed and memory beside the peers",
        "BenchSettings",
    ),
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
        _fail(f"unknown command {name!r}{_suggestion(name)}\n\n{overview()}")
    command = COMMANDS[name]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            _run(name, command, _parse(name, command, rest))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("UNBLANK_TRACEBACK") or not _is_for_the_user(error):
            raise
        _fail(f"{error}\n(UNBLANK_TRACEBACK=1 shows where)")


def overview() -> str:
    """Return the text of `unblank --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unblank <command> [options]      (unblank <command> --help teaches each)",
            "",
            "Blank-infilling language models: pretrain, fill, score.",
            "",
            *lines,
        ]
    )


def _is_for_the_user(error: Exception) -> bool:
    """Whether the message says all: bad input, files, a missing extra, or an error of ours."""
    is_ours = type(error).__module__.startswith("unblank.")
    return is_ours or isinstance(error, ValueError | OSError | ImportError)


def _run(name: str, command: Command, settings: Any) -> None:
    if not command.trains:
        # What is asked to end leaves no temporary folder, as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _module(name).run(settings)
        return
    from unblank.process import arrange_memory

    memory = arrange_memory(getattr(settings, "train", settings).arrange_memory)
    _module(name).run(settings, memory=memory)


def _parse(name: str, command: Command, arguments: list[str]) -> Any:
    """Return the settings; with `--help` or a wrong option the parser prints and exits."""
    if not command.settings:
        return _module(name).parse(arguments)
    settings = getattr(_module(name), command.settings)
    import tyro

    return tyro.cli(
        settings,
        prog=f"unblank {name}",
        description=settings.__doc__,
        args=arguments,
        config=(tyro.conf.PositionalRequiredArgs,),
    )


def _module(name: str) -> Any:
    return import_module(f"unblank.commands.{name}")


def _suggestion(name: str) -> str:
    near = get_close_matches(name, COMMANDS, n=1)
    return f": did you mean {near[0]!r}?" if near else ""


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
    print(f"unblank: {message}", file=sys.stderr)
    sys.exit(2)
