"""The command `unblank`: finds the subcommand; `unblank.commands` has a module for each.

These modules import nothing heavy, so that `--help` answers at once; what a command calls is
imported when it runs.
"""

import errno
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

from unblank.disk_errors import write_failure
from unblank.interruption import REQUESTS, leave, raise_on_signals, received_signal
from unblank.process import is_main_process
from unblank.supervision import supervise
from unblank.terminal_text import print_message, printable_line
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
    """Whether it is a run that the same command continues."""


_TURN = 5.0
"""Seconds in which the first process of a run says what is wrong."""

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
    "recipes": Command(_TRAIN, "list the recipes that come with the library, or show one"),
    "tokenize": Command(_TRAIN, "train a tokenizer on your text"),
    "prepare": Command(_TRAIN, "tokenize the text of a pretraining run beforehand", trains=True),
    "pretrain": Command(
        _TRAIN, "pretrain a model on your text, or continue from a model", trains=True
    ),
    "finetune": Command(
        _TRAIN,
        "fine-tune a model on your own examples: text pairs, tasks with labels, questions",
        trains=True,
    ),
    "info": Command(_USE, "say what a folder holds, and how far a run is"),
    "fill": Command(_USE, "fill the blanks of texts"),
    "score": Command(_USE, "score candidates for a blank"),
    "index": Command(_USE, "make an index of your texts, whose passages help to fill and score"),
    "predict": Command(_USE, "predict the labels of every record of a file"),
    "generate": Command(
        _USE, "write a target for each source (translate, summarise, answer), and score it"
    ),
    "serve": Command(_USE, "answer over HTTP: fill, score, generate, OpenAI's completions"),
    "calibrate": Command(_MEASURE, "learn how sure a model may be, from answers that are known"),
    "evaluate": Command(_MEASURE, "measure a model on tasks and text; keep every prediction"),
    "align": Command(_MEASURE, "measure how alike the states of translations are, and draw them"),
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


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of writing alone; those on files of ours say which (`unblank.disk_errors`)."""
_REASONS = {
    errno.EEXIST: "it is a file, and a folder is needed there: give another path",
    errno.ENOTDIR: "a file stands where a folder is needed: give another path",
    errno.EACCES: "you have no permission for it: change that, or give another path",
    errno.ELOOP: "it is a link that leads back to itself: give what it should lead to",
    errno.EIO: "the disk fails: give a path on another one",
}
"""What to say instead of the system's few words."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; user errors become one message and exit status 2.

    Args:
        arguments: without the program's name; None takes `sys.argv`.
    """
    _open_closed_streams()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if arguments is None and words[0] in COMMANDS:
        supervise(partial(_say_ended, words[0]))
    try:
        end = _end_of(words)
        _flush()
    except BrokenPipeError:
        _end_on_closed_pipe()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich makes this of it
            _end_on_closed_pipe()
        raise
    except OSError as error:
        _fail(f"unblank: the output cannot be written: {error.strerror}")
    if end is not None:
        raise end


def _end_of(words: Sequence[str]) -> SystemExit | None:
    """Do what the words say, and return what ended it, if all was right; None for nothing."""
    try:
        _dispatch(*words)
    except SystemExit as end:
        if end.code:
            raise
        return end  # of --help and --print-recipe, whose text may not be written yet
    return None


def _open_closed_streams() -> None:
    """Open the null device in place of a standard stream that is closed.

    Python has None in its place, and the next file that is opened would get its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the first number that is free
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _dispatch(name: str, *words: str) -> None:
    """Do what the first word says."""
    if name in ("-h", "--help", "help"):
        print(_overview())
        return
    if name in ("-V", "--version"):
        print(f"unblank {__version__}")
        return
    if name not in COMMANDS:
        _fail(f"unblank: unknown command {name!r}{_suggestion(name)}")
    try:
        with warnings.catch_warnings(), raise_on_signals():
            warnings.showwarning = _note
            with panics_named():
                _run(name, words)
    except KeyboardInterrupt as interrupt:
        _leave(name, getattr(interrupt, "number", signal.SIGINT), str(interrupt))
    except BrokenPipeError:
        raise
    except Exception as error:
        if (number := received_signal()) is not None:  # a library made an error of its own of it
            _leave(name, number)
        if _is_out_of_memory(error) and not os.environ.get("UNBLANK_TRACEBACK"):
            _fail(f"unblank {name}: memory ran out: {_memory_advice(name)}")
        if os.environ.get("UNBLANK_TRACEBACK") or not _is_for_the_user(error):
            raise
        _let_rank_0_report_first()
        # Of several processes that fail together, one says why.
        message = _with_names_in_one_line(_said_by(error), words)
        _fail(f"unblank {name}: {message}" if message else "")


