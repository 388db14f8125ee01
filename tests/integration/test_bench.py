"""Each benchmark from end to end at toy size: the rows are there, and the JSON holds every turn."""

import json

import pytest
from bench_workers import InProcessWorker

from unblank.bench import models, race, run, serve
from unblank.commands import bench
from unblank.commands.bench import BenchSettings

EXPECTED = {
    "sampler": [
        "corruption, 512 tokens, one core",
        "corruption + packing + collation, toy, one core",
    ],
    "fill": [
        f"{fill}, toy, {search}, batch {texts}"
        for fill in ("fill", "fill in fp16")
        for search in ("greedy", "beam 5")
        for texts in (1, 16)
    ],
    "generate": ["generate, toy, greedy, batch 16", "generate, toy, beam 5, batch 16"],
    "serve": ["serve, toy, 4 clients", "serve, toy, 1 client"],
    "score": ["score, toy, 8 candidates", "score, toy, 64 candidates"],
    "train": [
        "training step, toy, against BERT",
        "training step, toy, against T5",
        "training step, toy, against BART",
        "training step, toy: share of the matrix-product ceiling",
        "training step, toy: peak memory",
        "training step, toy: 1,024 rows, exact loss",
        "training step, toy: 1,024 rows, sampled loss",
        "GanLM step, toy: against the T5 objective",
        "training step, toy: Muon's share",
    ],
}


@pytest.mark.parametrize("which", EXPECTED)
def test_a_benchmark_has_its_rows(which, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(race, "Worker", InProcessWorker)
    without_start = [b for b in run.BENCHMARKS[which] if b.measure.__name__ != "measure_start"]
    monkeypatch.setitem(run.BENCHMARKS, which, tuple(without_start))
    path = tmp_path / "folder" / "bench.json"
    monkeypatch.setattr(serve, "_CLIENTS", 4)
    monkeypatch.setattr(models, "_CEILING_WIDTH", 256)
    repeats = 1 if which in ("serve", "train") else 2  # a turn of these takes long
    bench.run(BenchSettings(which=which, size=("toy",), repeats=repeats, json=path))
    written = json.loads(path.read_text())
    rows = [row for section in written["sections"] for row in section["rows"]]
    assert [row["name"] for row in rows] == EXPECTED[which]
    assert all(row["ours"] > 0 and row["peer"] > 0 and row["ratio"] > 0 for row in rows)
    for section in written["sections"]:
        assert all(len(result["seconds"]) == repeats for result in section["results"].values())
    assert {"processor", "cores", "packages"} <= written["machine"].keys()
    out, err = capsys.readouterr()
    assert "unblank bench" in out
    assert f"turn {repeats} of {repeats}" in err


@pytest.mark.slow
def test_the_start_of_training_is_measured_by_the_command_itself():
    rows = [
        row
        for section in run.BENCHMARKS["train"][-1].measure(run.SIZES["toy"], 1, print)
        for row in section.rows
    ]
    assert [row.name for row in rows] == ["start of training, toy: command to first step"]
    # The command imports less than the whole of what it is held against, and then trains.
    assert rows[0].ours > 0.5 * rows[0].peer > 0
