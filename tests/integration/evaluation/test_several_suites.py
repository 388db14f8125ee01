"""Suites measured together: each as alone, in one table, with one mean."""

import json

import pytest
from evaluation_toys import write

from unblank.evaluation.heat_maps import language_maps
from unblank.evaluation.run import evaluate
from unblank.evaluation.suite_options import suite_options

NLI = {"premise": "the cat", "hypothesis": "a dog", "label": "neutral"}
QUESTION = {"context": "the cat sat on a mat", "question": "what sat?", "answers": ["cat"]}


@pytest.fixture
def data(tmp_path):
    for language in ("de", "en", "th"):
        nli = [{**NLI, "label": label} for label in ("neutral", "entailment")]
        write(tmp_path / f"xling/xnli/validation.{language}.jsonl", nli)
    for language in ("en", "sw"):
        write(tmp_path / f"xling/xquad/validation.{language}.jsonl", [QUESTION] * 2)
    return tmp_path


def run(model_folder, data, suite, **options):
    path = data / "out.json"
    path.unlink(missing_ok=True)
    kind = suite_options(suite)
    scores, _ = evaluate(
        kind(model=str(model_folder), suite=suite, data=data, output=path, **options)
    )
    return scores, json.loads(path.read_text(encoding="utf-8"))


def rows(scores, task):
    found = [one for one in scores if one.task == task]
    return {(one.metric, one.language): (one.value, one.standard_error) for one in found}


def test_suites_score_as_alone_and_have_a_mean(model_folder, data, capsys):
    scores, content = run(model_folder, data, "xtreme", prompts="translated", max_tokens=3)
    told = capsys.readouterr().err
    for name in ("paws-x", "mlqa", "tydiqa"):
        assert f"left out {name}" in told
    alone, _ = run(model_folder, data, "xnli", prompts="translated")
    assert rows(scores, "xnli") == rows(alone, "xnli")
    alone, _ = run(model_folder, data, "xquad", prompts="translated", max_tokens=3)
    assert rows(scores, "xquad") == rows(alone, "xquad")
    number = {(one.task, one.metric): one.value for one in scores if one.language == "mean"}
    both = (number["xquad", "f1"] + number["xquad", "em"]) / 2
    expected = (number["xnli", "accuracy"] + both) / 2
    assert number["xtreme", "mean of only 2 tasks"] == pytest.approx(expected)
    assert {line["task"] for line in content["predictions"]} == {"xnli", "xquad"}


def test_the_table_has_a_column_for_each_language_and_then_the_means(model_folder, data):
    scores, _ = run(model_folder, data, "xtreme", prompts="universal", max_tokens=3)
    head, first, errors, *_ = (data / "out.csv").read_text().splitlines()
    assert head.split(",")[:6] == ["task", "metric", "de", "en", "th", "sw"]
    assert head.split(",")[6:] == ["mean", "mean without en", "en above the others"]
    values = {one.language: one for one in scores if one.task == "xnli"}
    assert first.split(",")[3] == f"{values['en'].value:.2f}"
    assert errors.split(",")[4] == f"{values['en'].standard_error:.2f}"
    table = (data / "out.md").read_text()
    assert f"{values['en'].value:.2f} \u00b1 {values['en'].standard_error:.2f}" in table
    (one,) = language_maps(scores)
    assert one.columns[:4] == ["de", "en", "th", "sw"]
    assert one.values["xnli, accuracy", "th"] == values["th"].value


def test_a_suite_without_a_language_that_is_wanted_is_left_out(model_folder, data, capsys):
    scores, _ = run(model_folder, data, "xtreme", languages=("sw",), max_tokens=3)
    assert {one.task for one in scores} == {"xquad"}
    assert "left out xnli: no file of" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"'rte'.* xnli, paws-x"):
        run(model_folder, data, "xtreme", tasks=("rte",))
    with pytest.raises(ValueError, match=r"\bin is\b"):
        run(model_folder, data, "xtreme", tasks=("xnli",), languages=("is",))
