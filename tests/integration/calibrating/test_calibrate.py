"""`unblank calibrate`: what it keeps is what fill, predict and score then say, and serve too."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from labelled_toys import labelled_config, record
from safetensors.torch import save_file
from served_toys import client_of, toy_glm

import unblank
from unblank.adapters.record import AdapterRecord, fingerprint, weights_identity
from unblank.api import Unblank
from unblank.calibrating.asking import ask_fills, ask_labels
from unblank.calibrating.parts import parts_of
from unblank.calibrating.report import Measured, verdict
from unblank.calibrating.settings import CalibrateSettings
from unblank.calibrating.thresholds import abstention_threshold, answered_from
from unblank.calibration.maps import JointTemperature, tempered
from unblank.calibration.record import (
    CalibratedOn,
    Calibration,
    FillCalibration,
    LabelCalibration,
    read_calibration,
)
from unblank.cli import main
from unblank.engine.finished import published_model
from unblank.finetuning.labels.tuned_task import asked_of
from unblank.finetuning.run import run_finetune
from unblank.metrics.calibration import calibration_error, reliability
from unblank.prompting import load_task
from unblank.serving.opening import open_service

pytest.importorskip("sklearn")
WORDS = ["the", "old", "grey", "cat", "sat", "on", "warm", "mat", "saw", "small", "dog", "far"]


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=5)) + " [MASK] cat" for _ in range(120)]


@pytest.fixture(scope="module")
def known_fills(tiny, texts, tmp_path_factory):
    """A file in which the model's likelier fills are mostly right, and the model's folder."""
    folder = tmp_path_factory.mktemp("fills") / "model"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    rng = np.random.default_rng(1)
    results = tiny.fill(texts, max_tokens=4)
    median = np.median([one.log_probability for one in results])
    rows = []
    for text, result in zip(texts, results, strict=True):
        is_right = rng.random() < (0.8 if result.log_probability > median else 0.2)
        answer = result.blanks[0].text if is_right else "zebra"
        rows.append({"text": text, "answers": [answer]})
    data = folder.parent / "known.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, data


@pytest.fixture(scope="module")
def calibrated_fills(known_fills):
    folder, data = known_fills
    report = unblank.calibrate(str(folder), str(data), max_tokens=4)
    return folder, report


def fails(*words, capsys):
    with pytest.raises(SystemExit) as error:
        main([*map(str, words)])
    assert error.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_the_report_is_what_the_kept_curve_gives_on_the_part_kept_apart(
    calibrated_fills, known_fills, tiny, texts
):
    folder, report = calibrated_fills
    kept = json.loads((folder / "calibration.json").read_text())
    assert report.values["fitted"] + report.values["measured"] == len(texts)
    rows = [json.loads(line) for line in known_fills[1].read_text().splitlines()]
    results = unblank.load(folder).fill(texts, max_tokens=4)
    parts = parts_of(texts, 0.5)
    is_right = [r.blanks[0].text == row["answers"][0] for r, row in zip(results, rows, strict=True)]
    for when, of in (("before", lambda r: np.exp(r.log_probability)), ("after", confidence)):
        given = [float(of(results[n])) for n in parts.measured]
        error = calibration_error(reliability(given, [is_right[n] for n in parts.measured]))
        assert report.values[when]["error"] == pytest.approx(error, abs=1e-6)
        assert kept["fills"]["source"][f"error_{when}"] == pytest.approx(error, abs=1e-6)
    assert report.values["after"]["log_loss"] < report.values["before"]["log_loss"]
    assert report.values["verdict"] in repr(report).replace("\n", " ")
    pytest.importorskip("matplotlib")
    assert (folder / "calibration" / "fills.png").read_bytes().startswith(b"\x89PNG")


def confidence(result):
    return result.blanks[0].confidence


def test_fills_say_how_sure_they_are_and_what_they_learned_it_from(calibrated_fills, texts, capsys):
    folder, report = calibrated_fills
    model = unblank.load(folder)
    result = model.fill(texts[0], max_tokens=4, num_beams=2, num_return=2, abstain_below=0.5)
    assert result.calibration == f"calibrated on {report.values['fitted']} examples of known.jsonl"
    expected = model.calibration.fills.confidence(result.log_probability)
    assert confidence(result) == expected
    assert result.blanks[0].abstained == (expected < 0.5)
    assert confidence(result.alternatives[0]) is None
    sampled = model.fill(texts[0], max_tokens=4, do_sample=True)
    assert confidence(sampled) is None
    assert not sampled.calibration
    plain = unblank.load(folder, calibration=False).fill(texts[0], max_tokens=4)
    assert confidence(plain) is None
    main(["fill", str(folder), texts[0], "--max-tokens", "4", "--abstain-below", "1"])
    main(["fill", str(folder), texts[0], "--max-tokens", "4", "--abstain-below", "1", "--stream"])
    said = capsys.readouterr()
    assert result.calibration in said.err
    assert said.out.count("abstained") == 2


def test_abstained_fills_stay_in_a_file_and_are_marked(calibrated_fills, texts, tmp_path):
    folder, _ = calibrated_fills
    data, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    data.write_text("\n".join(texts[:20]) + "\n")
    found = unblank.fill_file(folder, data, output, max_tokens=4, abstain_below=0.5)
    plain = unblank.fill_file(folder, data, tmp_path / "plain.csv", max_tokens=4, calibration=False)
    marks = [one["blanks"][0]["abstained"] for one in found]
    assert True in marks
    assert False in marks
    for one, other, mark in zip(found, plain, marks, strict=True):
        assert one["filled"] == other["filled"]
        assert mark == (one["blanks"][0]["confidence"] < 0.5)
        assert not {"confidence", "abstained"} & set(other["blanks"][0])
    again = [json.loads(line)["blanks"][0] for line in output.read_text().splitlines()]
    assert again == [one["blanks"][0] for one in found]


def test_without_a_calibration_a_threshold_takes_the_probability_of_the_model(tiny, texts):
    for result in tiny.fill(texts[:9], max_tokens=4, abstain_below=0.3):
        assert result.blanks[0].abstained == (np.exp(result.log_probability) < 0.3)
    with pytest.raises(ValueError, match="abstain_below"):
        tiny.fill(texts[0], do_sample=True, abstain_below=0.3)


@pytest.fixture(scope="module")
def known_labels(toys, tmp_path_factory):
    """A copy of the toy model, and a file of labelled examples."""
    folder = tmp_path_factory.mktemp("labels")
    shutil.copytree(toys["model"], folder / "model")
    rng = np.random.default_rng(3)
    data = folder / "known.jsonl"
    data.write_text("".join(json.dumps(record(rng)) + "\n" for _ in range(150)))
    return folder / "model", data


def test_labels_are_tempered_for_the_task_as_it_was_asked(known_labels, toys, tmp_path, capsys):
    folder, data = known_labels
    task = str(toys["task"])
    main(["calibrate", str(folder), "--data", str(data), "--task", task])
    printed = capsys.readouterr()
    assert "Brier score" in printed.out
    assert "calibrated on" in printed.err
    few = tmp_path / "few.jsonl"
    few.write_text("".join(data.read_text().splitlines(keepends=True)[:12]))
    raw = unblank.predict_file(folder, few, tmp_path / "a.jsonl", task=task, calibration=False)
    found = unblank.predict_file(folder, few, tmp_path / "b.jsonl", task=task)
    said = capsys.readouterr().err
    assert "calibrated on" in said
    temperature = json.loads((folder / "calibration.json").read_text())["labels"]["toy"][
        "temperature"
    ]
    for one, other in zip(found, raw, strict=True):
        expected = tempered(list(other["probabilities"].values()), temperature)
        assert list(one["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
        assert one["predicted"] == other["predicted"]
    report = json.loads((tmp_path / "b.report.json").read_text())
    assert report["calibrated"].startswith("calibrated on")
    assert "calibrated" not in json.loads((tmp_path / "a.report.json").read_text())
    unblank.predict_file(folder, few, tmp_path / "c.jsonl", task=task, patterns=[1])
    said = capsys.readouterr().err
    assert "not calibrated" in said
    assert "patterns" in said


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1),
    st.sampled_from([0.1, 0.25, 0.5]),
)
def test_a_threshold_answers_as_much_as_may_be(known, most_wrong):
    confidences, is_right = map(list, zip(*known, strict=True))
    possible = []
    for least in (0.05, 0.2, 0.4, 0.6, 0.8):
        kept = [right for one, right in known if one >= least]
        if kept and kept.count(False) / len(kept) <= most_wrong:
            possible.append(len(kept))
    if not possible:
        with pytest.raises(ValueError, match="most_wrong"):
            abstention_threshold(confidences, is_right, most_wrong)
        return
    threshold = abstention_threshold(confidences, is_right, most_wrong)
    found = answered_from(confidences, is_right, threshold)
    assert found["answered"] * len(known) == pytest.approx(max(possible))
    assert found["wrong"] <= most_wrong


@pytest.fixture
def trained_labels(toys, tmp_path):
    """A classifier that is mostly right, and a file of labelled examples, some of them wrong."""
    train = {"max_steps": 40, "validate_every": 40, "final": "last"}
    folder = run_finetune(labelled_config(toys, tmp_path / "run", method="classifier", train=train))
    rng = np.random.default_rng(3)
    rows = [record(rng) for _ in range(160)]
    for row in rows[::6]:
        row["label"] = {"good": "bad", "bad": "good"}[row["label"]]
    return folder, rows_to(tmp_path / "known.jsonl", rows)


def test_a_learned_threshold_is_that_of_predict_and_of_the_server(trained_labels, tmp_path, capsys):
    folder, data = trained_labels
    main(["calibrate", str(folder), "--data", str(data), "--most-wrong", "0.15"])
    learned = json.loads((folder / "calibration.json").read_text())["labels"]["toy"]
    threshold = learned["abstain_below"]
    report = json.loads((folder / "calibration" / "labels-toy.json").read_text())["abstaining"]
    assert report["threshold"] == threshold
    found = unblank.predict_file(folder, data, tmp_path / "a.jsonl")
    assert "calibrating" in capsys.readouterr().err
    assert all(one["abstained"] == (one["probability"] < threshold) for one in found)
    asked = unblank.predict_file(folder, data, tmp_path / "b.jsonl", abstain_below=0.001)
    assert not any(one["abstained"] for one in asked)
    raw = unblank.predict_file(folder, data, tmp_path / "c.jsonl", calibration=False)
    assert not any("abstained" in one for one in raw)
    texts = [json.loads(line)["text"] for line in data.read_text().splitlines()]
    with client_of(service=open_service({"mine": folder}, {})) as client:
        body = {"inputs": [{"text": text} for text in texts]}
        served = client.post("/v1/classify", json=body).json()["predictions"]
        least = client.post("/v1/classify", json=body | {"abstain_below": 0.001}).json()
    assert [one["predicted"] for one in served] == [one["predicted"] for one in found]
    assert not any(one["abstained"] for one in least["predictions"])


def test_a_learned_threshold_is_that_of_fills(known_fills, texts, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(known_fills[0], folder)
    report = unblank.calibrate(str(folder), str(known_fills[1]), max_tokens=4, most_wrong=0.4)
    threshold = report.values["abstaining"]["threshold"]
    model = unblank.load(folder)
    results = model.fill(texts, max_tokens=4)
    marks = [one.blanks[0].abstained for one in results]
    assert marks == [confidence(one) < threshold for one in results]
    assert {*marks} == {True, False}
    data = tmp_path / "in.txt"
    data.write_text("\n".join(texts) + "\n")
    rows = unblank.fill_file(folder, data, tmp_path / "out.jsonl", max_tokens=4)
    assert [one["blanks"][0]["abstained"] for one in rows] == marks
    with client_of(models={"toy": model}) as client:
        found = client.post("/v1/fill", json={"text": texts, "max_tokens": 4}).json()["results"]
    assert [one["blanks"][0]["abstained"] for one in found] == marks
    none = model.fill(texts, max_tokens=4, abstain_below=1e-6)
    assert not any(one.blanks[0].abstained for one in none)
    assert not any(one.blanks[0].abstained for one in model.fill(texts[:9], do_sample=True))


def test_shares_of_candidates_are_tempered_for_those_candidates(known_labels, capsys):
    folder, data = known_labels
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    given = [{"text": f"{row['text']} [MASK].", "label": row["label"]} for row in rows]
    for row in given:
        row["label"] = {"good": "fine", "bad": "poor"}[row["label"]]
    options = {"candidates": ["fine", "poor"], "normalization": "contextual"}
    unblank.calibrate(str(folder), given, **options)
    model, plain = unblank.load(folder), unblank.load(folder, calibration=False)
    temperature = model.calibration.candidates.temperature
    for pair in (["fine", "poor"], ["poor", "fine"]):
        found = model.score(given[0]["text"], pair, normalization="contextual")
        raw = plain.score(given[0]["text"], pair, normalization="contextual")
        expected = tempered([one.share for one in raw.candidates], temperature)
        assert [one.share for one in found.candidates] == pytest.approx(expected, abs=1e-6)
        assert found.calibration.startswith("calibrated on")
    for pair, how in ((["fine", "dull"], "contextual"), (["fine", "poor"], "sum")):
        found = model.score(given[0]["text"], pair, normalization=how)
        assert found == plain.score(given[0]["text"], pair, normalization=how)
    main(["score", str(folder), given[0]["text"], "--candidates", "fine", "poor"])
    assert "normalization" in capsys.readouterr().err


def test_a_calibration_of_other_weights_is_refused(calibrated_fills, toys, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(toys["model"], other)
    shutil.copy(calibrated_fills[0] / "calibration.json", other)
    assert "other weights" in fails("fill", other, "the [MASK]", capsys=capsys)
    main(["fill", str(other), "the [MASK]", "--no-calibration", "--max-tokens", "2"])
    changed = tmp_path / "changed"
    shutil.copytree(calibrated_fills[0], changed)
    path = changed / "calibration.json"
    path.write_text(path.read_text().replace('"num_fitted": ', '"num_fitted": 1'))
    with pytest.raises(ValueError, match="damaged"):
        unblank.load(changed)


def test_adapters_of_the_same_shapes_are_different_weights(toys, tmp_path):
    """LoRA has matrices only, which the fingerprint of a whole model leaves out."""
    base = fingerprint(toys["model"])
    identities = []
    for number in range(2):
        folder = tmp_path / f"lora-{number}"
        folder.mkdir()
        weights = {"a.lora_A": torch.full((2, 3), float(number))}
        save_file(weights, folder / "adapter_model.safetensors")
        AdapterRecord(
            kind="lora", base_model=str(toys["model"]), base_fingerprint=base, num_parameters=6
        ).write(folder)
        identities.append(weights_identity(folder))
    assert len({*identities, base}) == 3
    assert weights_identity(toys["model"]) == base


def test_a_folder_says_what_it_was_calibrated_on(calibrated_fills, tmp_path, capsys):
    main(["info", str(calibrated_fills[0])])
    assert "examples of known.jsonl" in capsys.readouterr().out


def test_a_folder_says_which_thresholds_calibrating_has_kept(toys, tmp_path, capsys):
    """Of one label and of fills, below which none is given; of several, from which each is."""
    shutil.copytree(toys["model"], folder := tmp_path / "model")
    source = CalibratedOn(
        file="known.csv", num_fitted=40, num_measured=40, error_before=0.2, error_after=0.1
    )
    sets = LabelCalibration(1.5, {}, source, thresholds={"sport": 0.31, "politics": 0.0625})
    Calibration(
        weights_identity(folder),
        fills=FillCalibration(JointTemperature(2.0), source, 0.625),
        labels={"mails": LabelCalibration(2.0, {}, source, 0.71), "topics": sets},
    ).write(folder)
    main(["info", str(folder), "--json"])
    said = json.loads(capsys.readouterr().out)["facts"]["calibrated"]
    assert said["fills"] == "calibrated on 40 examples of known.csv; abstains below 0.625"
    assert said["mails"].endswith("; abstains below 0.71")
    assert said["topics"] == str(source)
    assert said["topics, thresholds"] == "sport 0.31, politics 0.0625"


def test_new_weights_in_a_folder_leave_no_calibration_of_the_old_ones(calibrated_fills, tmp_path):
    shutil.copy(calibrated_fills[0] / "calibration.json", tmp_path)
    with published_model(tmp_path, {}) as folder:
        (folder / "config.json").write_text("{}")
    assert not (tmp_path / "calibration.json").exists()


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (("fills", "form"), "spline"),
        (("fills", "parameters"), {"slope": "a", "intercept": 0}),
        (("fills", "parameters"), {}),
        (("fills", "source"), {}),
        (("fills",), []),
        (("labels",), {"toy": {"temperature": -1, "asked": {}, "source": {}}}),
        (("candidates",), {"temperature": 1}),
        (("fills", "abstain_below"), 2),
    ],
)
def test_records_with_other_content_are_refused(calibrated_fills, tmp_path, change, value):
    record = json.loads((calibrated_fills[0] / "calibration.json").read_text())
    del record["checksum"]
    place = record
    for name in change[:-1]:
        place = place[name]
    place[change[-1]] = value
    (tmp_path / "calibration.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="damaged"):
        read_calibration(tmp_path, record["weights"])


def rows_to(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("rows", "words", "named"),
    [
        ([{"text": "the [MASK]"}] * 90, [], "answers"),
        ([{"text": "the [MASK]", "answers": ["a", "b"]}] * 90, [], "2 answers for 1 blank"),
        ([{"text": f"the [MASK] {n}", "answers": ["a"]} for n in range(40)], [], "too few"),
        ([{"text": f"the [MASK] {n}", "answers": ["zebra"]} for n in range(90)], [], "all"),
        ([{"text": "the [MASK]", "answers": ["a"]}] * 90, [], "too few"),
        ([{"text": "the [MASK]", "answers": ["a"]}] * 90, ["--patterns", "1"], "patterns"),
        ([{"text": "a"}] * 90, ["--task", "toy.yaml"], "no label"),
        ([{"text": "a [MASK]", "label": "x"}] * 9, ["--candidates", "b"], "none of the candidates"),
        ([{"text": "a [MASK]", "label": "b"}] * 9, ["--kind", "candidates"], "no candidates"),
        ([{"text": "a"}] * 9, ["--candidates", "b", "--most-wrong", "0.1"], "most_wrong"),
    ],
)
def test_bad_input_is_named_and_nothing_is_kept(toys, tmp_path, capsys, rows, words, named):
    data = rows_to(tmp_path / "known.jsonl", rows)
    words = [str(toys["task"]) if word == "toy.yaml" else word for word in words]
    given = ["--max-tokens", "2"] if not words else []
    assert named in fails("calibrate", toys["model"], "--data", data, *words, *given, capsys=capsys)
    assert not (toys["model"] / "calibration.json").exists()


def test_texts_that_the_model_has_no_room_for_are_left_out_and_counted(tiny, tmp_path):
    short = [{"text": f"the [MASK] {word}", "answers": ["cat"]} for word in WORDS[:4]]
    long = {"text": "cat " * 1000 + "[MASK]", "answers": ["cat"]}

    def known(rows):
        data = rows_to(tmp_path / "some.jsonl", rows)
        return ask_fills(tiny, CalibrateSettings(model="tiny", data=data, max_tokens=2))

    alone, beside = known(short), known([*short[:2], long, *short[2:]])
    assert (beside.keys, beside.log_p) == (alone.keys, pytest.approx(alone.log_p, abs=1e-5))
    assert not alone.note
    assert beside.note.startswith("left out 1 of 5 texts: ")
    with pytest.raises(ValueError, match="2 texts"):
        known([long, long])


def test_numbers_that_are_none_are_refused():
    from unblank.calibrating.labelled import LabelledChoices, LabelledFills

    with pytest.raises(ValueError, match="NaN"):
        LabelledFills(["a"], [float("nan")], [True])
    with pytest.raises(ValueError, match="NaN"):
        LabelledChoices(["a"], [[0.5, float("nan")]], [(0,)])


def test_where_only_the_first_candidate_counts_the_others_are_one_answer(tmp_path):
    """WSC asks whether the phrase that a question is about wins over all others."""
    task = load_task("wsc")
    records = [{**task.example, "label": label} for label in (True, False, False)]
    data = rows_to(tmp_path / "wsc.jsonl", records)
    shares = torch.tensor([[0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.6, 0.2, 0.2]])
    tuned = SimpleNamespace(task=task, shares=lambda examples, batch_size: list(shares))
    known = ask_labels(tuned, CalibrateSettings(model="any", data=data))
    assert known.is_right == [False, True, False]
    assert known.confidences(None) == pytest.approx([0.7, 0.7, 0.6])
    numbers = SimpleNamespace(task=load_task("stsb"))
    with pytest.raises(ValueError, match="number"):
        ask_labels(numbers, CalibrateSettings(model="any", data=data))


def test_the_parts_depend_on_the_record_alone():
    keys = [f"text {n}" for n in range(400)]
    parts = parts_of(keys, 0.25)
    assert len(parts.measured) == pytest.approx(100, abs=30)
    assert sorted([*parts.fitted, *parts.measured]) == list(range(400))
    assert set(parts.folds) == set(range(5))
    other = parts_of(keys[::-1] * 2, 0.25)
    measured = {keys[n] for n in parts.measured}
    assert {(keys[::-1] * 2)[n] for n in other.measured} == measured


def test_the_verdict_follows_the_numbers():
    def of(error, by_chance=0.01):
        return Measured(error, by_chance, 0.2, 0.5)

    assert "at most half" in verdict(of(0.2), of(0.1), of(0.1), 100)
    assert "good already" in verdict(of(0.009), of(0.008), of(0.0), 100)
    assert "within chance" in verdict(of(0.2), of(0.11, 0.12), of(0.0), 100)
    assert "too simple" in verdict(of(0.2), of(0.15), of(0.14), 100)
    assert "does not carry over" in verdict(of(0.2), of(0.15), of(0.02), 100)


def test_labels_are_tempered_by_the_server_too():
    model = toy_glm()
    source = CalibratedOn(
        file="known.csv", num_fitted=90, num_measured=90, error_before=0.2, error_after=0.1
    )
    labels = {"sst2": LabelCalibration(3.0, asked_of(load_task("sst2")), source)}
    calibration = Calibration("any", labels=labels)
    body = {"task": "sst2", "inputs": {"sentence": "the cat ran"}}
    answers = []
    for known in (None, calibration):
        with client_of(models={"toy": Unblank(model.model, model.tokenizer, known)}) as client:
            answers.append(client.post("/v1/classify", json=body).json())
            if known is None:
                continue
            sure = answers[1]["predictions"][0]["probability"]
            unsure = client.post("/v1/classify", json=body | {"abstain_below": sure + 1e-6})
            other = client.post("/v1/classify", json=body | {"normalization": "pmi"}).json()
    (raw,), (found,) = (one["predictions"] for one in answers)
    expected = tempered(list(raw["probabilities"].values()), 3.0)
    assert list(found["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    assert found["predicted"] == raw["predicted"]
    assert [one["calibration"] for one in answers] == ["", str(source)]
    (abstained,) = unsure.json()["predictions"]
    assert (abstained["predicted"], abstained["abstained"]) == (None, True)
    assert abstained["probabilities"] == found["probabilities"]
    assert other["calibration"] == ""


def test_the_server_says_what_the_library_says(calibrated_fills, texts):
    model = unblank.load(calibrated_fills[0])
    with client_of(models={"toy": model}) as client:
        body = {"text": texts[0], "max_tokens": 4, "abstain_below": 0.9}
        found = client.post("/v1/fill", json=body).json()
        expected = model.fill(texts[0], max_tokens=4, abstain_below=0.9)
        assert found["calibration"] == expected.calibration
        assert found["blanks"][0]["abstained"] == expected.blanks[0].abstained
        assert found["blanks"][0]["confidence"] == pytest.approx(confidence(expected), abs=1e-4)
        both = {"do_sample": True, "abstain_below": 0.9}
        assert client.post("/v1/fill", json=body | both).status_code == 422
