"""Signals and kills: what ends how, what is left, and that a run goes on as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from counts import hard_count
from forked import start_program
from launched import Run
from pair_toys import write_pairs

from unblank.integrity import find_damage
from unblank.tokenization.train import train_tokenizer

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
RUN = [
    *("--model.preset", "tiny", "--model.num_hidden_layers", "1", "--model.hidden_size", "32"),
    *("--model.num_attention_heads", "2", "--model.hidden_dropout", "0.1"),
    *("--data.max_length", "32", "--data.text_unit", "paragraph", "--optim.warmup_steps", "4"),
    *("--train.batch_size", "4", "--train.micro_batch_size", "2", "--train.log_every", "3"),
    *("--train.precision", "fp32", "--train.max_steps", "60", "--train.save_every", "25"),
]
TUNING = [
    *("--task", "seq2seq", "--data.source", "en", "--data.target", "de"),
    *("--seq2seq.max_source_length", "32", "--seq2seq.max_target_length", "32"),
    *("--train.batch_tokens", "256", "--train.log_every", "3", "--train.validate_every", "20"),
    *("--train.precision", "fp32", "--train.max_steps", "60", "--train.save_every", "25"),
]
TIMED = ("tokens_per_second", "seconds")


@dataclass(frozen=True)
class Job:
    """A run that nothing interrupted, and the words of the same run into another folder."""

    words: Callable[[Path], list[str]]
    whole: Path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:12]]
    (folder / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=400, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    write_pairs(folder / "pairs.jsonl", 200)
    write_pairs(folder / "held_out.jsonl", 6, first=1000)
    return folder


def pretrain_words(corpus: Path, output: Path) -> list[str]:
    data = ["--data.train", corpus / "train.txt", "--data.cache_dir", corpus / "shards"]
    where = ["--tokenizer.path", corpus / "tokenizer", "--train.output_dir", output]
    return ["pretrain", *RUN, *map(str, [*data, *where])]


def begin(words: list[str], log: Path, num_processes: int = 1) -> Run:
    """Start `unblank WORDS`, with the process that watches over it."""
    if num_processes == 1:
        program = "from unblank.cli import main; main()"
        return Run(start_program(program, words, log, {"OMP_NUM_THREADS": "1"}), log)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *launcher, "-m", "unblank", *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    return Run(process, log)


def wait_for(condition, run: Run) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert run.is_alive(), run.printed()
        assert time.monotonic() < deadline, run.printed()
        time.sleep(0.01)


def lines_of(run: Path, name: str = "metrics.jsonl") -> list[dict]:
    path = run / name
    text = path.read_text() if path.is_file() else ""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


def done_whole(words: Callable[[Path], list[str]], run: Path) -> Job:
    begin(words(run), run.with_suffix(".log")).finish()
    return Job(words, run)


@pytest.fixture(scope="module")
def pretraining(corpus: Path) -> Job:
    return done_whole(lambda run: pretrain_words(corpus, run), corpus / "pretrained")


@pytest.fixture(scope="module")
def finetuning(corpus: Path, pretraining: Job) -> Job:
    data = ["--data.train", corpus / "pairs.jsonl", "--data.validation", corpus / "held_out.jsonl"]
    words = ["finetune", *TUNING, *map(str, ["--model.init-from", pretraining.whole, *data])]
    return done_whole(lambda run: [*words, "--train.output_dir", str(run)], corpus / "finetuned")


@pytest.fixture
def job(request: pytest.FixtureRequest) -> Job:
    return request.getfixturevalue(request.param)


def require_equal(run: Path, whole: Path) -> None:
    assert lines_of(run)
    for name in ("metrics.jsonl", "validation.jsonl"):
        assert lines_of(run, name) == lines_of(whole, name)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (run, whole)]
    assert weights[0] == weights[1]


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".unfinished-" in path.name]


@pytest.mark.parametrize(
    ("job", "number"),
    [
        ("pretraining", signal.SIGTERM),
        *(
            pytest.param(job, number, marks=pytest.mark.slow)
            for job, number in [
                ("pretraining", signal.SIGINT),
                ("pretraining", signal.SIGHUP),
                ("finetuning", signal.SIGTERM),
            ]
        ),
    ],
    indirect=["job"],
)
def test_a_signal_ends_a_run_with_a_checkpoint_and_it_goes_on_exactly(job, number, tmp_path):
    words, log = job.words(tmp_path / "run"), tmp_path / "log"
    run = begin(words, log)
    step = random.randint(3, 40)
    wait_for(lambda: any(x["step"] >= step for x in lines_of(tmp_path / "run")), run)
    run.signal(number)
    assert run.status(60) == STATUS[number], log.read_text()
    (said,) = [line for line in log.read_text().splitlines() if "stopped by" in line]
    assert number.name in said
    assert "run the same command again" in said
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    assert f"after step {int(checkpoint.name.removeprefix('step-'))}," in said
    assert "the last one was made" in begin(words, log).finish()
    require_equal(tmp_path / "run", job.whole)


def signal_to(process: subprocess.Popen, to: str) -> None:
    if to == "all":
        os.killpg(process.pid, signal.SIGTERM)
        return
    # The second rank; the first one writes the checkpoint.
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    )
    os.kill(int(listed.stdout.split()[1]), signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("to", ["one", "all"])
def test_processes_stop_at_the_same_step_whoever_gets_the_signal(to, parallel, corpus, tmp_path):
    words, log = pretrain_words(corpus, tmp_path / "run"), tmp_path / "log"
    words += ["--data.num_workers", "1", "--train.parallel", parallel]
    run = begin(words, log, num_processes=2)
    wait_for(lambda: len(lines_of(tmp_path / "run")) > 1, run)
    signal_to(run.process, to)
    run.status(100)
    assert len([line for line in log.read_text().splitlines() if "stopped by" in line]) == 1
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    state = json.loads((checkpoint / "trainer.json").read_text())
    assert state["progress"]["step"] == int(checkpoint.name.removeprefix("step-"))
    assert find_damage(checkpoint) is None
    begin(words, log, num_processes=2).finish()
    assert lines_of(tmp_path / "run")[-1]["step"] == 60


@pytest.mark.slow
@pytest.mark.parametrize("to", ["one", "all"])
def test_processes_break_off_a_validation_together_whoever_gets_the_signal(to, corpus, tmp_path):
    words, log = pretrain_words(corpus, tmp_path / "run"), tmp_path / "log"
    words += ["--data.validation", str(corpus / "train.txt"), "--train.validation_samples", "600"]
    words += ["--train.validate_every", "1", "--train.max_steps", "3"]
    run = begin(words, log, num_processes=2)
    # The second validation takes most of the time from here on.
    wait_for(lambda: lines_of(tmp_path / "run", "validation.jsonl"), run)
    signal_to(run.process, to)
    run.status(100)
    assert len([line for line in log.read_text().splitlines() if "stopped by" in line]) == 1
    begin(words, log, num_processes=2).finish()
    validated = [line["step"] for line in lines_of(tmp_path / "run", "validation.jsonl")]
    assert validated == [1, 2, 3]


@pytest.mark.parametrize(
    "job", ["pretraining", pytest.param("finetuning", marks=pytest.mark.slow)], indirect=True
)
def test_the_clock_saves_too(job, tmp_path):
    words, log = job.words(tmp_path / "run"), tmp_path / "log"
    words += ["--train.save_minutes", "1e-6", "--train.save_every", "1000"]
    words += ["--train.keep_checkpoints", "50", "--train.max_steps", "5"]
    begin(words, log).finish()
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 5


HANGS = """
import sys, time, {imports}
from unblank import cli
from unblank.atomic_folders import new_folder
import unblank.commands.tokenize as command
def run(settings):
    with new_folder({folder!r}) as folder:
        (folder / "half").write_text("half")
        print("begun", flush=True)
        while True:
            try:
                {work}
            except KeyboardInterrupt:
                pass
