"""Several labels at once, and labels in an order: trained, predicted, reported, calibrated."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_toys import FILLER, WORDS, labelled_config
from served_toys import client_of
from sklearn.metrics import f1_score

import unblank
from unblank.adapters.settings import LoraSettings
from unblank.cli import main
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneOptimSettings
from unblank.integrity import read_record, seal, write_atomically
from unblank.objectives.cloze import cloze_loss
from unblank.prompting import load_task
from unblank.prompting.examples import TaskExample, make_examples
from unblank.prompting.predicting import decide
from unblank.serving.opening import open_service

SEVERAL = """
labels: [good, bad]
decision: several
classifier: ['{text}']
"""
RANKS = """
verbalizer: {low: poor, middle: fine, high: great}
patterns: ['{text} In short: [MASK].']
decision: rank
classifier: ['{text}']
"""


@pytest.fixture(scope="module")
def several(toys, tmp_path_factory):
    """A classifier of texts that hold good words, bad ones, both or none, with its files."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "several.yaml").write_text(SEVERAL)
    rng = np.random.default_rng(0)
    files = {**toys, "task": folder / "several.yaml"}
    for name, count in (("train", 96), ("validation", 64)):
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text(
            "".join(json.dumps(several_record(rng)) + "\n" for _ in range(count))
        )
    files["folder"] = trained(files, folder / "run", "classifier")
    return files


def trained(files, output, method):
    if method == "full":
        return run_finetune(labelled_config(files, output, train={"max_steps": 120}))
    run = {"max_steps": 40, "validate_every": 40}
    settings = labelled_config(files, output, method=method, train=run)
    return run_finetune(replace(settings, optim=FinetuneOptimSettings(learning_rate=1e-2)))


def several_record(rng):
    labels = [label for label in WORDS if rng.random() < 0.5]
    words = [str(word) for word in rng.choice(FILLER, size=3)]
    words += [str(rng.choice(WORDS[label])) for label in labels]
    rng.shuffle(words)
    return {"text": " ".join(words), "label": labels}


def test_several_labels_are_learned_and_reported_as_scikit_learn_counts(several, tmp_path):
    output = tmp_path / "out.jsonl"
    answers = unblank.predict_file(several["folder"], several["validation"], output)
    records = [json.loads(line) for line in several["validation"].read_text().splitlines()]
    right = [[label in one["label"] for label in WORDS] for one in records]
    found = [[label in one["predicted"] for label in WORDS] for one in answers]
    report = json.loads((tmp_path / "out.report.json").read_text())
    micro = 100 * f1_score(right, found, average="micro")
    assert report["scores"]["micro_f1"] == pytest.approx(micro)
    assert micro > 70
    assert any(not one["label"] for one in records), "records without any label count, too"
    assert all(
        (one["probabilities"][label] >= 0.5) == (label in one["predicted"])
        for one in answers for label in WORDS
    )  # fmt: skip
    assert set(report["labels"]["good"]) >= {"f1", "threshold", "best_threshold"}


def served(folder, path):
    """What the server answers to the texts of a file."""
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    with client_of(service=open_service({"mine": folder}, {})) as client:
        body = {"inputs": [{"text": text} for text in texts]}
        return client.post("/v1/classify", json=body).json()["predictions"]


