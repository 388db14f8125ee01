"""`unblank predict`: what a tuned model predicts of a file is what its training measured."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from labelled_toys import labelled_config, record, toys
from served_toys import client_of

import unblank
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.cli import main
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.run import run_finetune
from unblank.prompting import load_task, predict, read_examples
from unblank.prompting.scoring import normalized
from unblank.serving.opening import open_service

__all__ = ["toys"]

WAYS = {
    "full": {"method": "full", "cloze": ClozeSettings(patterns=(1, 0))},
    "classifier": {"method": "classifier", "cloze": ClozeSettings(pooled="end")},
    "lora": {"method": "lora", "lora": LoraSettings(rank=2)},
    "prompt": {"method": "prompt", "prompt": PromptSettings(length=3)},
    "deep-prompt": {"method": "deep-prompt", "prompt": PromptSettings(length=3)},
    "lora-classifier": {
        "method": "lora", "lora": LoraSettings(rank=2), "cloze": ClozeSettings(classifier=True),
    },
    "prompt-classifier": {
        "method": "prompt", "prompt": PromptSettings(length=3),
        "cloze": ClozeSettings(classifier=True),
    },
    "deep-prompt-classifier": {
        "method": "deep-prompt", "prompt": PromptSettings(length=3),
        "cloze": ClozeSettings(classifier=True),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def tuned(toys, tmp_path_factory):
    """A folder for each way, made when it is asked for."""
    made = {}

    def folder(way):
        if way not in made:
            output = tmp_path_factory.mktemp("tuned") / way
            train = {"max_steps": 3, "validate_every": 3, "final": "last"}
            made[way] = run_finetune(labelled_config(toys, output, train=train, **WAYS[way]))
        return made[way]

    return folder


def measured(folder):
    """Return the last held-out predictions of a run."""
    (path,) = sorted((folder / "predictions").glob("*3.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_predictions_are_those_of_the_training(way, tuned, toys, tmp_path, capsys):
    folder, output = tuned(way), tmp_path / "out.jsonl"
    main(["predict", str(folder), str(toys["validation"]), str(output), "--batch-size", "5"])
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    for row, expected in zip(rows, measured(folder), strict=True):
        assert row["predicted"] == expected["predicted"]
        assert list(row["probabilities"]) == ["good", "bad"]
        assert list(row["probabilities"].values()) == pytest.approx(
            expected["probabilities"], abs=1e-4
        )
        assert row["probability"] == max(row["probabilities"].values())
        assert row["label"] == expected["right"]
    report = json.loads((tmp_path / "out.report.json").read_text())
    right = [row["predicted"] == row["label"] for row in rows]
    assert report["scores"]["accuracy"] == pytest.approx(100 * np.mean(right))
    assert f"{100 * np.mean(right):.2f}" in capsys.readouterr().out


def without_labels(rows):
    """What is asked, and what is answered, of a file's rows."""
    asked = [{"text": row["text"]} for row in rows]
    names = ("predicted", "probability", "probabilities", "candidates", "abstained", "answers")
    return asked, [{name: row[name] for name in names if name in row} for row in rows]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            numbers = name in ("probability", "probabilities")
            assert one[name] == (pytest.approx(value, abs=1e-4) if numbers else value)


