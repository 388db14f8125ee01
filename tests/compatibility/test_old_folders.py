"""Folders that version 0.1.0 left open with the code of today, and go on as they went on then.

`record.py` made them; `expected.json` holds what the old code itself made of each. The tests use
the command and `unblank.load`, as the people do whose folders these are.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import unblank
from unblank.cli import main

RECORDED = Path(__file__).resolve().parent / "recorded"
EXPECTED = json.loads((RECORDED / "expected.json").read_text())
UNFINISHED = {"pretraining": "pretrain", "labels_lora": "finetune", "pairs_full": "finetune"}
RUNS = {**UNFINISHED, "translation": "pretrain"}
ADAPTERS = ("lora", "prompt", "deep-prompt")
SAVED_STEP = 6
TIMED = ("tokens_per_second",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of all that was recorded, which is also the working directory."""
    copy = tmp_path / "recorded"
    shutil.copytree(RECORDED, copy)
    # Sentences had no limit then, which has to be said to draw the same samples.
    path = copy / "pretraining" / "run.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["objective"]["sentence_limit"] = 0.0
    path.write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(copy)
    return copy


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def split(line):
    """Return the numbers of a line, without those of time, and all else that it says.

    Version 0.1.0 measured no parts of the held-out loss.
    """
    line = {name: value for name, value in line.items() if not name.startswith("loss_on_")}
    numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
    rest = {name: value for name, value in line.items() if name not in numbers}
    return {name: numbers[name] for name in numbers if name not in TIMED}, rest


def require_same_lines(lines, expected):
    """Texts are the same; numbers are, up to the rounding of another machine."""
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected, strict=True):
        (numbers, rest), (wanted_numbers, wanted_rest) = split(line), split(wanted)
        assert rest == wanted_rest
        assert numbers == pytest.approx(wanted_numbers, rel=1e-5, abs=1e-5)


def require_expected(run, output):
    for name, lines in EXPECTED[run].items():
        if lines:
            require_same_lines(read_lines(output / f"{name}.jsonl"), lines)


def change(path, section, **values):
    """Change settings where they stand, in the file that the old version wrote."""
    settings = yaml.safe_load(path.read_text())
    assert set(values) <= set(settings[section])
    settings[section].update(values)
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def files(folder):
    """Return name -> (inode, time of change) of every file, to see which were written anew."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "known_text.json"  # which is not prepared text
    }


def is_saved(line):
    return line["step"] <= SAVED_STEP


@pytest.mark.parametrize("run", UNFINISHED)
def test_an_unfinished_run_goes_on_from_its_step_to_its_end_with_its_prepared_text(folder, run):
    before = read_lines(folder / run / "metrics.jsonl")
    assert len(before) > SAVED_STEP
    prepared = files(folder / "shards")
    main([UNFINISHED[run], f"{run}/run.yaml"])
    assert files(folder / "shards") == prepared
    after = read_lines(folder / run / "metrics.jsonl")
    # With their times: these lines are the old ones, not computed again.
    assert list(filter(is_saved, after)) == list(filter(is_saved, before))
    require_expected(run, folder / run)
    if not (folder / run / "adapter.json").is_file():
        unblank.load(folder / run, device="cpu")


def test_a_run_whose_sentences_had_no_limit_is_not_continued_with_one(folder, capsys):
    path = change(folder / "pretraining" / "run.yaml", "objective", sentence_limit=2.0)
    with pytest.raises(SystemExit):
        main(["pretrain", path])
    assert "objective.sentence_limit was 0.0, now 2.0" in capsys.readouterr().err


@pytest.mark.parametrize("run", RUNS)
def test_the_settings_that_were_written_beside_a_run_repeat_it_with_its_prepared_text(folder, run):
    prepared = files(folder / "shards")
    settings = folder / "again.yaml"
    shutil.copy(folder / run / "run.yaml", settings)
    main([RUNS[run], change(settings, "train", output_dir="again")])
    require_expected(run, folder / "again")
    assert files(folder / "shards") == prepared


@pytest.mark.parametrize(
    "path", sorted(RECORDED.glob("*/run.yaml")), ids=lambda path: path.parent.name
)
def test_the_settings_of_any_old_run_are_accepted(path, capsys, tmp_path):
    is_pretraining = "objective" in yaml.safe_load(path.read_text())
    command = "pretrain" if is_pretraining else "finetune"
    printed = []
    for place in (path, tmp_path / "printed.yaml"):
        with pytest.raises(SystemExit) as stopped:
            main([command, str(place), "--print-recipe"])
        assert not stopped.value.code
        printed.append(capsys.readouterr().out)
        (tmp_path / "printed.yaml").write_text(printed[0])
    assert yaml.safe_load(printed[0])
    assert printed[0] == printed[1]


@pytest.mark.parametrize("run", UNFINISHED)
@pytest.mark.parametrize(
    ("section", "name", "value"), [("optim", "weight_decay", 0.3), ("train", "seed", 7)]
)
def test_an_unfinished_run_still_belongs_to_its_settings(folder, run, section, name, value, capsys):
    before = files(folder / run / "checkpoints")
    with pytest.raises(SystemExit) as stopped:
        main([UNFINISHED[run], change(folder / run / "run.yaml", section, **{name: value})])
    assert stopped.value.code == 2
    assert f"{section}.{name}" in capsys.readouterr().err
    assert files(folder / run / "checkpoints") == before


def test_an_unfinished_run_goes_on_where_its_data_were_moved(folder):
    (folder / "elsewhere").mkdir()
    for name in ("text.txt", "held_out.txt", "shards"):
        shutil.move(folder / name, folder / "elsewhere" / name)
    moved = {"train": ["elsewhere/text.txt"], "validation": ["elsewhere/held_out.txt"]}
    settings = change(
        folder / "pretraining/run.yaml", "data", cache_dir="elsewhere/shards", **moved
    )
    main(["pretrain", settings])
    require_expected("pretraining", folder / "pretraining")


def scores(model):
    scored = EXPECTED["scored"]
    found = [model.score(text, scored["candidates"]) for text in scored["texts"]]
    return torch.tensor([[candidate.score for candidate in one.candidates] for one in found])


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_opens_with_its_base_model_and_scores_as_it_did(folder, kind):
    record = folder / f"adapter_{kind}" / "adapter.json"
    moved = json.loads(record.read_text()) | {"base_model": "model"}
    record.write_text(json.dumps(moved))
    expected = torch.tensor(EXPECTED["scores"][kind])
    without = torch.tensor(EXPECTED["scores"]["none"])
    assert (expected - without).abs().min() > 1e-3, "the adapter must make a difference"
    model = unblank.load(record.parent, device="cpu")
    torch.testing.assert_close(scores(model), expected, rtol=0, atol=1e-4)


def test_a_model_scores_as_it_did(folder):
    expected = torch.tensor(EXPECTED["scores"]["none"])
    model = unblank.load("model", device="cpu")
    torch.testing.assert_close(scores(model), expected, rtol=0, atol=1e-4)


def test_an_adapter_merges_into_its_base_model(folder):
    record = folder / "adapter_lora" / "adapter.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"base_model": "model"}))
    main(["merge", "adapter_lora", "merged"])
    expected = torch.tensor(EXPECTED["scores"]["lora"])
    torch.testing.assert_close(
        scores(unblank.load("merged", device="cpu")), expected, rtol=0, atol=1e-3
    )