def _said_by(error: Exception) -> str:
    """Return an error's message; of one of the system, what it is about without its number."""
    if type(error) is OSError and error.errno in _FULL and error.filename is None:
        return f"the output cannot be written: {error.strerror}"
    if isinstance(error, OSError) and error.filename is not None and "[Errno" in str(error):
        place, number = os.fsdecode(error.filename), error.errno or 0
        if number in (*_FULL, errno.EROFS):
            return str(write_failure(number, Path(place)))
        return f"cannot use {place}: {_REASONS.get(number, error.strerror)}"
    return str(error)


def _with_names_in_one_line(message: str, words: Sequence[str]) -> str:
    """Return a message in which a name from the command line that has line ends is in one line."""
    for word in words:
        if word.strip() and len(word.splitlines()) > 1:
            message = message.replace(word, printable_line(word))
    return message


def _let_rank_0_report_first() -> None:
    """Wait a moment in the other processes of a run: what all find wrong, the first says alone.

    When it has ended, whoever started them ends the others; one that fails alone speaks after that.
    """
    if not is_main_process():
        time.sleep(_TURN)


def _overview() -> str:
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


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the CPU or a GPU; torch has no class of its own for the CPU."""
    named = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or named


def _memory_advice(name: str) -> str:
    if not COMMANDS[name].trains:
        return "give shorter texts, fewer at once, or a smaller model"
    return (
        "lower train.micro_batch_size (text pairs: train.micro_batch_tokens), set "
        "model.activation_checkpointing, or give shorter rows (data.max_length; text pairs: "
        "seq2seq.max_source_length and seq2seq.max_target_length)"
    )


def _run(name: str, words: Sequence[str]) -> None:
    """Run a command; `--help` prints and exits."""
    module: Any = import_module(f"unblank.commands.{name}")
    module.run(module.parse(words))


def _say_ended(name: str, number: int, message: str = "") -> None:
    """Say which signal ended a command; a run in several processes gives one of them a message."""
    signal_name = signal.Signals(number).name
    if number in REQUESTS:
        advice = "; run the same command again to continue" if COMMANDS[name].trains else ""
        said = message or f"stopped by {signal_name}{advice}"
    elif number == signal.SIGKILL:
        said = "ended by the system (SIGKILL), as it does when memory runs out: "
        said += _memory_advice(name)
    else:
        said = f"a library failed ({signal_name}): a file may be damaged, or memory ran out"
    if is_main_process():
        with suppress(OSError):
            print_message(f"unblank {name}: {said}")


def _leave(name: str, number: int, message: str = "") -> NoReturn:
    _say_ended(name, number, message)
    _flush()
    leave(128 + number)


def _flush() -> None:
    """Write out what was printed; OSError if that cannot be."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()


def _end_on_closed_pipe() -> NoReturn:
    """End as if SIGPIPE had done it: nobody reads what is printed any more."""
    _drop_output()
    sys.exit(141)


def _drop_output() -> None:
    """Let what is still to be printed vanish, else Python complains about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError):
            stream.flush()
            continue
        os.dup2(nowhere, stream.fileno())


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
    """Print a warning, once a run, without the place in our source, which tells a user nothing."""
    if is_main_process():
        print_message(f"note: {message}")


def _fail(message: str) -> NoReturn:
    if sys.stderr is not None and message:
        with suppress(OSError):  # the status says that it failed
            print_message(message)
    _drop_output()
    if os.environ.get("RANK"):  # the others wait for this end
        leave(2)
    sys.exit(2)
