"""What a folder says of the task with labels that it was tuned on."""

import json

import pytest

from unblank.finetuning.labels.tuned import tuned_on


@pytest.mark.parametrize(
    ("task", "expected"), [("trec", "trec"), ("seq2seq", None), ("qa", None), (None, None)]
)
def test_a_model_that_learned_to_write_was_tuned_on_no_task_with_labels(tmp_path, task, expected):
    record = {"settings": {} if task is None else {"task": task}}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    assert tuned_on(tmp_path) == expected
