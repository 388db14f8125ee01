import os
import subprocess
import sys

import pytest

from unblank.process import (
    arrange_memory,
    is_main_process,
    local_count,
    local_rank,
    meeting_point,
    process_count,
    process_rank,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memory is arranged on Linux only")


def in_new_process(code):
    ours = ("THP_MEM_ALLOC_ENABLE", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("value", [None, ""])
def test_without_torchrun_a_process_is_the_main_and_only_one(value, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert (process_rank(), process_count(), local_rank(), local_count()) == (0, 1, 0, 1)
    assert is_main_process()


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"RANK": "one"}, "RANK is 'one'"),
        ({"RANK": "-1"}, "RANK is '-1'"),
        ({"RANK": "1.0"}, r"RANK is '1\.0'"),
        ({"RANK": "2"}, "RANK is 2, but WORLD_SIZE is 2"),
        ({"RANK": ""}, "RANK is not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
        ({"WORLD_SIZE": ""}, "RANK is 1, but WORLD_SIZE is not set"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
        ({"LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE is '0'"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT is '65536'.* 1 to 65535"),
    ],
)
def test_what_is_wrong_with_the_variables_of_torchrun_is_named(changed, named, monkeypatch):
    for name, value in {**TORCHRUN, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{named}.*: start several processes with torchrun"):
        _ = process_rank(), local_rank(), local_count(), meeting_point()


def test_importing_the_library_leaves_the_process_alone():
    code = "import os, unblank.process; print(os.environ.get('THP_MEM_ALLOC_ENABLE'))"
    assert in_new_process(code) == "None"


@linux_only
def test_arranging_asks_for_huge_pages_and_few_kernels_and_says_what_was_done():
    code = (
        "import os; from unblank.process import arrange_memory as a; line = a().description;"
        "print(os.environ['THP_MEM_ALLOC_ENABLE'], '|',"
        " os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'], '|', line)"
    )
    pages, kernels, line = in_new_process(code).split(" | ")
    assert (pages, kernels) == ("1", "128")
    assert line.startswith("huge pages")
    assert "--train.no-arrange-memory" in line


@linux_only
def test_freed_memory_is_kept_once_the_steps_begin():
    # glibc gives a block of 256 MiB back at once unless told otherwise.
    code = (
        "import ctypes; from unblank.process import arrange_memory as a;"
        "arrangement = a(%s); %s;"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p;"
        "block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(1 << 28)));"
        "ctypes.memset(block, 1, 1 << 28); libc.free(block);"
        "print(int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20)"
    )
    assert int(in_new_process(code % ("True", "0"))) < 200
    assert int(in_new_process(code % ("False", "arrangement.begin_steps()"))) < 200
    assert int(in_new_process(code % ("True", "arrangement.begin_steps()"))) > 250
    ended = "arrangement.begin_steps(); arrangement.end_steps()"
    assert int(in_new_process(code % ("True", ended))) < 200


@linux_only
def test_the_end_of_the_steps_gives_back_what_they_kept():
    code = (
        "import ctypes; from unblank.process import arrange_memory as a;"
        "arrangement = a(); arrangement.begin_steps();"
        "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p;"
        "block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(1 << 28)));"
        "ctypes.memset(block, 1, 1 << 28); libc.free(block); arrangement.end_steps();"
        "print(int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20)"
    )
    assert int(in_new_process(code)) < 200


def test_switched_off_changes_nothing(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    assert "is off" in arrange_memory(False).description
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ
