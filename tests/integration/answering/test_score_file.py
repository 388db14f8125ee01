"""`unblank score --input --output`: the scores of `Unblank.score` beside each record."""

import csv
import json

import pytest

from unblank import api
from unblank.answering.given import listed_texts
from unblank.cli import main

CANDIDATES = ["cat", "old dog", "mat"]


@pytest.fixture(autouse=True)
def no_loading(monkeypatch, tiny):
    monkeypatch.setattr(api, "load", lambda folder, **options: tiny)


def score(folder, *words):
    main(["score", str(folder), *map(str, words)])


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_every_record_has_its_scores(model_folder, tmp_path, tiny, capsys, batch_size):
    texts = ["the [MASK] sat", "no blank", "a small dog and a [MASK]", "long " * 80 + "[MASK]"]
    path, output = tmp_path / "in.jsonl", tmp_path / "out.csv"
    path.write_text("".join(json.dumps({"t": t, "id": n}) + "\n" for n, t in enumerate(texts)))
    with pytest.raises(SystemExit):
        score(
            model_folder, "--input", path, "--text-field", "t", "--output", output,
            "--candidates", *CANDIDATES, "--batch-size", batch_size,
        )  # fmt: skip
    assert "2 of 4 records could not be scored" in capsys.readouterr().err
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, True, False, True]
    for number in (0, 2):
        expected = tiny.score(texts[number], CANDIDATES)
        assert rows[number]["best"] == expected.best.text
        found = [float(rows[number][f"candidates_{n}_score"]) for n in (1, 2, 3)]
        assert found == pytest.approx([one.score for one in expected.candidates], abs=1e-4)
        assert sum(float(rows[number][f"candidates_{n}_share"]) for n in (1, 2, 3)) == (
            pytest.approx(1)
        )


def test_each_record_may_bring_its_candidates(model_folder, tmp_path, tiny, capsys):
    path, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    rows = [("the [MASK]", '["cat", "mat"]'), ("a [MASK]", "cat"), ("one [MASK]", '["dog"]')]
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("text", "words"), *rows])
    with pytest.raises(SystemExit):
        score(
            model_folder, "--input", path, "--output", output, "--candidates-field", "words",
            "--normalization", "mean", "--no-include-end",
        )  # fmt: skip
    assert "must be a list of texts" in capsys.readouterr().err
    found = [json.loads(line) for line in output.read_text().splitlines()]
    expected = tiny.score("the [MASK]", ["cat", "mat"], normalization="mean", include_end=False)
    assert [one["score"] for one in found[0]["candidates"]] == pytest.approx(
        [one.score for one in expected.candidates], abs=1e-5
    )
    assert "error" in found[1]
    assert found[2]["best"] == "dog"


@pytest.mark.parametrize("value", ["[broken", "[" * 100_000, '{"a": 1}'])
def test_candidates_that_are_no_list_are_named(value):
    with pytest.raises(ValueError, match="line 1: field 'options' must be a list of texts"):
        listed_texts("line 1", "options", value)
