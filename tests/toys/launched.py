"""Commands and programs in one or several processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forked import start_command, start_program


@dataclass(frozen=True)
class Run:
    """A run in a process of its own, or in several, which lead a group of their own."""

    process: BaseProcess | subprocess.Popen[bytes]
    log: Path

    def is_alive(self) -> bool:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll() is None
        return self.process.is_alive()

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.status()

    def finish(self) -> str:
        """Wait for its end and return what it printed."""
        assert self.status() == 0, self.printed()
        return self.printed()

    def status(self, timeout: float = 300) -> int | None:
        """Wait for its end and return its exit status."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.wait(timeout=timeout)
        self.process.join(timeout=timeout)
        return self.process.exitcode


def run_command(
    command: str, settings: Mapping[str, object], *, num_processes: int, timeout: float
) -> None:
    """Run `unblank COMMAND` with its settings, by torchrun where there are several processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    start = [sys.executable, *(launcher if num_processes > 1 else [])]
    flags = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    done = subprocess.run(
        [*start, "-m", "unblank", command, *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def world_of(num_processes: int) -> dict[str, str]:
    """Return the variables by which processes find each other, but for their ranks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {"WORLD_SIZE": str(num_processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def worlds_of(num_processes: int) -> list[dict[str, str]]:
    """Return the variables of processes that find each other as those of torchrun do."""
    world = world_of(num_processes)
    return [
        {**world, "RANK": str(rank), "LOCAL_RANK": str(rank)} if num_processes > 1 else {}
        for rank in range(num_processes)
    ]


def run_together(words: Sequence[str], folder: Path, num_processes: int) -> str:
    """Run `unblank WORDS` in processes that start at once, without torchrun.

    Args:
        words: a command and its options.
        folder: where each process prints into a file of its own.
        num_processes: how many.

    Returns:
        What the main process prints.
    """
    logs = [folder / f"{rank}.printed" for rank in range(num_processes)]
    runs = [
        Run(start_command(words, log, world), log)
        for log, world in zip(logs, worlds_of(num_processes), strict=True)
    ]
    printed = [run.finish() for run in runs]
    return printed[0]


def run_program(program: str, *arguments: str, num_processes: int = 1) -> dict[str, Any]:
    """Run a Python program in processes that find each other as those of torchrun do.

    Returns:
        What its main process prints behind `RESULT `, as JSON.
    """
    worlds = worlds_of(num_processes)
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / str(rank) for rank in range(num_processes)]
        processes = [
            start_program(program, arguments, log, world)
            for world, log in zip(worlds, logs, strict=True)
        ]
        for process in processes:
            process.join(timeout=200)
        printed = [log.read_text(encoding="utf-8") for log in logs]
    for process in processes:
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in processes] == [0] * num_processes, "\n".join(printed)
    lines = "".join(printed).splitlines()
    (line,) = [line for line in lines if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))
