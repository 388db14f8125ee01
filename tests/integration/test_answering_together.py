"""Processes share out a file: the same bytes as from one, also after a kill."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_toys import toys
from launched import run_program

from unblank.answering.together import RecordWindow, SharedAnswers, refuse_parts
from unblank.data.length_groups import length_batches

__all__ = ["toys"]

PROGRAM = """
import json, os, sys
from pathlib import Path
import torch
import torch.distributed as dist
torch.set_num_threads(1)
import unblank
from unblank.answering import together
from unblank.cli import main

model, task, folder, output = map(Path, sys.argv[1:5])
output.mkdir(exist_ok=True)
if int(os.environ.get("WORLD_SIZE", "1")) > 1:
    dist.init_process_group("gloo")


def command(*words):
    try:
        main([*map(str, words)])
    except SystemExit as end:
        assert end.code == 2  # a record could not be answered


def fill(name):
    command("fill", model, "--input", folder / "texts.jsonl", "--text-field", "blanked",
            "--output", output / name, "--batch-size", 3, "--max-tokens", 4,
            "--num-beams", 2, "--num-return", 2)


if len(sys.argv) > 5:  # killed after its first batch, and started again
    usual = together.AnswerFile.append

    def append(file, lines):
        usual(file, lines)
        raise KeyboardInterrupt

    together.AnswerFile.append = append
    try:
        unblank.fill_file(model, folder / "texts.jsonl", output / "filled.csv", batch_size=3,
                          text_field="blanked", max_tokens=4, num_beams=2, num_return=2)
    except KeyboardInterrupt:
        pass
    together.AnswerFile.append = usual
    dist.barrier()
    first = len((output / f"filled.csv.{dist.get_rank() + 1}-of-3.part").read_text().splitlines())
    assert first == 1
fill("filled.csv")
fill("filled.parquet")
command("score", model, "--input", folder / "texts.jsonl", "--text-field", "blanked",
        "--output", output / "scored.jsonl", "--batch-size", 3, "--candidates", "fine", "very poor")
command("generate", model, "--input", folder / "texts.jsonl", "--source", "text",
        "--output", output / "written.jsonl", "--batch-size", 3, "--max-tokens", 4)
command("generate", model, "--input", folder / "texts.jsonl", "--source", "text",
        "--output", output / "written.txt", "--batch-size", 3, "--max-tokens", 4)
command("generate", model, "--input", folder / "texts.jsonl", "--source", "text",
        "--output", output / "ruled.jsonl", "--batch-size", 3, "--max-tokens", 4,
        "--rules", "choices=fine|poor")
command("predict", model, folder / "texts.jsonl", output / "labels.tsv", "--batch-size", 3,
        "--task", task)
for suite, words in (("perplexity", []), ("infilling", ["--max-tokens", 3, "--batch-size", 3]),
                     ("cloze", ["--tasks", task, "--batch-size", 3])):
    command("evaluate", model, "--suite", suite, "--file", folder / "texts.jsonl",
            "--output", output / f"{suite}.json", *words)
if int(os.environ.get("RANK", "0")) == 0:
    print("RESULT", json.dumps(sorted(path.name for path in output.iterdir())))
