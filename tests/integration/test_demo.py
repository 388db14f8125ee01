"""`unblank demo`: its length, in minutes or in steps."""

import json
import random

import pytest
import yaml

from unblank.cli import main

WORDS = (  # many enough that no two paragraphs are near copies
    *("the", "river", "ran", "past", "old", "stone", "houses", "while", "small", "boats"),
    *("waited", "under", "a", "wide", "grey", "sky"),
)


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    drawn = random.Random(0)
    paragraphs = [" ".join(drawn.choices(WORDS, k=20)) + "." for _ in range(60)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(paragraphs))
    return path


def demo(text_file, output, *options):
    given = ["--text", str(text_file), "--output", str(output), "--no-arrange-memory"]
    main(["demo", *given, "--sentences", "1", *options])


def test_as_many_steps_are_done_as_fit_into_the_minutes(text_file, tmp_path, monkeypatch):
    # So long that the run begins in time on any machine, and the steps then take three seconds.
    monkeypatch.setattr("unblank.engine.minutes.KEPT_BACK", 0.998)
    monkeypatch.setattr("unblank.engine.minutes._TIMED_SHARE", 0.0)
    demo(text_file, tmp_path, "--minutes", "30")
    train = yaml.safe_load((tmp_path / "model" / "run.yaml").read_text())["train"]
    assert train["minutes"] == 30
    last = (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] == train["max_steps"] >= 1


def test_steps_take_the_place_of_the_minutes(text_file, tmp_path):
    demo(text_file, tmp_path, "--steps", "3")
    train = yaml.safe_load((tmp_path / "model" / "run.yaml").read_text())["train"]
    assert (train["max_steps"], train.get("minutes")) == (3, None)


def test_both_are_refused(text_file, tmp_path):
    with pytest.raises(SystemExit):
        demo(text_file, tmp_path, "--steps", "3", "--minutes", "1")
    assert not (tmp_path / "model").exists()


def test_another_length_in_the_same_folder_is_refused_by_the_options_of_the_demo(
    text_file, tmp_path, capsys
):
    demo(text_file, tmp_path, "--steps", "3")
    with pytest.raises(SystemExit):
        demo(text_file, tmp_path, "--minutes", "5")
    said = capsys.readouterr().err
    assert "--steps" in said
    assert "train." not in said.splitlines()[-1]
