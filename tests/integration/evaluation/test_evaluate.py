"""The command `evaluate`: what it finds, refuses and writes."""

import hashlib
import json

import numpy as np
import pytest
from evaluation_toys import write
from hypothesis import given
from hypothesis import strategies as st

import unblank
from unblank.cli import main
from unblank.data.splits import find_split
from unblank.evaluation.infilling import blank_words
from unblank.evaluation.suite_files import suite_names
from unblank.evaluation.suite_options import SUITE_OPTIONS

WORD_LISTS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=25)


def test_every_suite_has_its_options():
    assert set(suite_names()) == set(SUITE_OPTIONS)


@given(WORD_LISTS, st.floats(0.05, 0.95), st.integers(0, 99))
def test_blanks_and_answers_put_the_sentence_together_again(words, ratio, seed):
    blanked = blank_words(" ".join(words), ratio, np.random.default_rng(seed))
    count = max(1, round(ratio * len(words)))
    if count >= len(words):
        assert blanked is None
        return
    text = blanked.text
    for answer in blanked.answers:
        text = text.replace("[MASK]", answer, 1)
    assert text == blanked.original == " ".join(words)
    assert sum(len(answer.split()) for answer in blanked.answers) == count
    assert "[MASK] [MASK]" not in blanked.text
    assert blanked.without_blanks.split() == [
        word for word in blanked.text.split() if word != "[MASK]"
    ]


def test_a_sentence_that_holds_blanks_itself_is_left_out():
    assert blank_words("a [MASK] c d e f", 0.3, np.random.default_rng(0)) is None


def test_infilling_writes_the_same_blanks_each_time(model_folder, data_folder, tmp_path, capsys):
    contents = []
    for name in ("one.json", "two.json"):
        main(
            ["evaluate", str(model_folder), "--suite", "infilling", "--tasks", "yahoo",
             "--mask-ratios", "0.3", "--max-tokens", "4", "--data", str(data_folder),
             "--output", str(tmp_path / name)]
        )  # fmt: skip
        contents.append(json.loads((tmp_path / name).read_text(encoding="utf-8")))
    out = capsys.readouterr().out
    assert "BLEU if left empty" in out
    assert contents[0]["predictions"] == contents[1]["predictions"]
    line = contents[0]["predictions"][0]
    assert line["text"].count("[MASK]") == len(line["fills"]) == len(line["answers"])
    metrics = {score["metric"]: score for score in contents[0]["scores"]}
    assert metrics["BLEU"]["details"]["signature"].startswith("nrefs:1")
    assert metrics["BLEU"]["count"] == 3
    assert contents[0]["versions"]["unblank"]
    weights = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
    assert contents[0]["model"]["files"]["model.safetensors"]["sha256"] == weights
    assert contents[0]["config"]["mask_ratios"] == [0.3]


def test_infilling_leaves_out_what_the_model_has_no_room_for(model_folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the old cat sat on a mat\n" + "the cat sat " * 400 + "\n")
    output = tmp_path / "out.json"
    file = tmp_path / "a.txt"
    words = f"--suite infilling --mask-ratios 0.4 --max-tokens 4 --file {file}".split()
    main(["evaluate", str(model_folder), *words, "--output", str(output)])
    assert "left out 1 of 2 texts" in capsys.readouterr().err
    (prediction,) = json.loads(output.read_text())["predictions"]
    assert prediction["original"] == "the old cat sat on a mat"
    (tmp_path / "a.txt").write_text("the cat sat " * 400 + "\n")
    again = tmp_path / "again.json"
    assert "positions" in fails(capsys, model_folder, *words, "--output", again)


def test_infilling_takes_the_order_that_is_asked_for(model_folder, tmp_path):
    (tmp_path / "a.txt").write_text("the old cat sat on a mat and ran\n")
    predictions = {}
    for order in ("left", "confidence"):
        output = tmp_path / f"{order}.json"
        main(
            ["evaluate", str(model_folder), "--suite", "infilling", "--mask-ratios", "0.4",
             "--max-tokens", "4", "--file", str(tmp_path / "a.txt"), "--order", order,
             "--output", str(output)]
        )  # fmt: skip
        (predictions[order],) = json.loads(output.read_text())["predictions"]
    model = unblank.load(model_folder)
    for order, found in predictions.items():
        result = model.fill(
            found["text"], max_tokens=4, order=None if order == "left" else "confidence"
        )
        assert found["fills"] == [blank.text for blank in result.blanks]


def fails(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *map(str, words)])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_measured_is_said_in_words(model_folder, data_folder, capsys, monkeypatch):
    monkeypatch.delenv("UNBLANK_DATA", raising=False)
    error = fails(capsys, model_folder, "--suite", "lambada")
    assert "--data FOLDER" in error
    assert "UNBLANK_DATA" in error
    error = fails(capsys, model_folder, "--suite", "lambada", "--data", data_folder / "nowhere")
    assert "there is no folder of data" in error
    error = fails(
        capsys, model_folder, "--suite", "perplexity", "--data", data_folder, "--tasks", "novel"
    )
    assert "novels" in error
    error = fails(
        capsys, model_folder, "--suite", "lambada", "--data", data_folder, "--split", "test"
    )
    assert "dev_plain.jsonl" in error
    error = fails(
        capsys, model_folder, "--suite", "infilling", "--data", data_folder, "--split", "test"
    )
    assert "there are sentences.jsonl" in error
    error = fails(capsys, model_folder, "--suite", "lambada", "--window", "9")
    assert all(name in error for name in ("--window", "--suite lambada", "--suite perplexity"))


def test_splits_are_found_under_their_usual_names(tmp_path):
    for name in (
        "a/validation_in_domain",
        "a/train",
        "b/val",
        "c/dev_one",
        "c/dev_two",
        "d/valid",
        "e/sentences",
    ):
        write(tmp_path / f"{name}.jsonl", [{"text": "x"}])

    def found(folder, split):
        return [path.name for path in find_split(tmp_path, folder + "/{split}", split)]

    assert found("a", "validation") == ["validation_in_domain.jsonl"]
    assert found("a", "train") == ["train.jsonl"]
    assert found("b", "validation") == ["val.jsonl"]
    assert found("d", "validation") == ["valid.jsonl"]
    assert found("e", "validation") == ["sentences.jsonl"]
    assert found("c", "dev_two") == ["dev_two.jsonl"]
    with pytest.raises(ValueError, match=r"dev_one$"):
        found("c", "validation")
    with pytest.raises(FileNotFoundError, match=r"train\.jsonl"):
        found("a", "test")


def test_a_refused_measurement_leaves_no_folder_behind(model_folder, tmp_path):
    words = ["evaluate", str(model_folder), "--suite", "perplexity"]
    words += [
        "--file",
        str(tmp_path / "none.txt"),
        "--output",
        str(tmp_path / "a" / "b" / "x.json"),
    ]
    with pytest.raises(SystemExit):
        main(words)
    assert list(tmp_path.iterdir()) == []
