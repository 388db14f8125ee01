"""Answers to a file are made, kept and written window after window, not held in memory."""

import json
import tracemalloc
from itertools import islice

import pytest
from labelled_toys import toys

import unblank
from unblank import progress_bars
from unblank.answering.given import read_given
from unblank.answering.run import RecordAnswering, answer_to_file
from unblank.data import written_records

__all__ = ["toys"]

WORDS = "the cat sat on a warm mat and saw a small dog " * 10
FEW, MANY = 200, 1200
"""Records of three windows, and of so many more that they alone would take half a megabyte."""


def peak_of(folder, count, ending):
    """Return the most bytes of Python's memory that answering so many long records takes."""
    source, output = folder / f"in-{count}.jsonl", folder / f"out-{count}{ending}"
    with source.open("w") as file:
        for number in range(count):
            text = f"{number} {WORDS}" if number % 7 else ""
            file.write(json.dumps({"id": number, "text": text}) + "\n")
    tracemalloc.start()
    answering = RecordAnswering(
        lambda place, record: record["text"] or refuse(place),
        len,
        lambda texts, told: [{"upper": text.upper(), "parts": [{"n": 1}]} for text in texts],
    )
    given = read_given(source)
    answered = answer_to_file(given, answering, output, task={}, batch_size=2, doing="try")
    assert sum(1 for _ in answered) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert output.is_file()
    return peak


def refuse(place):
    raise ValueError(f"{place}: nothing is there")


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv"])
def test_memory_does_not_grow_with_the_number_of_records(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(progress_bars, "_DELAY", 0)  # of what is slow, a bar takes memory
    peak_of(tmp_path, 10, ending)  # what is imported on the way
    few, many = peak_of(tmp_path, FEW, ending), peak_of(tmp_path, MANY, ending)
    assert many < 1.25 * few + 50_000


def test_memory_of_parquet_does_not_grow_either(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(written_records, "_ROWS_OF_A_GROUP", 64)
    monkeypatch.setattr(progress_bars, "_DELAY", 0)
    peak_of(tmp_path, 10, ".parquet")
    few, many = peak_of(tmp_path, FEW, ".parquet"), peak_of(tmp_path, MANY, ".parquet")
    assert many < 1.25 * few + 50_000


@pytest.mark.parametrize("call", ["fill", "score", "predict"])
def test_answers_come_before_the_file_and_those_taken_are_kept(toys, tmp_path, call, capsys):
    texts = [f"the {word} was [MASK]" for word in ["play", "film", "song"]] * 30
    records = [{"text": text, "label": "good"} for text in texts]
    stream = getattr(unblank, f"{call}_file_stream")
    options = {
        "fill": {"max_tokens": 2},
        "score": {"candidates": ["fine", "poor"]},
        "predict": {"task": str(toys["task"])},
    }[call]
    options |= {"batch_size": 1}
    if call == "predict":
        records = [{**one, "text": one["text"].replace(" [MASK]", " fine")} for one in records]
    output = tmp_path / "out.jsonl"
    answers = stream(toys["model"], records, output, **options)
    first = list(islice(answers, 40))
    assert not output.exists()
    answers.close()
    assert "64 answers of 90" in capsys.readouterr().err
    whole = list(stream(toys["model"], records, output, **options))
    assert "continuing after 64" in capsys.readouterr().err
    assert whole[:40] == first
    assert len(whole) == len(output.read_text().splitlines()) == 90
    assert whole == getattr(unblank, f"{call}_file")(
        toys["model"], records, tmp_path / "all.jsonl", **options
    )
    written = [json.loads(line) for line in output.read_text().splitlines()]
    for answer, row in zip(whole, written, strict=True):
        assert answer.items() <= row.items()


def test_errors_of_a_stream_name_keywords(toys, tmp_path):
    (tmp_path / "out.jsonl").write_text("")
    with pytest.raises(FileExistsError, match="overwrite") as raised:
        next(unblank.fill_file_stream(toys["model"], [{"text": "a"}], tmp_path / "out.jsonl"))
    assert "--" not in str(raised.value)