command.run = run
sys.argv[1:] = ["tokenize", "--train", "x", "--output", "y"]
cli.main()
"""
WORK = {
    "swallows": ("time", "time.sleep(1)"),
    "native": ("numpy", "numpy.ones((6000, 6000)) @ numpy.ones((6000, 6000))"),
    "holds the lock": ("re", "re.match('(a+)+$', 'a' * 40 + 'b')"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")
@pytest.mark.parametrize("kind", WORK)
def test_a_command_that_cannot_listen_is_ended_and_leaves_nothing(kind, tmp_path):
    imports, work = WORK[kind]
    processes = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        program = HANGS.format(imports=imports, work=work, folder=str(tmp_path / number.name))
        processes[number] = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        for process in processes.values():
            assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        began = time.monotonic()
        for number, process in processes.items():
            process.send_signal(number)
        for number, process in processes.items():
            _, errors = process.communicate(timeout=30)
            assert process.returncode == STATUS[number]
            assert time.monotonic() - began < 2
            assert errors == f"unblank tokenize: stopped by {number.name}\n"
    finally:
        for process in processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert not list(tmp_path.iterdir())


FINISHES = """
import sys, time
from unblank import cli
from unblank.interruption import Request, defer_signals
import unblank.commands.tokenize as command
def run(settings):
    with defer_signals(Request()):
        print("begun", flush=True)
        ends_at = time.monotonic() + 1.5
        while time.monotonic() < ends_at:
            time.sleep(0.01)
        print("saved", flush=True)
