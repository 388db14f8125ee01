import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unblank.engine.folder_lock import lock_folder

unix_only = pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked on Windows")


@pytest.fixture
def impatient(monkeypatch):
    """Refuse a folder that is held after a moment."""
    monkeypatch.setattr("unblank.engine.folder_lock._PATIENCE", 0.1)


HOLDER = """
import sys, time
from pathlib import Path
from unblank.engine.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@unix_only
@pytest.mark.usefixtures("impatient")
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


def test_what_was_made_for_a_run_that_wrote_nothing_is_gone_again(tmp_path):
    folder = tmp_path / "runs" / "mine"
    with pytest.raises(KeyError), lock_folder(folder):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    folder.mkdir(parents=True)
    with lock_folder(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_folder_in_which_something_was_written_keeps_its_lock(tmp_path):
    folder = tmp_path / "mine"
    with lock_folder(folder):
        (folder / "run.yaml").touch()
    with pytest.raises(KeyError), lock_folder(folder):
        raise KeyError
    assert {path.name for path in folder.iterdir()} == {".lock", "run.yaml"}


@unix_only
@pytest.mark.usefixtures("impatient")
def test_a_lock_that_is_removed_while_another_run_opens_it_is_not_taken_for_one(
    tmp_path, monkeypatch
):
    """Else two runs would each hold a file of that name."""
    import fcntl

    taken, flock = [], fcntl.flock

    def late(file, how):
        if not taken:
            (tmp_path / ".lock").unlink()
        taken.append(file)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock_folder(tmp_path):
        assert len(taken) == 2
        with pytest.raises(ValueError, match=str(tmp_path)), lock_folder(tmp_path):
            pass


@unix_only
def test_a_folder_that_vanishes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    folder, usual = tmp_path / "mine", Path.open

    def vanishing(path, *given, **named):
        monkeypatch.undo()
        folder.rmdir()
        return usual(path, *given, **named)

    monkeypatch.setattr(Path, "open", vanishing)
    with lock_folder(folder):
        (folder / "run.yaml").touch()
    assert (folder / "run.yaml").exists()


@unix_only
def test_a_run_that_is_on_its_way_out_is_waited_for(tmp_path):
    """The process that a watching one leaves behind when it is killed still holds the lock."""
    import fcntl

    (tmp_path / ".lock").touch()
    held = (tmp_path / ".lock").open()
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(0.3, held.close).start()
    with lock_folder(tmp_path):
        assert held.closed
