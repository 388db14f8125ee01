import subprocess
import sys

import pytest

from unblank.engine.folder_lock import lock_folder

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked on Windows")

HOLDER = """
import sys, time
from pathlib import Path
from unblank.engine.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@unix_only
def test_a_folder_that_a_live_run_holds_is_refused_and_free_once_it_is_killed(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match=r"train\.output_dir"), lock_folder(tmp_path):
        pass
    run.kill()
    run.wait()
    with lock_folder(tmp_path):
        pass


@unix_only
def test_a_folder_is_free_when_its_run_has_ended_or_failed(tmp_path):
    with pytest.raises(KeyError), lock_folder(tmp_path):
        raise KeyError
    with lock_folder(tmp_path):
        pass
