"""The commands as Python calls: same settings, data in memory, handles that give the rest."""

import json
import os
from pathlib import Path

import pandas
import pyarrow
import pytest
from datasets import Dataset, DatasetDict
from given_files import as_files

import unblank
from unblank.path_arguments import given_path
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping

TEXTS = [{"text": f"the cat sat on mat number {n % 7}. the dog ran to house {n}. " * 6}
         for n in range(60)]  # fmt: skip
SMALL = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    return unblank.pretrain(
        model={"preset": "tiny", **SMALL},
        tokenizer={"kind": "bpe", "vocab_size": 400},
        data={"train": TEXTS, "validation": pandas.DataFrame(TEXTS[:5]), "max_length": 64},
        **{"train.max_steps": 2, "train.batch_size": 4, "train.micro_batch_size": 4},
        train={"output_dir": str(folder), "device": "cpu"},
    )


def test_a_run_gives_its_metrics_and_its_model(pretrained):
    assert [line["step"] for line in pretrained.metrics][-1] == 2
    assert pretrained.validation
    assert pretrained.model.fill("the [MASK] sat.", max_tokens=2).blanks
    assert "step=2" in repr(pretrained)
    assert "<table>" in pretrained._repr_html_()


def test_the_same_data_is_the_same_file_whatever_holds_it(tmp_path):
    tables = [TEXTS, pandas.DataFrame(TEXTS), Dataset.from_list(TEXTS)]
    paths = {as_files(table, tmp_path, "train") for table in tables}
    assert len(paths) == 1
    assert as_files(["a.txt", TEXTS], tmp_path, "train") == ["a.txt", *paths]
    with pytest.raises(TypeError, match="row 1"):
        as_files([{"text": object()}], tmp_path, "train")


def test_paths_may_come_from_other_libraries(tmp_path):
    (tmp_path / "model").mkdir()
    (entry,) = os.scandir(tmp_path)
    assert given_path(entry, "model") == tmp_path / "model"


def test_a_missing_cell_is_null_whatever_holds_it(tmp_path):
    rows = [{"text": "a cat", "size": 1.5}, {"text": None, "size": None}]
    tables = [rows, pandas.DataFrame(rows), Dataset.from_list(rows)]
    (path,) = {as_files(table, tmp_path, "train") for table in tables}
    assert [json.loads(line) for line in Path(path).read_text().splitlines()] == rows


@pytest.mark.parametrize(
    "given",
    [
        DatasetDict(train=Dataset.from_list(TEXTS)),
        pyarrow.Table.from_pylist(TEXTS),
    ],
)
def test_data_of_another_kind_is_refused_with_those_that_there_are(given, tmp_path):
    with pytest.raises(TypeError, match=r"datasets\.Dataset"):
        as_files(given, tmp_path, "train")


def test_settings_are_checked_as_those_of_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"'trian'.*\btrain\b"):
        unblank.pretrain(trian={"max_steps": 2})
    with pytest.raises(ValueError, match="lora"):
        unblank.finetune(lora={"rank": 2}, data={"train": TEXTS}, **{"method": "full"})


def test_a_model_is_measured_on_data_in_memory(pretrained):
    found = unblank.evaluate(pretrained, "perplexity", file=TEXTS[:3])
    assert found.scores
    assert found.path.is_file()
    assert "perplexity" in repr(found)


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ("fill_file", {"stream": True}, "stream and output exclude"),
        ("fill_file", {"json": True}, "output and json exclude"),
        ("score_file", {"answers": ["cat", "mat"]}, "answers and output exclude"),
        ("score_file", {"candidates": ["a"], "content_free": ["b"]}, "content_free has no effect"),
    ],
)
def test_what_a_file_call_would_not_use_is_refused(call, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        getattr(unblank, call)("no-model", TEXTS, tmp_path / "out.jsonl", **options)


@pytest.mark.parametrize(
    ("suite", "options", "name"),
    [
        ("perplexity", {"text_field": "body"}, "text_field"),
        ("facts", {"top": [3]}, "top"),
        ("xquad", {"extract": True, "retrieve": "index"}, "extract"),
    ],
)
def test_what_a_measurement_would_not_use_is_refused(suite, options, name):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        unblank.evaluate("no-model", suite, **options)


def test_keywords_with_the_values_of_their_defaults_are_not_in_the_way(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-model"):
        unblank.fill_file(
            "no-model", TEXTS, tmp_path / "out.jsonl", stream=False, retrieve=None, top=5, rules=()
        )


def test_show_prints_a_sample(capsys):
    unblank.show("the cat sat on the mat near the old house.", **{"objective.mask_ratio": 0.4})
    assert "Part A" in capsys.readouterr().out


def test_the_names_are_listed():
    assert {"pretrain", "finetune", "evaluate", "show", "load"} <= set(dir(unblank))


@pytest.mark.parametrize("data", [[{"text": "a"}], "text.txt"])
def test_data_that_is_no_section_is_named(data):
    with pytest.raises(TypeError, match=r"^data is a (list|str)\b"):
        unblank.pretrain(data=data)


@pytest.mark.parametrize(
    ("call", "keyword"),
    [
        (lambda train: unblank.pretrain(train=train), "data.train"),
        (lambda train: unblank.finetune(task="seq2seq", train=train), "data.train"),
    ],
)
def test_errors_name_keywords_and_no_flags(call, keyword, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=keyword) as caught:
        call({"output_dir": tmp_path / "run"})
    assert "--" not in str(caught.value)


def test_paths_may_be_paths(tmp_path):
    made = from_mapping(
        PretrainSettings,
        {
            "train": {"output_dir": tmp_path},
            "model": {"init_from": tmp_path},
            "data": {"train": [tmp_path]},
        },
    )
    assert made.train.output_dir == tmp_path
    assert str(made.model.init_from) == str(tmp_path)
    assert made.data.train == (str(tmp_path),)
