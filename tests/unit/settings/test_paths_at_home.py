"""`~` is the home folder in every path of every command and recipe, and plain text elsewhere."""

from pathlib import Path

import pytest

from unblank.commands import evaluate, fill, finetune, generate, pretrain, score, tokenize


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
    assert tokenize.parse(["--train", "~/a", "--output=~/t"]).output == "/home/anna/t"
    suite = evaluate.parse(["~/m", "--suite", "cloze", "--tasks", "~/t.yaml", "--file", "~/f.csv"])
    assert (suite.model, suite.tasks, suite.file) == (
        "/home/anna/m",
        ("/home/anna/t.yaml",),
        ("/home/anna/f.csv",),
    )


def test_a_user_that_is_not_there_is_part_of_the_name():
    settings = generate.parse(["~nobody-of-this-name/m", "--input=~nobody-of-this-name/in.txt"])
    assert settings.input == Path("~nobody-of-this-name/in.txt")
