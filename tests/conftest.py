"""Where tests find recorded originals and real data, and how they are kept quick and offline."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from counts import hard_count
from hypothesis import settings

gc.disable()  # until the tests are imported, see pytest_runtestloop
# Otherwise the library and the tests are compiled anew for each worker and each process of a test.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tests are small and run side by side: several threads each only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What a shell starts in the background ignores Ctrl-C, and so would the commands of tests.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Of every property: few examples in the usual suite, many with UNBLANK_HARD=1.
settings.register_profile("unblank", max_examples=hard_count(25, 1000), deadline=None)
settings.load_profile("unblank")

REPOSITORY = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set {variable} to the folder of {default}")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Look for garbage from here on, seldom, and never among what was imported, which stays anyway.

    That took a fifth of the time of the imports, and a twentieth of that of the tests.
    """
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


FIRST = (
    "tests/faults/",
    "tests/resume/",
    "tests/integration/pretraining/test_prepare",
    "tests/integration/test_answering_together",
    "tests/integration/test_distributed",
    "tests/integration/test_sharded",
)
"""Tests that start processes from the server of forked ones."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that start processes in front, so that of two workers one runs them all.

    The server that they are copied from (`toys/forked.py`) takes seconds to import the library.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The outputs recorded from the original programs."""
    return _folder("UNBLANK_FIXTURES", "fixtures")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real corpora and tasks."""
    return _folder("UNBLANK_DATA", "data")


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Let writers go on before the disk has it all: no test cuts the power.

    Small runs wait longer for it than they train.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