"""


@pytest.fixture(scope="module")
def given_folder(tmp_path_factory):
    """Forty records of many lengths, some of which cannot be filled."""
    folder = tmp_path_factory.mktemp("given")
    words = ["the", "film", "was", "fine", "we", "poor"]
    records = []
    for number in range(40):
        text = " ".join(words[(number * place) % 6] for place in range(1, number % 9 + 2))
        blank = "" if number % 13 == 5 else " [MASK] a"
        label = ["good", "bad"][number % 2]
        records.append({"blanked": text + blank, "text": text, "label": label})
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "texts.jsonl").write_text(lines)
    return folder


def test_three_processes_write_what_one_does_also_after_a_kill(toys, given_folder, tmp_path):
    given = [str(path) for path in (toys["model"], toys["task"], given_folder)]
    files = run_program(PROGRAM, *given, str(tmp_path / "one"))
    together = run_program(PROGRAM, *given, str(tmp_path / "three"), "killed", num_processes=3)
    assert together == files
    assert [name for name in files if name.endswith((".part", ".part.json"))] == []
    assert len(files) >= 10
    ruled = (tmp_path / "three" / "ruled.jsonl").read_text().splitlines()
    assert {json.loads(line)["prediction"] for line in ruled} <= {"fine", "poor", ""}
    for name in files:
        paths = [tmp_path / folder / name for folder in ("one", "three")]
        if name in ("perplexity.json", "infilling.json", "cloze.json"):
            one, three = map(measured, paths)
            assert one == three, name
        elif not name.endswith(".png"):
            assert paths[0].read_bytes() == paths[1].read_bytes(), name


def measured(path):
    """Return scores and predictions of an evaluation, without the time that it took."""
    content = json.loads(path.read_text())
    assert content["complete"]
    scores = [{**score, "seconds": 0} for score in content["scores"]]
    assert scores
    assert content["predictions"]
    return scores, content["predictions"]


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=50),
    batch_size=st.integers(1, 5),
    size=st.integers(1, 20),
)
def test_batches_are_those_of_sorted_windows(lengths, batch_size, size):
    for start in range(0, len(lengths), size):
        window = lengths[start : start + size]
        found = length_batches(window, batch_size)
        assert sorted(number for batch in found for number in batch) == list(range(len(window)))
        for batch in found:
            assert [window[number] for number in batch] == sorted(window[n] for n in batch)
        # Any whole batches, sorted and divided again, are the same batches: a process's share.
        mixed = [window[number] for batch in found[::-1] for number in batch]
        assert len(length_batches(mixed, batch_size)) == len(found)


def test_the_parts_of_another_number_of_processes_are_refused_or_removed(tmp_path):
    output = tmp_path / "out.jsonl"
    parts = [tmp_path / f"out.jsonl.{n}-of-2.part" for n in (1, 2)]
    for path in parts:
        path.write_text("")
        Path(f"{path}.json").write_text("{}")
    other = tmp_path / "other.jsonl.1-of-2.part"
    other.write_text("")
    refuse_parts(output, set(parts), overwrite=False)
    with pytest.raises(ValueError, match="--overwrite"):
        refuse_parts(output, {tmp_path / "out.jsonl.part"}, overwrite=False)
    refuse_parts(output, {tmp_path / "out.jsonl.part"}, overwrite=True)
    assert list(tmp_path.iterdir()) == [other]


def test_batches_of_another_size_do_not_go_on_with_answers(tmp_path):
    world = SimpleNamespace(rank=0, size=2, is_main=True, wait=lambda: None)
    output = tmp_path / "out.jsonl"
    SharedAnswers(world, output, {"task": 1}, batch_size=2)._append(0, [0, 1], ["a", "b"])
    SharedAnswers(world, output, {"task": 1}, batch_size=2)
    with pytest.raises(ValueError, match="--overwrite"):
        SharedAnswers(world, output, {"task": 1}, batch_size=4)


@given(
    num_processes=st.sampled_from([3, 33, 64, 100]),
    lengths=st.lists(st.lists(st.integers(1, 500), min_size=1, max_size=32), min_size=20),
)
def test_all_processes_have_work_where_windows_have_fewer_batches(num_processes, lengths):
    worlds = [SimpleNamespace(rank=rank, size=num_processes) for rank in range(num_processes)]
    shared = [SharedAnswers.__new__(SharedAnswers) for _ in worlds]
    for one, world in zip(shared, worlds, strict=True):
        one._world, one._batch_size, one._loads = world, 1, [0] * num_processes
    loads = [0] * num_processes
    for window in lengths:
        asked = RecordWindow(dict(enumerate(window)))
        shares = [one._share(asked, int, longest_first=False) for one in shared]
        assert sorted(n for share in shares for (n,) in share) == list(range(len(window)))
        for rank, share in enumerate(shares):
            loads[rank] += sum(window[n] for (n,) in share)
    assert max(loads) - min(loads) <= max(map(max, lengths))
