"""A command of the library in processes of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping


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
