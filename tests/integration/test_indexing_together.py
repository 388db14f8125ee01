"""Processes share out the documents of an index: the same bytes as from one, also after a kill."""

import json
import random

import pytest
from launched import run_program

from unblank.retrieval.index import PassageIndex

pytest.importorskip("bm25s")

PROGRAM = """
import json, os, sys
from pathlib import Path
import torch.distributed as dist
from unblank.answering import indexing, together
from unblank.cli import main

given, output = sys.argv[1:3]
rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
indexing._CHARACTERS = 500
if size > 1:
    dist.init_process_group("gloo")
numbers = []
usual = together.AnswerFile.append


def append(file, lines):
    usual(file, lines)
    numbers.append(1)
    if len(sys.argv) > 3 and len(numbers) == 2:
        raise KeyboardInterrupt


together.AnswerFile.append = append
words = ["index", given, "--output", output, "--passage-words", "12"]
if len(sys.argv) > 3:
    try:
        main(words)
    except (KeyboardInterrupt, SystemExit):
        pass
    assert len(Path(f"{output}.{rank + 1}-of-{size}.part").read_text().splitlines()) == 2
    assert not Path(output).exists()
    del sys.argv[3:]
    dist.barrier()
main(words)
counts = [len(numbers)]
if size > 1:
    counts = [None] * size
    dist.all_gather_object(counts, len(numbers))
if rank == 0:
    print("RESULT", json.dumps(counts))
"""


def test_three_processes_make_the_index_that_one_makes(tmp_path):
    rng = random.Random(0)
    words = ["the", "film", "was", "fine.", "we", "[MASK]", "poor!", "東京タワー", "don't", "\n\n"]
    with (tmp_path / "texts.jsonl").open("w", encoding="utf-8") as file:
        for number in range(90):
            text = " ".join(rng.choices(words, k=rng.randrange(120))) + f" word{number}"
            file.write(json.dumps({"text": text}) + "\n")
    given = str(tmp_path / "texts.jsonl")
    (num_groups,) = run_program(PROGRAM, given, str(tmp_path / "one"))
    counts = run_program(PROGRAM, given, str(tmp_path / "three"), "killed", num_processes=3)
    assert sum(counts) == num_groups > 30
    assert max(counts) - min(counts) <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "texts.jsonl", "three"]
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "three").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()
    assert len(PassageIndex(tmp_path / "three")) > 90
