"""Disks that fill up, at every size: one message that names the path, and nothing half written."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from counts import hard_count
from written_indexes import index_of

from unblank import cli
from unblank.atomic_folders import new_folder, put_into_folder
from unblank.cli import main
from unblank.data.shards import prepare_corpus
from unblank.disk_errors import writes_to
from unblank.engine.checkpoint import CheckpointError, list_checkpoints, write_checkpoint
from unblank.engine.finished import published_model
from unblank.engine.logging import append_line
from unblank.engine.state import save_model_folder
from unblank.integrity import find_damage, write_atomically
from unblank.terminal_text import print_message, print_result
from unblank.tokenization.train import train_tokenizer

SIZES = [int(4096 * 1.4**number) for number in range(26)]
"""4 KB to 18 MB, the model of the tests being 1 MB."""
ENOUGH = hard_count(2, len(SIZES))
"""Sizes on which all has room, the smallest ones first: more room is no other case."""


@pytest.fixture(scope="module")
def tokenizer():
    texts = ["one two three four five six seven"] * 9
    return train_tokenizer(texts, kind="bpe", vocab_size=300, show_progress=False)


@pytest.fixture
def small_disk(tmp_path):
    """Return what makes a disk of some size."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def make(size: int) -> Path:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("only the administrator can make a small disk")
        return disk

    def drop() -> None:
        subprocess.run(["umount", str(disk)], check=True)

    yield make, drop
    if os.path.ismount(disk):
        drop()


def tiny_model():
    from unblank.models.glm import GlmInfillConfig, GlmInfillForConditionalGeneration

    config = GlmInfillConfig(
        vocab_size=300, hidden_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    return GlmInfillForConditionalGeneration(config)


def failure_of(write, disk: Path) -> str | None:
    try:
        write(disk)
    except (OSError, CheckpointError) as error:
        return str(error)
    return None


def writers(tokenizer, text):
    """Name -> what writes into a disk, by way of a folder `out` there."""
    model = tiny_model()
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    def save(folder):
        save_model_folder(folder, model, weights, tokenizer)

    def a_new_folder(disk):
        with new_folder(disk / "out") as folder:
            save(folder)

    def a_finished_model(disk):
        with published_model(disk / "out", {}) as folder:
            save(folder)

    def a_tokenizer(disk):
        with put_into_folder(disk / "out") as folder:
            tokenizer.save_pretrained(folder)

    def an_index(disk):
        documents = [(f"line {number}", f"word{number} and some more") for number in range(2000)]
        index_of(documents, disk / "out")

    def a_corpus(disk):
        text.write_text("one two three four five six seven\n" * 3_000)
        prepare_corpus(
            text, tokenizer, cache_dir=disk / "out", text_unit="line", show_progress=False
        )

    return {
        "a new folder": a_new_folder,
        "an index": an_index,
        "a prepared corpus": a_corpus,
        "a tokenizer": a_tokenizer,
        "a checkpoint": lambda disk: write_checkpoint(disk / "out", 1, save),
        "a finished model": a_finished_model,
        "a file": lambda disk: write_atomically(disk / "out", "x" * 100_000),
    }


KINDS = [
    *("a new folder", "a tokenizer", "a checkpoint", "a finished model", "a file"),
    *("an index", "a prepared corpus"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_of_any_size_gives_all_or_nothing(kind, tokenizer, small_disk, tmp_path, tally):
    make, drop = small_disk
    write, whole, refused = writers(tokenizer, tmp_path / "text.txt")[kind], 0, 0
    for size in SIZES:
        if whole == ENOUGH:
            break
        disk = make(size)
        failure = failure_of(write, disk)
        if failure is None:
            whole += 1
        else:
            refused += 1
            assert str(disk / "out") in failure
            assert "No space left" in failure
            assert not [path for path in disk.rglob("*") if path.is_file()]
            assert not list(disk.rglob(".*"))
        drop()
    assert whole
    assert refused
    tally(f"small disks: {kind}", tried=whole + refused, whole=whole, refused_by_name=refused)


def test_the_checkpoint_before_stays_whatever_does_not_fit(tokenizer, small_disk):
    make, drop = small_disk
    model = tiny_model()
    weights = dict(model.state_dict())
    size = sum(value.nbytes for value in weights.values())
    for share in (1.2, 1.5, 1.8):
        root = make(int(size * share) + 2**16) / "checkpoints"

        def save(folder):
            save_model_folder(folder, model, weights, tokenizer)

        good = write_checkpoint(root, 1, save)
        with pytest.raises(CheckpointError, match=good.name):
            write_checkpoint(root, 2, save)
        assert list_checkpoints(root) == [good]
        assert list(root.iterdir()) == [good]
        assert find_damage(good) is None
        drop()


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_checkpoint_whose_name_is_not_forced_to_disk_is_named(number, tmp_path, monkeypatch):
    def fail(path):
        if path == tmp_path:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("unblank.engine.checkpoint._force_to_disk", fail)
    with pytest.raises(CheckpointError, match=rf"step-00000001: {os.strerror(number)}") as raised:
        write_checkpoint(tmp_path, 1, lambda folder: (folder / "a").write_text("a"))
    assert "Errno" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError("8000 requested and 992 written"),
        Exception("No space left on device (os error 28)"),
        Exception("Error while serializing: I/O error: Disk quota exceeded (os error 122)"),
    ],
    ids=str,
)
def test_what_a_library_makes_of_it_becomes_one_message(error, tmp_path):
    with (
        pytest.raises(OSError, match="answers") as raised,
        writes_to(tmp_path / "answers"),
    ):
        raise error
    assert "Errno" not in str(raised.value)


def test_other_errors_are_left_alone(tmp_path):
    source = tmp_path / "elsewhere" / "source"
    for error in (
        ValueError("not finite"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", str(source)),
        PermissionError(errno.EACCES, "Permission denied", str(source)),
    ):
        with pytest.raises(type(error)) as raised, writes_to(tmp_path / "out"):
            raise error
        assert raised.value is error


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_no_step_of_writing_a_file_leaves_half_of_it(step, number, tmp_path, monkeypatch):
    (tmp_path / "answers").write_text("before")

    def fail(*_):
        raise OSError(number, os.strerror(number), str(tmp_path / "answers.tmp"))

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match=rf"cannot write .*answers: {os.strerror(number)}"):
        write_atomically(tmp_path / "answers", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]
    assert (tmp_path / "answers").read_text() == "before"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EDQUOT, "cannot write runs/a.part: Disk quota exceeded"),
        (errno.EROFS, "cannot write runs/a.part: Read-only file system"),
        (errno.EIO, "cannot use runs/a.part: the disk fails"),
        (errno.EACCES, "cannot use runs/a.part: you have no permission"),
        (errno.EEXIST, "cannot use runs/a.part: it is a file"),
        (errno.ENOTDIR, "cannot use runs/a.part: a file stands"),
        (errno.EBUSY, "cannot use runs/a.part: Device or resource busy"),
    ],
)
def test_words_of_the_system_are_not_all_that_is_said(number, said, monkeypatch, capsys):
    def run(settings):
        raise OSError(number, os.strerror(number), "runs/a.part")

    monkeypatch.setattr("unblank.commands.recipes.run", run)
    with pytest.raises(SystemExit):
        main(["recipes"])
    printed = capsys.readouterr().err
    assert printed.startswith(f"unblank recipes: {said}")
    assert "Errno" not in printed


