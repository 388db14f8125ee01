"""Tasks with labels: losses equal naive ones, and both ways learn what can be learnt."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_toys import labelled_glm, write_toys

from unblank.adapters.settings import PromptSettings
from unblank.commands import finetune
from unblank.engine.parallel import World
from unblank.families.settings import ModelSettings
from unblank.families.table import FAMILIES
from unblank.finetuning.labels.cloze import ClozeWay, describe_prompts
from unblank.finetuning.labels.reading import Labelled, StartingPoint, split_held_out
from unblank.finetuning.labels.settings import ClozeSettings, GridSettings
from unblank.finetuning.labels.steps import ExampleSteps, Sizes
from unblank.finetuning.labels.task import LabelBatch, LabelUnit
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
    FinetuneSettings,
    FinetuneTrainSettings,
)
from unblank.finetuning.sweeps.grid import run_finetune_command
from unblank.prompting import load_task, make_examples, read_examples
from unblank.prompting.scoring import encode_example
from unblank.prompting.training import target_shares
from unblank.tokenization import special_ids


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return write_toys(tmp_path_factory.mktemp("toys"))


def config_of(toys, output, **changes):
    train = {"max_steps": 60, "batch_size": 16, "validate_every": 30, "precision": "fp32"}
    sections = {key: changes.pop(key) for key in list(changes) if key not in ("method", "train")}
    return FinetuneSettings(
        task=str(toys["task"]),
        method=changes.get("method", "full"),
        model=ModelSettings(init_from=toys["model"]),
        data=FinetuneDataSettings(
            train=(str(toys["train"]),), validation=(str(toys["validation"]),)
        ),
        optim=FinetuneOptimSettings(learning_rate=3e-3),
        train=FinetuneTrainSettings(output_dir=output, **{**train, **changes.get("train", {})}),
        **sections,
    )


@pytest.mark.parametrize("pattern", [0, 1])
def test_the_loss_is_that_of_one_plain_forward_a_candidate(toys, pattern):
    toy = labelled_glm()
    model, tokenizer = toy.model, toy.tokenizer
    task = load_task(toys["task"])
    examples = read_examples(task, [toys["train"]]).examples[:5]
    prompts = [
        encode_example(tokenizer, task, example, task.pattern(pattern), max_length=48)
        for example in examples
    ]
    batch = LabelBatch(prompts, [target_shares(task, e) for e in examples], list(range(5)))
    unit = LabelUnit(ClozeWay(labelled(task, tokenizer)))
    loss = unit(model, batch, torch.device("cpu"))["cloze"]
    assert loss.num_scored == unit.counts(batch)["cloze"] == 5
    loss.loss_sum.backward()
    gradient = model.model.embed_tokens.weight.grad.clone()
    model.zero_grad()
    expected = sum(
        naive_loss(model, tokenizer, prompt, example.answers[0])
        for prompt, example in zip(prompts, examples, strict=True)
    )
    expected.backward()
    torch.testing.assert_close(loss.loss_sum, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, model.model.embed_tokens.weight.grad, atol=1e-4, rtol=1e-3)


def labelled(task, tokenizer):
    """Return a task without any examples."""
    return Labelled(
        start=StartingPoint(ModelSettings(), 0, None),
        family=FAMILIES["glm"],
        task=task,
        tokenizer=tokenizer,
        train=(),
        validation=(),
        max_length=48,
        content=[],
        world=World(0, 1, torch.device("cpu")),
    )


def naive_loss(model, tokenizer, prompt, answer):
    """Softmax over the labels, each the sum of the probabilities of its ways to be said."""
    special = special_ids(tokenizer)
    part_a, blank = list(prompt.cloze.token_ids), prompt.cloze.blank
    scores = []
    for slots in prompt.slots:
        ways = []
        for slot in slots:
            words = list(prompt.cloze.candidates[slot])
            first = [*range(len(part_a)), *[blank] * (len(words) + 1)]
            second = [*[0] * len(part_a), *range(1, len(words) + 2)]
            log_p = (
                model(
                    input_ids=torch.tensor([[*part_a, special.sop, *words]]),
                    position_ids=torch.tensor([[first], [second]]),
                    prefix_lengths=torch.tensor([len(part_a)]),
                )
                .logits[0, len(part_a) :]
                .log_softmax(dim=-1)
            )
            targets = words if prompt.scoring == "logit" else [*words, special.eop]
            ways.append(sum(log_p[place, target] for place, target in enumerate(targets)))
        scores.append(torch.stack(ways).exp().sum().log())
    return -torch.stack(scores).log_softmax(dim=0)[answer]


def test_words_that_are_several_tokens_are_scored_by_their_sum(toys):
    tokenizer = labelled_glm().tokenizer
    task = load_task(toys["task"])
    (example, *_) = read_examples(task, [toys["train"]]).examples
    scorings = [
        encode_example(tokenizer, task, example, pattern, max_length=48).scoring
        for pattern in task.patterns
    ]
    assert scorings == ["logit", "sum"]


def test_candidates_that_are_the_same_tokens_are_counted_or_refused(tmp_path):
    (tmp_path / "own.yaml").write_text("candidates: options\npatterns: ['{text} [MASK].']\n")
    task, tokenizer = load_task(tmp_path / "own.yaml"), labelled_glm().tokenizer
    record = {"text": "we saw", "label": 0}

    def encode(*options):
        (example,) = make_examples(task, {**record, "options": list(options)}, "place")
        return encode_example(tokenizer, task, example, task.pattern(), max_length=48)

    assert describe_prompts([encode("fine", "dull")]) == "0 shortened"
    tied = encode("fine", "\u6771", "\u897f")
    assert describe_prompts([tied]) == "0 shortened, 1 with candidates that are the same tokens"
    with pytest.raises(ValueError, match="place: all 2 candidates are the same tokens"):
        encode("\u6771", "\u897f")


@pytest.mark.parametrize("method", ["none", "classifier"])
def test_each_file_gives_its_share_of_the_held_out_samples(toys, tmp_path, method):
    lines = toys["validation"].read_text().splitlines(keepends=True)
    files = [tmp_path / name for name in ("first.jsonl", "second.jsonl")]
    for file, part in zip(files, (lines[:12], lines[12:16]), strict=True):
        file.write_text("".join(part))
    config = config_of(toys, tmp_path / "run", method=method, train={"max_steps": 1})
    data = replace(config.data, validation=tuple(map(str, files)))
    train = replace(config.train, max_steps=1, validation_samples=4)
    run_finetune(replace(config, data=data, train=train))
    (shown, *_) = (tmp_path / "run" / "predictions").glob("*.jsonl")
    places = [json.loads(line)["place"] for line in shown.read_text().splitlines()]
    expected = [f"{files[0]}, line {n}" for n in (1, 2, 3)] + [f"{files[1]}, line 1"]
    assert places == expected


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_held_out_texts_that_lose_their_end_are_counted(toys, tmp_path, method, capsys):
    long = {**toys, "validation": tmp_path / "long.jsonl"}
    records = [{"text": "we saw a film " * n, "label": "good"} for n in (1, 30)]
    long["validation"].write_text("".join(json.dumps(one) + "\n" for one in records))
    run_finetune(config_of(long, tmp_path / "run", method=method, train={"max_steps": 1}))
    assert "2 examples, 1 shortened" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_a_bar_is_shown_while_many_examples_are_encoded(
    toys, tmp_path, method, capsys, monkeypatch
):
    config = config_of(toys, tmp_path / "run", method=method, train={"max_steps": 1})
    run_finetune(config)
    assert "encoding" not in capsys.readouterr().err
    monkeypatch.setattr("unblank.finetuning.labels.reading._MANY", 40)
    run_finetune(replace(config, train=replace(config.train, output_dir=tmp_path / "again")))
    shown = capsys.readouterr().err
    assert shown.count("encoding examples") == 1  # 64 to learn from, 32 held out
    assert "100%" in shown


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_a_task_that_can_be_read_off_the_text_is_learnt(toys, tmp_path, method):
    run_finetune(config_of(toys, tmp_path / "run", method=method))
    lines = (tmp_path / "run" / "validation.jsonl").read_text().splitlines()
    assert max(json.loads(line)["accuracy"] for line in lines) > 85


def test_nothing_is_trained_without_a_method_and_a_classifier_keeps_its_head(toys, tmp_path):
    run_finetune(config_of(toys, tmp_path / "trained", method="classifier"))
    trained = {**toys, "model": tmp_path / "trained"}
    run_finetune(config_of(trained, tmp_path / "measured", method="none"))
    scores = [results_of(tmp_path / name)["accuracy"] for name in ("trained", "measured")]
    assert scores[0] == scores[1] > 85
    other = toys["task"].with_name("other.yaml")
    other.write_text(toys["task"].read_text().replace("good:", "fair:"), encoding="utf-8")
    others = {**trained, "task": other}
    for name in ("train", "validation"):
        others[name] = other.with_name(f"other.{name}.jsonl")
        others[name].write_text(toys[name].read_text().replace('"good"', '"fair"'))
    with pytest.raises(ValueError, match=r"is a classifier of \['good', 'bad'\], the task has"):
        run_finetune(config_of(others, tmp_path / "never", method="none"))


@pytest.mark.parametrize("seeds", [(), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_a_grid_runs_every_combination_and_names_the_best(toys, tmp_path, seeds, capsys):
    grid = GridSettings(learning_rates=(1e-6, 3e-3), batch_sizes=(8, 16))
    train = {"max_steps": 4, "validate_every": 4, "seeds": seeds}
    run_finetune_command(config_of(toys, tmp_path, train=train, grid=grid))
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    names = [f"rate-{rate:g}-batch-{size}" for rate in (1e-6, 3e-3) for size in (8, 16)]
    assert [line["folder"] for line in results["runs"]] == names
    best = max(results["runs"], key=lambda line: line["scores"]["accuracy"])
    assert results["best"] == best["folder"]
    assert f"the best model is in {tmp_path / results['best']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "prompt", "rate"),
    [
        ("full", {}, 1e-4),
        ("lora", {}, 5e-4),
        ("prompt", {}, 3e-2),
        ("prompt", {"encoder": "lstm"}, 5e-4),
        ("deep-prompt", {}, 1e-2),
    ],
)
def test_the_learning_rate_is_that_of_the_method_unless_set(method, prompt, rate):
    config = FinetuneSettings(method=method, prompt=PromptSettings(**prompt))
    assert config.learning_rate == rate
    assert replace(config, optim=FinetuneOptimSettings(learning_rate=0.5)).learning_rate == 0.5


def test_the_usual_learning_rate_is_used_said_and_compared(toys, tmp_path, capsys):
    config = replace(
        config_of(toys, tmp_path, train={"max_steps": 2}), optim=FinetuneOptimSettings()
    )
    run_finetune(config)
    assert "0.0001 (usual for --method full)" in " ".join(capsys.readouterr().out.split())
    run_finetune(replace(config, optim=FinetuneOptimSettings(learning_rate=1e-4)))
    with pytest.raises(ValueError, match=r"optim\.learning_rate"):
        run_finetune(replace(config, optim=FinetuneOptimSettings(learning_rate=2e-4)))


def predictions_in(folder):
    lines = folder.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["probabilities"] for line in lines]


def test_an_ensemble_averages_what_the_model_of_each_pattern_predicts(toys, tmp_path):
    ensemble = ClozeSettings(ensemble=True)
    train = {"max_steps": 8, "validate_every": 4, "average_last": 2}
    config = config_of(toys, tmp_path / "few", train=train, cloze=ensemble)
    run_finetune_command(config)
    files = []
    for name in ("pattern-0", "pattern-1"):
        run = json.loads((tmp_path / "few" / name / "results.json").read_text(encoding="utf-8"))
        steps = run["candidates"][run["chosen"]]["steps"]
        stem = "average" if run["chosen"] == "average" else f"step-{steps[0]:08d}"
        files.append(tmp_path / "few" / name / "predictions" / f"{stem}.jsonl")
    first, second = (np.array(predictions_in(file)) for file in files)
    assert np.abs(first - second).max() > 1e-3
    averaged = predictions_in(tmp_path / "few" / "predictions.jsonl")
    np.testing.assert_allclose(averaged, (first + second) / 2, atol=1e-6)
    again = config_of(
        {**toys, "model": tmp_path / "few"}, tmp_path / "again", method="none", cloze=ensemble
    )
    run_finetune_command(again)
    assert results_of(tmp_path / "again") == pytest.approx(results_of(tmp_path / "few"), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cloze": ClozeSettings(ensemble=True, patterns=(1,))}, "two models at least"),
        ({"cloze": ClozeSettings(ensemble=True), "method": "classifier"}, "only cloze questions"),
    ],
)
def test_an_ensemble_of_nothing_is_refused(toys, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_finetune_command(config_of(toys, tmp_path, **changes))


def test_the_same_examples_are_held_out_of_any_file_and_none_is_learnt(toys):
    examples = read_examples(load_task(toys["task"]), [toys["train"]]).examples
    learnt, held_out = split_held_out(examples, 0.25)
    assert sorted(e.place for e in (*learnt, *held_out)) == sorted(e.place for e in examples)
    assert not {e.fields["text"] for e in learnt} & {e.fields["text"] for e in held_out}
    assert 4 < len(held_out) < 32
    fewer = split_held_out(examples[10:], 0.25)[1]
    assert fewer == tuple(example for example in held_out if example in examples[10:])
    with pytest.raises(ValueError, match="leaves 1 to learn from and 0"):
        split_held_out(learnt[:1], 0.01)


def test_a_run_chooses_by_what_it_holds_out(toys, tmp_path):
    data = FinetuneDataSettings(train=(str(toys["train"]),), hold_out=0.3)
    run_finetune(replace(config_of(toys, tmp_path, train={"max_steps": 2}), data=data))
    assert 0 <= results_of(tmp_path)["accuracy"] <= 100
    with pytest.raises(ValueError, match="not both"):
        replace(data, validation=("x",))


RECIPES = Path(__file__).parents[3] / "recipes" / "finetune"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*glue_*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_tasks_with_labels_are_whole(path):
    config = finetune.parse([str(path)]).settings
    task = load_task(config.task)
    assert all(task.pattern(number) for number in config.cloze.patterns)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize("name", ["superglue_released_wsc", "fewglue_rte"])
def test_a_recipe_runs_two_steps(toys, tmp_path, name):
    recipe = finetune.parse([str(RECIPES / f"{name}.yaml")]).settings
    run_finetune_command(
        replace(
            recipe,
            task=str(toys["task"]),
            model=replace(recipe.model, init_from=toys["model"]),
            data=FinetuneDataSettings(
                train=(str(toys["train"]),), validation=(str(toys["validation"]),)
            ),
            cloze=replace(recipe.cloze, patterns=(0, 1), max_length=48),
            train=replace(
                recipe.train, output_dir=tmp_path, max_steps=2, validate_every=1, seeds=()
            ),
        )
    )
    assert 0 <= results_of(tmp_path)["accuracy"] <= 100


def test_a_run_is_the_same_whether_or_not_it_is_interrupted(toys, tmp_path):
    def run(name, steps):
        train = {"max_steps": 12, "validate_every": 4, "log_every": 1, "save_every": 4}
        config = config_of(toys, tmp_path / name, train=train, cloze=ClozeSettings(patterns=(0, 1)))
        if steps:
            with pytest.MonkeyPatch.context() as patch:
                stopped = ExampleSteps.samples

                def samples(self, step):
                    if step >= steps:
                        raise KeyboardInterrupt
                    return stopped(self, step)

                patch.setattr(ExampleSteps, "samples", samples)
                with pytest.raises(KeyboardInterrupt):
                    run_finetune(config)
        run_finetune(config)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    assert run("whole", 0) == run("interrupted", 6)


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["scores"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"metric": "f2"}}, "train.metric is 'f2': task toy has accuracy, loss"),
        ({"train": {"batch_tokens": 5}}, "train.batch_tokens is given, but only --task seq2seq"),
        ({"cloze": ClozeSettings(patterns=(5,))}, "task 'toy' has patterns 0 to 1, not 5"),
        ({"cloze": ClozeSettings(max_length=900)}, "more than the 48 positions"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_training(toys, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_finetune(config_of(toys, tmp_path, **changes))


def sizes(batch_size, *, micro_batch_size=None, seed=0, rank=0, world_size=1):
    return Sizes(batch_size, micro_batch_size, seed, World(rank, world_size, torch.device("cpu")))


def test_every_example_is_seen_once_an_epoch_and_steps_follow_from_the_seed_alone():
    steps = ExampleSteps([1] * 10, sizes(4, seed=3))
    drawn = [sample for step in range(5) for sample in steps.samples(step)]
    assert sorted(sample.index for sample in drawn[:10]) == list(range(10))
    assert sorted(sample.index for sample in drawn[10:]) == list(range(10))
    assert [s.index for s in drawn[:10]] != [s.index for s in drawn[10:]]
    assert steps.steps_per_epoch == 3
    fresh = steps(None, lambda samples: samples)
    second = [next(fresh), next(fresh)][1]
    resumed = next(steps({"window": 1, "row": 0}, lambda samples: samples))
    assert resumed == second


def test_processes_and_micro_batches_share_a_step_without_gaps():
    whole = ExampleSteps([1] * 10, sizes(8))
    parts = [
        ExampleSteps([1] * 10, sizes(8, micro_batch_size=3, rank=rank, world_size=2))
        for rank in range(2)
    ]
    dealt = [
        sample
        for part in parts
        for batch in next(part(None, lambda samples: samples)).batches
        for sample in batch
    ]
    assert dealt == whole.samples(0)
    with pytest.raises(ValueError, match="multiple of the 2 processes"):
        sizes(3, world_size=2)
