"""The one call for a machine with a GPU runs on a CPU, with tiny models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_check.sh"


@pytest.mark.slow
def test_the_check_of_a_gpu_runs_on_a_cpu(tmp_path):
    done = subprocess.run(
        [str(SCRIPT), "--toy", "--json", str(tmp_path / "found.json")],
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["what"]: row for row in json.loads((tmp_path / "found.json").read_text())["rows"]}
    assert rows["losses after a checkpoint round trip"]["value"] == 0
    assert rows["10 losses of FSDP2 in one process, against none"]["value"] < 1e-5
    speeds = [row["value"] for row in rows.values() if row["unit"].endswith("/s")]
    assert len(speeds) >= 7
    assert all(speed > 0 for speed in speeds)


@pytest.mark.slow
def test_what_the_time_does_not_suffice_for_is_left_out(tmp_path):
    done = subprocess.run(
        [str(SCRIPT), "--toy", "--minutes", "0", "--json", str(tmp_path / "found.json")],
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert all(row["note"].startswith("left out") for row in rows)