def test_several_labels_are_served_as_they_are_predicted(several, tmp_path):
    expected = unblank.predict_file(
        several["folder"], several["validation"], tmp_path / "out.jsonl"
    )
    found = served(several["folder"], several["validation"])
    assert [one["predicted"] for one in found] == [one["predicted"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


@pytest.mark.slow
def test_several_labels_are_learned_by_an_adapter_and_measured_by_the_suite(several, tmp_path):
    settings = labelled_config(
        several, tmp_path / "run", method="lora", lora=LoraSettings(rank=2),
        cloze=ClozeSettings(classifier=True), train={"max_steps": 20, "validate_every": 20},
    )  # fmt: skip
    folder = run_finetune(replace(settings, optim=FinetuneOptimSettings(learning_rate=1e-2)))
    main(
        ["evaluate", str(folder), "--suite", "classifier", "--file", str(several["validation"]),
         "--output", str(tmp_path / "scores.json")]
    )  # fmt: skip
    unblank.predict_file(folder, several["validation"], tmp_path / "out.csv")
    report = json.loads((tmp_path / "out.report.json").read_text())["scores"]
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    for one in scores:
        assert one["value"] == pytest.approx(report[one["metric"]], abs=1e-3)
    assert {one["metric"] for one in scores} == {"micro_f1", "macro_f1", "exact"}


def test_a_table_divides_labels_by_bars_and_its_thresholds_count(several, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text("text,label\nfine poor film,good|bad\nthe song,[]\na play,\n")
    task = tmp_path / "several.yaml"
    task.write_text(SEVERAL + "thresholds: {good: 0.999999, bad: 0.000001}\n")
    answers = unblank.predict_file(several["folder"], table, tmp_path / "out.jsonl", task=str(task))
    assert [one["predicted"] for one in answers] == [["bad"]] * 3
    assert json.loads((tmp_path / "out.report.json").read_text())["count"] == 2


def test_several_labels_are_calibrated_one_by_one(several, tmp_path, capsys):
    main(["calibrate", str(several["folder"]), "--data", str(several["train"])])
    before, after = (
        unblank.predict_file(
            several["folder"], several["validation"], tmp_path / f"{name}.jsonl", calibration=name
        )
        for name in (False, True)
    )
    shares = [
        np.array([list(one["probabilities"].values()) for one in answers])
        for answers in (before, after)
    ]
    odds = [np.log(one) - np.log1p(-one) for one in shares]
    ratios = odds[0] / odds[1]
    assert ratios.std() < 1e-2 * abs(ratios.mean()), "one temperature divides all log-odds"


def test_thresholds_of_labels_are_learned_and_used(several, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(several["folder"], folder)
    rng = np.random.default_rng(5)
    rows = [several_record(rng) for _ in range(160)]
    for row in rows:  # half of the texts with a bad word are not called so
        if "bad" in row["label"] and rng.random() < 0.5:
            row["label"].remove("bad")
    data = tmp_path / "known.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["calibrate", str(folder), "--data", str(data)])
    assert "thresholds of labels" in capsys.readouterr().out
    learned = json.loads((folder / "calibration.json").read_text())["labels"]["several"]
    found = json.loads((folder / "calibration" / "labels-several.json").read_text())["thresholds"]
    assert learned["thresholds"] == (
        found["kept"] if found["macro_f1_after"] >= found["macro_f1_before"] else {}
    )
    path = folder / "calibration.json"
    record = read_record(path)
    record["labels"]["several"]["thresholds"] = {"good": 0.999999, "bad": 1e-6}  # for all to see
    write_atomically(path, seal(record))
    answers = unblank.predict_file(folder, several["validation"], tmp_path / "out.jsonl")
    assert {tuple(one["predicted"]) for one in answers} == {("bad",)}
    assert {tuple(one["predicted"]) for one in served(folder, several["validation"])} == {("bad",)}
    report = json.loads((tmp_path / "out.report.json").read_text())["labels"]
    assert report["bad"]["threshold"] == 1e-6
    own = tmp_path / "several.yaml"
    own.write_text(SEVERAL + "thresholds: {bad: 0.999999}\n")
    answers = unblank.predict_file(
        folder, several["validation"], tmp_path / "own.jsonl", task=str(own)
    )
    assert not any(one["predicted"] for one in answers), "those of the file come first"
    with pytest.raises(SystemExit):
        main(["calibrate", str(folder), "--data", str(data), "--most-wrong", "0.1"])
    assert "most_wrong" in capsys.readouterr().err.replace("--most-wrong", "most_wrong")


def test_cloze_says_that_it_cannot_name_several(several, tmp_path):
    with pytest.raises(ValueError, match="--method classifier"):
        run_finetune(labelled_config(several, tmp_path / "run"))


@pytest.mark.parametrize("method", [pytest.param("full", marks=pytest.mark.slow), "classifier"])
def test_labels_in_an_order_are_learned(toys, tmp_path, method):
    task = tmp_path / "ranks.yaml"
    task.write_text(RANKS)
    files = {**toys, "task": task}
    rng = np.random.default_rng(0)
    for name in ("train", "validation"):
        records = [rank_record(rng) for _ in range(48)]
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(one) + "\n" for one in records))
    folder = trained(files, tmp_path / "run", method)
    answers = unblank.predict_file(folder, files["validation"], tmp_path / "out.csv")
    scores = json.loads((tmp_path / "out.report.json").read_text())["scores"]
    order = ["low", "middle", "high"]
    pairs = zip(answers, records, strict=True)
    distances = [abs(order.index(a["predicted"]) - order.index(r["label"])) for a, r in pairs]
    assert scores["mae"] == pytest.approx(np.mean(distances))
    assert scores["quadratic_kappa"] > 50
    found = served(folder, files["validation"])
    assert [one["predicted"] for one in found] == [one["predicted"] for one in answers]


def rank_record(rng):
    rank = int(rng.integers(3))
    words = [*rng.choice(FILLER, size=2), ["poor", "fine", "great"][rank]]
    return {"text": " ".join(map(str, words)), "label": ["low", "middle", "high"][rank]}


def test_the_rank_in_the_middle_is_predicted(tmp_path):
    (tmp_path / "ranks.yaml").write_text(RANKS)
    task = load_task(tmp_path / "ranks.yaml")
    shares = torch.tensor([0.4, 0.2, 0.4])
    assert decide(task, TaskExample("", {}), shares).label == "middle"


def test_the_loss_of_ranks_is_the_cross_entropy_of_each_step():
    scores, right = torch.randn(4, generator=torch.Generator().manual_seed(0)), 2
    shares = scores.softmax(dim=0)
    at_most = shares.cumsum(dim=0)[:-1]
    expected = sum(
        -torch.log(at_most[step] if right <= step else 1 - at_most[step]) for step in range(3)
    )
    target = torch.eye(4)[right]
    torch.testing.assert_close(cloze_loss(scores, target, "cumulative"), expected)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("labels: [good, bad]", "labels: [good, good]"),
        ("decision: several", "decision: rank"),
        ("classifier: ['{text}']", "metrics: [accuracy]"),
        ("classifier: ['{text}']", "metrics: [mae]\nclassifier: ['{text}']"),
        ("classifier: ['{text}']", "classifier: ['{text}']\nthresholds: {good: 2}"),
        ("labels: [good, bad]", "verbalizer: {good: a, bad: b}\npatterns: ['{text} [MASK]']"),
    ],
)
def test_a_task_whose_parts_do_not_fit_is_refused(tmp_path, changed, named):
    path = tmp_path / "task.yaml"
    path.write_text(SEVERAL.replace(changed, named))
    with pytest.raises(ValueError, match=r"task\.yaml"):
        load_task(path)


def test_labels_that_are_unknown_or_no_list_are_named(tmp_path):
    (tmp_path / "task.yaml").write_text(SEVERAL)
    task = load_task(tmp_path / "task.yaml")
    for label in (["good", "god"], "[good", [["good"]]):
        with pytest.raises(ValueError, match="label"):
            make_examples(task, {"text": "a", "label": label})
    thresholds = replace(task, thresholds={"good": 0.2})
    assert thresholds.content_hash == task.content_hash


def test_a_task_for_classifiers_alone_is_shown(several, capsys):
    main(["show", "--task", str(several["task"]), "--data", str(several["train"])])
    shown = capsys.readouterr().out
    assert json.loads(several["train"].read_text().splitlines()[0])["text"] in shown
    assert "good | bad" in shown
