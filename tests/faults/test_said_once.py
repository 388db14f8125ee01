"""What all processes of a run find wrong is said by one of them."""

import os
import subprocess
import sys

import pytest

from unblank import cli

LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "unblank"]
WRONG = {
    "no file matches": "pretrain --model.preset tiny --data.train {folder}/none.txt",
    "unknown option": "pretrain --data.trane a",
    "there is no model": "finetune --task seq2seq --data.train a --data.source b --data.target c "
    "--model.init-from {folder}/none",
}


@pytest.mark.slow
@pytest.mark.parametrize("said", WRONG)
def test_an_error_of_all_processes_is_said_once(said, tmp_path):
    words = WRONG[said].format(folder=tmp_path).split()
    done = subprocess.run(
        [sys.executable, *LAUNCHER, *words, "--train.output-dir", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode
    assert sum(line.startswith("unblank ") and said in line for line in done.stderr.splitlines())
    assert done.stderr.count(said) == 1
    assert "stopped by" not in done.stderr


@pytest.mark.parametrize(("rank", "waits"), [(None, 0), ("", 0), ("0", 0), ("1", 1)])
def test_the_first_process_speaks_first(rank, waits, monkeypatch, capsys):
    waited = []
    monkeypatch.setattr("unblank.cli.time.sleep", waited.append)
    if rank is None:
        monkeypatch.delenv("RANK", raising=False)
    else:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(SystemExit):
        cli.main(["info", "/nowhere/at/all"])
    assert len(waited) == waits
    assert "there is nothing" in capsys.readouterr().err  # one that fails alone says it, too
