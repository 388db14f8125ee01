"""Paths of every command and recipe: `~` is the home folder, "" no path, a URL no disk."""

from pathlib import Path

import pytest

from unblank.commands import (
    evaluate,
    fill,
    finetune,
    generate,
    index,
    predict,
    pretrain,
    score,
    serve,
    tokenize,
    trim,
)
from unblank.data.files import find_files
from unblank.describing.folder import describe_folder
from unblank.families.loading import require_folder
from unblank.families.table import family_in
from unblank.finetuning.pairs.text import read_text_pairs
from unblank.path_arguments import disk_path


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")


def test_every_path_of_a_recipe_is_expanded(tmp_path):
    recipe = tmp_path / "run.yaml"
    recipe.write_text(
        "data:\n  train: ['~/a/*.txt']\n  pairs: ['~/p.en:~/p.de', '~/q.jsonl:en:de']\n"
        "train:\n  output_dir: ~/runs/one\n"
    )
    settings = pretrain.parse([str(recipe)]).settings
    assert settings.data.train == ("/home/anna/a/*.txt",)
    assert settings.data.pairs == (
        "/home/anna/p.en:/home/anna/p.de",
        "/home/anna/q.jsonl:en:de",
    )
    assert settings.train.output_dir == Path("/home/anna/runs/one")


def test_flags_are_expanded_and_texts_are_not():
    settings = finetune.parse(["--data.train=~/a.tsv:1:2", "--model.init-from=~/m"]).settings
    assert settings.data.train == ("/home/anna/a.tsv:1:2",)
    assert settings.model.init_from == Path("/home/anna/m")
    words = ["~/m", "~/ is [MASK]"]
    assert fill.parse(words).model == "/home/anna/m"
    assert fill.parse(words).text == ("~/ is [MASK]",)
    assert score.parse([*words, "--candidates", "~"]).candidates == ("~",)
    asked = generate.parse(["~/m", "--input=~/in.txt", "--output=~/out.txt", "--references=~/r"])
    assert (asked.input, asked.output) == (Path("/home/anna/in.txt"), Path("/home/anna/out.txt"))
    assert asked.references == ("/home/anna/r",)
    assert tokenize.parse(["--train", "~/a", "--output=~/t"]).output == Path("/home/anna/t")
    suite = evaluate.parse(["~/m", "--suite", "cloze", "--tasks", "~/t.yaml", "--file", "~/f.csv"])
    assert (suite.model, suite.tasks, suite.file) == (
        "/home/anna/m",
        ("/home/anna/t.yaml",),
        ("/home/anna/f.csv",),
    )


def test_a_user_that_is_not_there_is_part_of_the_name():
    settings = generate.parse(["~nobody-of-this-name/m", "--input=~nobody-of-this-name/in.txt"])
    assert settings.input == Path("~nobody-of-this-name/in.txt")


@pytest.mark.parametrize(
    ("command", "words", "name"),
    [
        (pretrain, ["--data.train", ""], "data.train"),
        (pretrain, ["--data.train", "a", ""], "data.train"),
        (pretrain, ["--data.train", "a", "--train.output_dir", ""], "train.output_dir"),
        (finetune, ["--data.validation="], "data.validation"),
        (index, ["", "--output", "x"], "files"),
        (tokenize, ["--train", "", "--output", "x"], "train"),
        (evaluate, ["m", "--file", ""], "file"),
        (fill, ["m", "--input", "", "--output", "x.csv"], "input"),
        (generate, ["m", "--input", "x", "--references", ""], "references"),
        (serve, [""], "models"),
    ],
)
def test_an_empty_path_is_not_this_folder(command, words, name):
    """A shell makes it of a variable that is not set."""
    with pytest.raises(ValueError, match=name):
        command.parse(words)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (pretrain, ["--model.preset=tiny", "--data.train", "s3://b/a.txt", "--train.output_dir"]),
        (fill, ["m", "--input", "s3://b/a.txt", "--output"]),
        (generate, ["m", "--input", "s3://b/a.txt", "--output"]),
        (index, ["s3://b/a.txt", "--output"]),
        (tokenize, ["--train", "s3://b/a.txt", "--output"]),
        (trim, ["m", "--corpus", "s3://b/a.txt", "--keep", "9"]),
        (predict, ["m", "s3://b/a.csv"]),
    ],
)
def test_data_may_be_at_a_url_and_what_is_written_not(command, words):
    """It would be written into a folder `s3:`."""
    command.parse([*words, "out.jsonl"])
    for url in ("s3://b/out.jsonl", "hf:/b/out.jsonl", "file:///b/out.jsonl"):
        with pytest.raises(ValueError, match=url):
            command.parse([*words, url])


@pytest.mark.parametrize("opened", [require_folder, family_in, describe_folder])
@pytest.mark.parametrize("url", ["s3://bucket/model", "hf://org/model", "https://a.b/model"])
def test_a_model_is_not_read_from_a_url(opened, url):
    with pytest.raises(ValueError, match="from URLs"):
        opened(Path(url))


def test_a_folder_of_such_a_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    assert disk_path("s3:/out", "output") == Path("s3:/out")


def test_nor_are_the_empty_names_of_a_call_and_of_an_entry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"source": "a", "target": "b"}\n')
    with pytest.raises(ValueError, match="empty"):
        find_files("")
    with pytest.raises(ValueError, match="empty"):
        read_text_pairs(":source:target", "source", "target")
