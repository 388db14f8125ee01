"""Scores of several languages: each alone, and their mean with equal weight."""

import pytest
import torch
from labelled_toys import TASK

from unblank.finetuning.labels.scores import evaluation_of
from unblank.metrics.by_language import score_by_language
from unblank.prompting import load_task, make_examples

GOOD, BAD = torch.tensor([0.9, 0.1]), torch.tensor([0.2, 0.8])


@pytest.fixture
def task(tmp_path):
    (tmp_path / "toy.yaml").write_text(TASK)
    return load_task(tmp_path / "toy.yaml")


def examples(task, *languages):
    found = []
    for language in languages:
        found += make_examples(task, {"text": "a film", "label": "good", "lang": language})
    return found


def test_a_language_with_many_examples_counts_no_more(task):
    three, one = examples(task, "en", "en", "en"), examples(task, "zho")
    scores = evaluation_of(task, [*three, *one], [GOOD, GOOD, GOOD, BAD]).scores
    assert scores["accuracy"] == 50.0
    assert scores["accuracy en"] == 100.0
    assert scores["accuracy zh"] == 0.0


def test_one_language_or_none_has_the_scores_of_its_examples(task):
    for language in ("de", ""):
        found = evaluation_of(task, examples(task, language, language), [GOOD, BAD])
        assert found.scores.keys() == {"accuracy", "loss"}
        assert found.scores["accuracy"] == 50.0
        assert [line.get("lang", "") for line in found.predictions] == [language, language]


def test_examples_without_a_language_are_named_beside_others():
    found = score_by_language(["", "de"], lambda some: {"f1": float(some[0])})
    assert found.named() == {"f1": 0.5, "f1 (no language)": 0.0, "f1 de": 1.0}
