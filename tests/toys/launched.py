"""Commands and programs in one or several processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent
"""Small models and data that the programs import."""


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


def run_program(program: str, *arguments: str, num_processes: int = 1) -> dict[str, Any]:
    """Run a Python program, by torchrun where there are several processes.

    Returns:
        What its main process prints behind `RESULT `, as JSON.
    """
    launcher = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={num_processes}",
        "--no-python",
    ]
    words = [*launcher, sys.executable] if num_processes > 1 else []
    path = os.pathsep.join([str(TOYS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *words, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))
