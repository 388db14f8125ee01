"""How a model was pretrained is known of what was made of it, too: tuned, merged, trimmed."""

import json

import pytest

from unblank.evaluation.origin import pretraining_settings, training_corpora
from unblank.integrity import PROVENANCE_NAME

PRETRAINED = {"made_by": "unblank 1 pretrain", "settings": {"objective": {"causal": 1.0}}}


def written(folder, record):
    folder.mkdir()
    (folder / PROVENANCE_NAME).write_text(json.dumps(record))
    return folder


@pytest.fixture
def origin(tmp_path):
    return written(tmp_path / "pretrained", PRETRAINED)


def test_a_trimmed_model_is_one_that_was_pretrained(origin, tmp_path):
    record = {"program": "unblank trim 1", "source": {"path": "x", "provenance": PRETRAINED}}
    trimmed = written(tmp_path / "trimmed", record | {"settings": PRETRAINED["settings"]})
    assert pretraining_settings(trimmed, "objective") == {"causal": 1.0}
    assert training_corpora(trimmed) == []  # whose tokens have other numbers
    unknown = {"program": "unblank trim 1", "source": {"path": "x", "provenance": None}}
    assert pretraining_settings(written(tmp_path / "other", unknown), "objective") == {}


def test_a_tuned_and_a_merged_model_name_what_they_were_made_of(origin, tmp_path):
    tuned = written(
        tmp_path / "tuned",
        {"made_by": "unblank 1 finetune", "settings": {"model": {"init_from": str(origin)}}},
    )
    merged = written(
        tmp_path / "merged", {"made_by": "unblank 1 merge", "base_model": {"folder": str(tuned)}}
    )
    trimmed = written(
        tmp_path / "trimmed",
        {"source": {"provenance": json.loads((merged / PROVENANCE_NAME).read_text())}},
    )
    for folder in (tuned, merged, trimmed):
        assert pretraining_settings(folder, "objective") == {"causal": 1.0}


def test_a_circle_and_a_folder_that_is_gone_are_unknown(tmp_path):
    circle = tmp_path / "circle"
    record = {"made_by": "unblank 1 finetune", "settings": {"model": {"init_from": str(circle)}}}
    assert pretraining_settings(written(circle, record), "objective") == {}
    for number, name in enumerate([str(tmp_path / "gone"), "x" * 9000, "\0", "\ud800", ""]):
        record["settings"]["model"]["init_from"] = name
        lost = written(tmp_path / f"lost{number}", record)
        assert pretraining_settings(lost, "objective") == {}


@pytest.mark.parametrize(
    "told",
    [
        {"data": ["x" * 9000], "settings": {"data": {"cache_dir": None}}},
        {"data": ["a"], "settings": {"data": {"cache_dir": "x/" * 9000}}},
        {"data": ["a"], "settings": {"data": {"cache_dir": ["a"]}}},
        {"data": ["a"], "settings": "none"},
        {"data": "a"},
    ],
)
def test_text_that_is_not_where_the_record_says_is_unknown(told, tmp_path):
    assert (
        training_corpora(written(tmp_path / "a", {"made_by": "unblank 1 pretrain", **told})) == []
    )


@pytest.mark.parametrize(
    "source",
    ["a folder named provenance", ["provenance"], {"provenance": "x"}, {"provenance": [1]}],
)
def test_a_record_of_another_shape_says_nothing(source, tmp_path):
    assert pretraining_settings(written(tmp_path / "odd", {"source": source}), "objective") == {}