def test_a_line_that_cannot_be_added_names_its_file():
    with pytest.raises(OSError, match="/dev/full"):
        append_line(Path("/dev/full"), {"step": 1})


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    ("words", "to", "status"),
    [
        ("--help", "| true", 141),
        ("--help", "> /dev/full", 2),
        ("fill --help", "| true", 141),
        ("fill --help", ">&-", 0),
        ("fill --help", "> /dev/full", 2),
        ("pretrain --model.preset tiny --print-recipe", "> /dev/full", 2),
        ("nothing", "2>&-", 2),
        ("nothing", "2> /dev/full", 2),
        ("fill nowhere a", "2> /dev/full", 2),
        ("fill", "2> /dev/full", 2),
    ],
)
def test_an_output_that_nobody_takes_ends_a_command_quietly(words, to, status):
    command = f'{sys.executable} -m unblank {words} {to}; echo "${{PIPESTATUS[0]}}" >&3'
    done = subprocess.run(["bash", "-c", f"exec 3>&1; {command}"], capture_output=True, text=True)
    found = int(done.stdout.split()[-1])
    # What is read before the pipe is closed cannot be told beforehand.
    assert found in ((0, 141) if status == 141 else (status,)), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_there_for_what_a_command_does(name, monkeypatch):
    def done(*words: str) -> None:
        print_result("a result")
        print_message("a message")
        assert sys.stdin is not None

    monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(cli, "_dispatch", done)
    cli.main(["fill"])


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("words", ["recipes", "show 'the cat sat on the mat'"])
def test_a_full_output_is_called_so(words):
    command = f"{sys.executable} -m unblank {words} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2
    assert "the output cannot be written: No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "is_named", "said"),
    [
        (errno.ENOSPC, True, "cannot write checkpoint: "),
        (errno.ENOSPC, False, "the output cannot be written: "),
        (errno.EIO, True, "cannot write checkpoint: "),
        (errno.EIO, False, "[Errno 5] "),  # of what is read, perhaps
    ],
)
def test_what_is_full_is_the_file_that_is_named(number, is_named, said, monkeypatch, capsys):
    def run(settings):
        with writes_to(Path("checkpoint")) if is_named else nullcontext():
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("unblank.commands.recipes.run", run)
    with pytest.raises(SystemExit):
        main(["recipes"])
    assert capsys.readouterr().err.startswith(f"unblank recipes: {said}")


PRINTS = """
import sys
from rich.console import Console
from rich.table import Table
from unblank import cli
def run(name, words):
    table = Table("a", "b")
    table.add_row("1", "2")
    {printing}
cli._run = run
sys.argv[1:] = ["fill"]
cli.main()
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "printing",
    [
        "print('text', file=sys.{stream})",
        "Console(file=sys.{stream}).print(table)",
    ],
)
def test_what_is_printed_into_a_closed_pipe_ends_the_command_quietly(printing, stream):
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    program = PRINTS.format(printing=printing.format(stream=stream))
    done = subprocess.run([sys.executable, "-c", program], **streams, text=True)
    os.close(writer)
    assert done.returncode == 141
    assert not done.stdout
    assert not done.stderr


def test_a_real_table_in_a_closed_pipe_ends_the_command_quietly(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on a mat\n" * 50)
    words = ["tokenize", "--train", tmp_path / "text.txt", "--output", tmp_path / "out"]
    words += ["--vocab-size", "300"]
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "unblank", *map(str, words)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 141, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "out" / "tokenizer.json").is_file()


MEMORY = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 400 bytes."
    ),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("command", ["pretrain", "fill"])
def test_memory_that_runs_out_is_one_message(error, command, capsys, monkeypatch):
    from unblank import cli

    def run(name, words):
        raise error

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(SystemExit) as stop:
        cli.main([command])
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert "memory ran out" in printed
    assert len(printed.splitlines()) == 1
    names = ("micro_batch_size", "activation_checkpointing", "max_length")
    assert all(name in printed for name in names) == (command == "pretrain")
