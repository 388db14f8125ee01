"""Processes that start at once.

They are copies of a process that has imported torch and the library already, which takes seconds,
and has done nothing else. As in the other tests, their runs draw no loss curves, which takes longer
than they train.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

IMPORTED = ("torch", "transformers", "unblank.pretraining.run", "unblank.finetuning.run")


def start_command(
    words: Sequence[str], printed: Path, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """Start `unblank WORDS` as the leader of a process group of its own.

    Args:
        words: a command and its options.
        printed: file for what it prints, also its errors.
        environment: variables that it gets besides those of this process.
    """
    return _start(_run_command, list(words), printed, dict(environment or {}))


def start_program(
    program: str, arguments: Sequence[str], printed: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """Start a Python program, given as text, likewise.

    Args:
        program: what `python -c` would take.
        arguments: the rest of its `sys.argv`.
        printed: file for what it prints, also its errors.
        environment: variables that it gets besides those of this process.
    """
    return _start(_run_program, [program, *arguments], printed, dict(environment))


def _start(
    do: Callable[[list[str]], None], words: list[str], printed: Path, environment: dict[str, str]
) -> BaseProcess:
    printed.touch()  # there at once for whoever reads it
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=_enter, args=(do, words, str(printed), environment))
    process.start()
    return process


def _enter(
    do: Callable[[list[str]], None], words: list[str], printed: str, environment: dict[str, str]
) -> None:
    from unblank.engine import saving

    saving.draw_losses = lambda folder: None
    os.setsid()
    os.environ.update(environment)
    file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8")
    do(words)


def _run_command(words: list[str]) -> None:
    from unblank.cli import main

    main(words)


def _run_program(words: list[str]) -> None:
    program, *arguments = words
    sys.argv = ["-c", *arguments]
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