command.run = run
sys.argv[1:] = ["tokenize", "--train", "x", "--output", "y"]
cli.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")
@pytest.mark.parametrize(("by_torchrun", "said"), [(False, "begun"), (True, "begun saved")])
def test_a_second_signal_ends_at_once_unless_torchrun_may_have_passed_it_on(by_torchrun, said):
    process = subprocess.Popen(
        [sys.executable, "-c", FINISHES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **({"TORCHELASTIC_RUN_ID": "run"} if by_torchrun else {})},
    )
    begun = process.stdout.readline()
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.4)
    rest, errors = process.communicate(timeout=60)
    assert (begun + rest).split() == said.split()
    assert process.returncode == STATUS[signal.SIGTERM]
    assert errors == "unblank tokenize: stopped by SIGTERM\n"


@pytest.mark.skipif(sys.platform != "linux", reason="commands are watched on Linux only")
@pytest.mark.parametrize(
    ("death", "named"), [("SIGKILL", "memory"), ("SIGSEGV", "a library failed (SIGSEGV)")]
)
def test_a_command_that_the_system_ends_says_so(death, named, tmp_path):
    work = f"os.kill(os.getpid(), signal.{death})"
    program = HANGS.format(imports="os, signal", work=work, folder=str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 128 + getattr(signal, death)
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # tests/resume kills a run of each kind in the fast suite
@pytest.mark.parametrize("job", ["pretraining", "finetuning"], indirect=True)
def test_runs_killed_at_random_go_on_exactly(job, tmp_path, tally):
    kills, finished, left = hard_count(2, 50), 0, 0
    log, killed, number = tmp_path / "log", 0, 0
    while killed < kills:
        run = tmp_path / f"run{number}"
        words, number = job.words(run), number + 1
        process = begin(words, log)
        step = 0
        while killed < kills:
            step += random.randint(1, 25)
            if step > 57:
                break
            wait_for(lambda: any(x["step"] >= step for x in lines_of(run)), process)  # noqa: B023
            time.sleep(random.uniform(0, 0.1))
            process.signal(signal.SIGKILL)
            process.status(60)
            killed += 1
            process = begin(words, log)
        process.finish()
        require_equal(run, job.whole)
        finished, left = finished + 1, left + len(leftovers(run))
    kind = f"kill -9 while {words[0].removesuffix('e')}ing"
    tally(kind, kills=killed, runs_resumed_to_equal_bits=finished, left=left)
    assert left == 0


def test_a_conversion_removes_what_a_killed_one_left(tmp_path):
    program = HANGS.format(imports="time", work="time.sleep(1)", folder=str(tmp_path / "out"))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    second = subprocess.run(
        [sys.executable, "-c", ONCE, str(tmp_path / "out2")], capture_output=True, text=True
    )
    assert second.returncode == 0, second.stderr
    assert len(leftovers(tmp_path)) == 1, "what a live process owns stays"
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 5
    while leftovers(tmp_path) and time.monotonic() < deadline:
        subprocess.run([sys.executable, "-c", ONCE, str(tmp_path / "out")], capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out2"]


ONCE = """
import sys
from pathlib import Path
from unblank.atomic_folders import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("whole")
"""
