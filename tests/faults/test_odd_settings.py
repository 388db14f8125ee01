"""Defaults that nobody gave refuse nothing, and results of one measurement replace no others."""

import json

import pytest

from unblank.commands import evaluate as command
from unblank.commands import pretrain
from unblank.evaluation.results import plain
from unblank.evaluation.run import _free_output


@pytest.mark.parametrize(
    ("batch_size", "rows"), [(4, 4), (12, 6), (7, 7), (11, 1), (32, 8), (1, 1), (24, 8)]
)
def test_the_micro_batch_follows_the_batch(batch_size, rows):
    settings = pretrain.parse([f"--train.batch-size={batch_size}"]).settings
    assert settings.train.rows_per_pass == rows
    with pytest.raises(ValueError, match="micro_batch_size"):
        pretrain.parse([f"--train.batch-size={batch_size}", f"--train.micro-batch-size={rows + 1}"])


def test_results_of_another_measurement_are_never_overwritten(tmp_path):
    (tmp_path / "evaluations").mkdir()

    def measured(*words):
        config = command.parse([str(tmp_path), "--suite", "cloze", "--tasks", "t.yaml", *words])
        path = _free_output(config)
        path.write_text(json.dumps({"config": plain(config)}))
        return path.name

    assert measured("--file", "a.tsv") == "cloze.own.json"
    assert measured("--file", "b.tsv") == "cloze.own-2.json"
    assert measured("--file", "a.tsv", "--limit", "5") == "cloze.own-3.json"
    assert measured("--file", "b.tsv", "--batch-size", "4") == "cloze.own-2.json"
    output = tmp_path / "mine.json"
    assert measured("--file", "a.tsv", "--output", str(output)) == "mine.json"
    assert measured("--file", "a.tsv", "--output", str(output)) == "mine.json"
    with pytest.raises(FileExistsError, match="--output"):
        measured("--file", "b.tsv", "--output", str(output))
    output.write_text("something of mine")
    with pytest.raises(FileExistsError, match=r"mine\.json"):
        measured("--file", "b.tsv", "--output", str(output))
