"""`unblank show --task`: what is printed is what is scored."""

import io
import json
import re

import pytest

from unblank.commands import show
from unblank.consoles import TextConsole
from unblank.showing.options import ShowTaskOptions, ShowTextOptions
from unblank.showing.task import show_task


def printed(config):
    stream = io.StringIO()
    show_task(config, TextConsole(file=stream, width=200, highlight=False))
    return stream.getvalue()


def test_texts_are_shown_without_a_model():
    text = printed(ShowTaskOptions(task="copa"))
    assert "The man broke his toe because [MASK]." in text
    assert "right: he dropped a hammer on his foot" in text
    assert "give a model or a tokenizer" in text


def test_a_split_of_two_files_is_answered_with_what_show_has(tmp_path, monkeypatch):
    folder = tmp_path / "nlu/glue/CoLA"
    folder.mkdir(parents=True)
    for name in ("validation_in_domain", "validation_out_of_domain"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"sentence": "a", "label": 1}))
    monkeypatch.setenv("UNBLANK_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="--data FILE"):
        printed(ShowTaskOptions(task="cola", example=0))


def test_layout_and_scores_are_shown_with_one(model_folder):
    text = printed(ShowTaskOptions(task="rte", model=model_folder, pattern=4))
    assert "> 4  The cat sat on the old mat" in text
    assert "Part B: 2 candidates in one tree" in text
    without_scores = printed(ShowTaskOptions(task="rte", tokenizer=model_folder, pattern=4))
    assert "Part B: 2 candidates in one tree" in without_scores
    assert "-" in text.split("not_entailment")[1].splitlines()[0]
    assert "-" not in without_scores.split("not_entailment")[1].splitlines()[0]


def test_each_layout_is_shown(model_folder, tiny_with_sentinels, tmp_path):
    text = printed(ShowTaskOptions(task="copa", model=model_folder, layout="masked"))
    lengths = [
        line.split()[3] for line in text.splitlines() if re.search(r" candidates? of ", line)
    ]
    masks = [line.count("[MASK]") for line in text.splitlines() if line.startswith("input")]
    assert "Part B" not in text
    assert sum(masks) == sum(map(int, lengths)) > 2
    tiny_with_sentinels.tokenizer.save_pretrained(tmp_path)
    text = printed(ShowTaskOptions(task="copa", tokenizer=tmp_path, layout="sentinel"))
    inputs = [line for line in text.splitlines() if line.startswith("input")]
    assert [line.split()[1] == "[MASK1]" for line in inputs].count(True) == 1  # begins Part B
    assert "".join(inputs).count("[MASK1]") == 2
    assert "[MASK]" not in "".join(inputs)
    with pytest.raises(ValueError, match="'sentinel'"):
        printed(ShowTaskOptions(task="copa", tokenizer=model_folder, layout="sentinel"))


def test_what_gave_way_is_said(model_folder):
    text = printed(ShowTaskOptions(task="rte", model=model_folder, max_length=40))
    assert "the field premise was shortened by" in text


def test_numbered_examples_come_from_the_folder_of_data_sets(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBLANK_DATA", str(tmp_path))
    folder = tmp_path / "nlu" / "superglue" / "RTE"
    folder.mkdir(parents=True)
    record = {"premise": "It rains.", "label": "entailment"}
    lines = [json.dumps({**record, "hypothesis": f"Day {n}."}) for n in range(3)]
    (folder / "train.jsonl").write_text("\n".join(lines[:1]), encoding="utf-8")
    assert "Day 0" in printed(ShowTaskOptions(task="rte", example=0))
    (folder / "val.jsonl").write_text("\n".join(lines), encoding="utf-8")
    text = printed(ShowTaskOptions(task="rte", example=2))
    assert '"Day 2" ? [MASK], "It rains."' in text
    assert "val.jsonl, line 3" in text
    with pytest.raises(ValueError, match=r"example 3\b.*0 to 2"):
        printed(ShowTaskOptions(task="rte", example=3))
    with pytest.raises(FileNotFoundError, match="'cb'"):
        printed(ShowTaskOptions(task="cb", example=0))
    monkeypatch.delenv("UNBLANK_DATA")
    with pytest.raises(ValueError, match=r"--data FILE.*UNBLANK_DATA"):
        printed(ShowTaskOptions(task="rte", example=0))


def test_the_words_choose_between_a_text_and_a_task():
    assert isinstance(show.parse(["some text"]), ShowTextOptions)
    assert show.parse(["--task", "rte", "--example", "2"]) == ShowTaskOptions(task="rte", example=2)
