"""`run_finetune --task qa`: what it writes, learns and refuses, for every family that writes."""

import json
from dataclasses import replace

import pytest

import unblank
from unblank.finetuning.run import run_finetune

GLM = {"model__preset": "tiny", "model__num_hidden_layers": 1}
GANLM = {"model__preset": "ganlm-tiny"}
COLOURS, ANIMALS = ("red", "green", "small", "old"), ("dog", "cat", "boy", "girl")
OTHER_COLOURS, OTHER_ANIMALS = ("rot", "lila", "klein", "alt"), ("hund", "katze", "junge", "frau")


def questions(colours, animals, count):
    """Return questions of the form: which is the dog? the red one."""
    for number in range(count):
        order = [(number * 3 + place) % 4 for place in range(4)]
        facts = [f"{colours[one]} {animals[place]}" for place, one in enumerate(order)]
        asked = number % 4
        yield {
            "id": str(number),
            "context": " . ".join(facts),
            "question": animals[asked],
            "answers": [colours[order[asked]]],
        }


@pytest.fixture
def qa_config(pairs_config, tmp_path):
    for name, colours, animals, count in (
        ("train.en", COLOURS, ANIMALS, 24),
        ("held_out.en", COLOURS, ANIMALS, 8),
        ("held_out.de", OTHER_COLOURS, OTHER_ANIMALS, 4),
    ):
        lines = map(json.dumps, questions(colours, animals, count))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))

    def make(**changes):
        files = {
            "data__train": (f"{tmp_path}/train.en.jsonl@en",),
            "data__validation": (f"{tmp_path}/held_out.{{lang}}.jsonl",),
            "data__source": "source",
            "data__target": "target",
        }
        longer = {"seq2seq__max_source_length": 48, "seq2seq__max_target_length": 8}
        return replace(pairs_config(**(files | longer | changes)), task="qa")

    return make


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.mark.parametrize("family", [{}, GANLM, GLM], ids=["deltalm", "ganlm", "glm"])
def test_every_family_that_writes_answers_questions(qa_config, family):
    folder = run_finetune(qa_config(**family))
    last = lines(folder, "validation.jsonl")[-1]
    assert last["f1"] == pytest.approx((last["f1 en"] + last["f1 de"]) / 2)
    assert last["f1 without en"] == last["f1 de"]
    assert {"loss", "em", "char_f1", "in_context", "other_script"} <= last.keys()
    predictions = lines(folder, "predictions/step-00000004.jsonl")
    assert [line["lang"] for line in predictions] == ["de"] * 4 + ["en"] * 8
    assert all(line["written"] for line in predictions)
    results = json.loads((folder / "results.json").read_text())
    assert (results["task"], results["metric"]) == ("qa", "f1")
    assert unblank.load(folder).generate("red dog", max_tokens=2).text is not None


@pytest.mark.parametrize("family", [{}, GLM], ids=["deltalm", "glm"])
def test_held_out_answers_may_be_held_to_their_passages(qa_config, family):
    folder = run_finetune(qa_config(**family, qa__extract=True))
    last = lines(folder, "validation.jsonl")[-1]
    assert (last["in_context"], last["other_script"]) == (100, 0)


def test_a_passage_without_a_possible_answer_is_named_before_the_first_step(qa_config, tmp_path):
    strange = {"id": "9", "context": "\u4e2d\u6587", "question": "dog", "answers": ["\u4e2d"]}
    path = tmp_path / "held_out.zh.jsonl"
    path.write_text(json.dumps(strange))
    config = qa_config(**GLM, qa__extract=True, data__validation=(str(path),))
    with pytest.raises(ValueError, match=r"held_out\.zh\.jsonl, line 1"):
        run_finetune(config)
    assert not (config.train.output_dir / "metrics.jsonl").exists()


@pytest.mark.slow
def test_answers_are_learned(qa_config):
    """A random answer of the four is right one time in four."""
    config = qa_config(
        **GLM,
        train__max_steps=160,
        train__validate_every=80,
        optim__learning_rate=5e-3,
        train__batch_tokens=512,
        data__validation=(qa_config().data.train[0],),
        seq2seq__label_smoothing=0.0,
    )
    folder = run_finetune(config)
    assert lines(folder, "validation.jsonl")[-1]["em"] >= 75.0


def test_a_resumed_run_answers_as_one_that_was_not_interrupted(qa_config, tmp_path):
    whole = run_finetune(qa_config(**GLM, train__output_dir=tmp_path / "whole"))
    halves = tmp_path / "halves"
    short = qa_config(**GLM, train__output_dir=halves, optim__schedule="constant")
    long = qa_config(
        **GLM, train__output_dir=tmp_path / "long", optim__schedule="constant", train__max_steps=6
    )
    run_finetune(short)
    run_finetune(replace(short, train=replace(short.train, max_steps=6)))
    run_finetune(long)
    assert lines(halves, "validation.jsonl")[-1] == lines(tmp_path / "long", "validation.jsonl")[-1]
    assert lines(whole, "metrics.jsonl")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__metric": "bleu"}, "train.metric.*'bleu'.*f1, em, char_f1, loss"),
        ({"data__source": "context"}, "data.source"),
        ({"seq2seq__too_long": "skip"}, "too_long"),
        ({"data__validation": ("VALIDATION.de@fr",)}, "rules.*'fr'"),
        ({"data__validation": ("VALIDATION.de@is",)}, "question.*'is'"),
    ],
)
def test_what_does_not_fit_is_refused(qa_config, tmp_path, changes, message):
    files = changes.get("data__validation")
    if files:
        code = files[0].rpartition("@")[2]
        changes = {"data__validation": (f"{tmp_path}/held_out.de.jsonl@{code}",)}
    config = qa_config(**changes)
    if files:
        words = {"prompts": "translated"} if "is" in files[0] else {"rules": "mlqa"}
        config = replace(config, qa=replace(config.qa, **words))
    with pytest.raises(ValueError, match=message):
        run_finetune(config)