@pytest.mark.parametrize("way", ["full", "classifier"])
def test_an_answer_to_a_part_of_a_text_says_so(way, tuned, tmp_path):
    texts = ["a fine film", "a fine film " * 100]
    records = "".join(f"{json.dumps({'text': text})}\n" for text in texts)
    (tmp_path / "texts.jsonl").write_text(records)
    unblank.predict_file(tuned(way), tmp_path / "texts.jsonl", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        assert [row["shortened"] for row in csv.DictReader(file)] == ["", "true"]


@pytest.mark.parametrize("way", WAYS)
def test_the_server_predicts_what_the_command_does(way, tuned, toys, tmp_path):
    folder = tuned(way)
    predict_file = unblank.predict_file(folder, toys["validation"], tmp_path / "o.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    asked, expected = without_labels(rows)
    assert len(predict_file) == len(expected)
    threshold = float(np.median([one["probability"] for one in expected]))
    with client_of(service=open_service({"mine": folder}, {})) as client:
        found = client.post("/v1/classify", json={"inputs": asked}).json()
        named = client.post("/v1/classify", json={"inputs": asked[0], "task": "toy"}).json()
        body = {"inputs": asked, "abstain_below": threshold}
        unsure = client.post("/v1/classify", json=body).json()["predictions"]
        about = client.get("/v1/models").json()["data"][0]
        fill = client.post("/v1/fill", json={"text": "the [MASK]", "max_tokens": 2})
        other = client.post("/v1/classify", json={"inputs": asked[0], "task": "sst2"})
    assert_same(found["predictions"], expected)
    assert_same(named["predictions"], expected[:1])
    for one, other_one in zip(unsure, expected, strict=True):
        if abs(other_one["probability"] - threshold) > 1e-4:
            is_sure = other_one["probability"] > threshold
            assert one["predicted"] == (other_one["predicted"] if is_sure else None)
    assert about["task"] == found["task"] == "toy"
    is_head = "classifier" in way
    assert about["can"] == (["classify"] if is_head else ["score", "generate", "fill", "classify"])
    assert fill.status_code == (422 if is_head else 200)
    assert other.status_code == 422  # the other task, or its field
    assert ("classifier" in other.text) == is_head


def test_patterns_of_a_served_task_are_those_of_the_command(tuned, toys, tmp_path):
    folder = tuned("full")
    options = {"patterns": [1], "normalization": "pmi"}
    rows = unblank.predict_file(folder, toys["validation"], tmp_path / "o.jsonl", **options)
    texts = [json.loads(line)["text"] for line in toys["validation"].read_text().splitlines()]
    with client_of(service=open_service({"mine": folder}, {})) as client:
        body = {"inputs": [{"text": text} for text in texts], **options}
        assert_same(client.post("/v1/classify", json=body).json()["predictions"], rows)
        body["patterns"] = [7]
        assert client.post("/v1/classify", json=body).status_code == 422


@pytest.mark.parametrize("way", ["classifier", "lora"])
def test_a_served_task_whose_file_has_moved(way, toys, tmp_path, capsys):
    task = tmp_path / "toy.yaml"
    shutil.copy(toys["task"], task)
    train = {"max_steps": 1, "validate_every": 1, "final": "last"}
    files = {**toys, "task": task}
    config = labelled_config(files, tmp_path / "run", train=train, **WAYS[way])
    folder = run_finetune(config)
    task.unlink()
    asked = {"inputs": {"text": "a fine play"}}
    if way == "classifier":
        with pytest.raises(FileNotFoundError, match=r"toy\.yaml"):
            open_service({"mine": folder}, {})
    else:
        with client_of(service=open_service({"mine": folder}, {})) as client:
            assert client.post("/v1/classify", json=asked).status_code == 422
        assert "toy.yaml" in capsys.readouterr().err
    given = {"toy": load_task(toys["task"])}
    with client_of(service=open_service({"mine": folder}, given)) as client:
        assert client.post("/v1/classify", json=asked).status_code == 200


@pytest.mark.parametrize("way", ["classifier", "lora-classifier", "lora", "prompt", "deep-prompt"])
def test_every_way_is_measured_on_other_data(way, tuned, toys, tmp_path):
    folder = tuned(way)
    suite = "classifier" if "classifier" in way else "cloze"
    tasks = {} if suite == "classifier" else {"tasks": (str(toys["task"]),)}
    output = tmp_path / "out.json"
    found = unblank.evaluate(folder, suite, file=[str(toys["validation"])], output=output, **tasks)
    right = [one["predicted"] == one["right"] for one in measured(folder)]
    assert found.scores[0].value == pytest.approx(100 * np.mean(right))


@pytest.mark.parametrize("made_by", ["merge", "trim"])
def test_a_model_made_of_a_tuned_one_still_knows_its_task(made_by, tuned, toys, tmp_path):
    source, output = tuned("lora" if made_by == "merge" else "full"), tmp_path / "made"
    more = ["--corpus", str(toys["train"]), "--coverage", "1"] if made_by == "trim" else []
    main([made_by, str(source), str(output), *more])
    unblank.predict_file(output, toys["validation"], tmp_path / "found.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    for row, expected in zip(rows, measured(source), strict=True):
        assert row["predicted"] == expected["predicted"]


def test_records_without_labels_and_bad_ones_keep_their_places(tuned, tmp_path, capsys):
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    rows = [("a play", "good"), ("the film", ""), ("a song", "?"), ("fine " * 99 + "song", "")]
    with source.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
    main(["predict", str(tuned("full")), str(source), str(output)])
    capsys.readouterr()
    with output.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["number"] for row in found] == ["1", "2", "3", "4"]
    assert all(row["predicted"] in ("good", "bad") for row in found)
    assert float(found[0]["probabilities_good"]) == pytest.approx(
        1 - float(found[0]["probabilities_bad"])
    )
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert (report["count"], report["unknown_labels"]) == (1, 1)
    source.write_text("text,label\na play,Good\na song,fine\n")
    main(["predict", str(tuned("full")), str(source), str(tmp_path / "strange.csv")])
    assert re.search(r"no report.*'label'.*\b2 records", capsys.readouterr().err, re.S)
    assert not (tmp_path / "strange.report.json").exists()
    source.write_text('{"text": "a play"}\n{"other": 1}\n')
    with pytest.raises(SystemExit):
        main(["predict", str(tuned("full")), str(source.rename(tmp_path / "in.jsonl")),
              str(tmp_path / "out2.jsonl")])  # fmt: skip
    assert "1 of 2 records could not be labelled" in capsys.readouterr().err
    first, second = map(json.loads, (tmp_path / "out2.jsonl").read_text().splitlines())
    assert "predicted" in first
    assert "no field 'text'" in second["error"]
    assert not (tmp_path / "out2.report.json").exists()


def test_nothing_is_predicted_below_the_threshold(tuned, toys, tmp_path):
    output = tmp_path / "out.jsonl"
    rows = unblank.predict_file(tuned("full"), toys["validation"], output)
    threshold = float(np.median([row["probability"] for row in rows]))
    again = unblank.predict_file(
        tuned("full"), toys["validation"], tmp_path / "again.jsonl", abstain_below=threshold
    )
    for row, other in zip(rows, again, strict=True):
        assert other["abstained"] == (row["probability"] < threshold)
        assert other["predicted"] == (None if other["abstained"] else row["predicted"])
    report = json.loads((tmp_path / "again.report.json").read_text())
    share = 100 * np.mean([row["probability"] >= threshold for row in rows])
    assert report["scores"]["answered"] == pytest.approx(share)
    whole = json.loads((tmp_path / "out.report.json").read_text())
    assert report["scores"]["accuracy"] == whole["scores"]["accuracy"]


def test_candidates_and_numbers_are_predicted_too(toys, tmp_path):
    task, data = tmp_path / "choose.yaml", tmp_path / "in.jsonl"
    task.write_text("candidates: options\npatterns: ['{text} [MASK].']\n")
    data.write_text('{"text": "the play", "options": ["fine", "very poor"], "label": "fine"}\n')
    (row,) = unblank.predict_file(toys["model"], data, tmp_path / "o.jsonl", task=str(task))
    assert [one["text"] for one in row["candidates"]] == ["fine", "very poor"]
    assert sum(one["probability"] for one in row["candidates"]) == pytest.approx(1)
    task.write_text(
        "regression: true\nverbalizer: {'0': No, '5': Yes}\npatterns: ['{text} [MASK].']\n"
    )
    data.write_text('{"text": "the play", "label": 2.5}\n{"text": "a film", "label": 1}\n')
    rows = unblank.predict_file(toys["model"], data, tmp_path / "n.csv", task=str(task))
    assert rows[0]["predicted"] == pytest.approx(5 * rows[0]["probabilities"]["5"])
    with pytest.raises(ValueError, match="number"):
        unblank.predict_file(
            toys["model"], data, tmp_path / "x.csv", task=str(task), abstain_below=0.5
        )


@pytest.mark.parametrize("way", ["classifier", "lora", "deep-prompt-classifier"])
def test_every_way_is_calibrated_in_its_own_folder(way, tuned, tmp_path):
    folder, data = tmp_path / "tuned", tmp_path / "known.jsonl"
    shutil.copytree(tuned(way), folder)
    rng = np.random.default_rng(7)
    data.write_text("".join(json.dumps(record(rng)) + "\n" for _ in range(120)))
    unblank.calibrate(folder, data)
    temperature = json.loads((folder / "calibration.json").read_text())["labels"]["toy"][
        "temperature"
    ]
    raw = unblank.predict_file(folder, data, tmp_path / "a.csv", calibration=False)
    found = unblank.predict_file(folder, data, tmp_path / "b.csv")
    for one, other in zip(found, raw, strict=True):
        odds, before = (
            np.log(row["probabilities"]["good"] / row["probabilities"]["bad"])
            for row in (one, other)
        )
        assert odds == pytest.approx(before / temperature, abs=1e-3)


def test_labels_are_compared_without_their_prior(toys, tmp_path):
    """The same as `predict` of the library, which another test compares with the formula."""
    task = load_task(str(toys["task"]))
    examples = read_examples(task, [toys["validation"]]).examples
    model = unblank.load(toys["model"])
    options = {"task": str(toys["task"]), "patterns": [1]}
    found = {}
    for how in ("sum", "mean", "pmi", "contextual"):
        asked, prior = normalized(task, how)
        expected = predict(
            model.model, model.tokenizer, asked, examples, patterns=(1,), prior=prior
        )
        output = tmp_path / f"{how}.jsonl"
        rows = unblank.predict_file(
            toys["model"], toys["validation"], output, normalization=how, **options
        )
        found[how] = [list(row["probabilities"].values()) for row in rows]
        for one, other in zip(found[how], expected, strict=True):
            assert one == pytest.approx(other.probabilities, abs=1e-5)
        scores = unblank.evaluate(
            toys["model"], "cloze", tasks=[str(toys["task"])], file=[str(toys["validation"])],
            pattern=[1], normalization=how, output=tmp_path / f"{how}.json",
        ).scores  # fmt: skip
        right = [
            one.index in example.answers for one, example in zip(expected, examples, strict=True)
        ]
        assert scores[0].value == pytest.approx(100 * np.mean(right))
    assert not np.allclose(found["sum"], found["contextual"])


def test_a_model_without_a_task_asks_for_one(toys, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(toys["model"]), str(toys["train"]), str(tmp_path / "o.csv")])
    assert "give --task" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
