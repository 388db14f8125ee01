"""Recipes of tasks in many languages: each runs two steps with a tiny model of its family."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_glms import task_glm, write_folder
from tiny_models import encoder_decoder

from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings
from unblank.settings.recipes import read_settings

FOLDER = Path(__file__).parents[3] / "recipes" / "finetune"
RECIPES = {
    path.stem: path
    for path in sorted(FOLDER.glob("*.yaml"))
    if read_settings(FinetuneSettings, path).task in ("qa", "xnli", "pawsx", "sst2")
}
RUN_ALWAYS = {"ganlm_xnli", "multiglm_tydiqa_prompt"}
RECORDS = {
    "xnli": [
        {"premise": "the dog", "hypothesis": "a cat", "label": label}
        for label in ("entailment", "contradiction", "neutral")
    ],
    "pawsx": [{"sentence1": "a dog", "sentence2": "a cat", "label": n} for n in ("0", "1")],
    "sst2": [{"sentence": "the dog", "label": number} for number in (0, 1)],
    "qa": [
        {"id": str(n), "context": "the dog sees a cat", "question": "who?", "answers": ["cat"]}
        for n in range(2)
    ],
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Folders of a tiny GLM and a tiny GanLM."""
    folder = tmp_path_factory.mktemp("bases")
    model, tokenizer = encoder_decoder("ganlm")
    model.save_pretrained(folder / "ganlm")
    tokenizer.save_pretrained(folder / "ganlm")
    return {"ganlm": folder / "ganlm", "multiglm": write_folder(task_glm(), folder / "glm")}


def test_every_kind_of_task_has_its_recipes():
    assert RECIPES.keys() > RUN_ALWAYS
    assert {name.partition("_")[0] for name in RECIPES} == {"ganlm", "multiglm"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.slow] * (one not in RUN_ALWAYS)) for one in RECIPES],
)
def test_a_recipe_runs_two_steps_and_scores_each_language(name, bases, tmp_path):
    recipe = read_settings(FinetuneSettings, RECIPES[name])
    records = RECORDS[recipe.task]
    for code in ("en", "de"):
        lines = [json.dumps({**record, "lang": code}) for record in records]
        (tmp_path / f"some.{code}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = replace(
        recipe,
        model=replace(recipe.model, init_from=bases[name.partition("_")[0]]),
        data=replace(
            recipe.data,
            train=(f"{tmp_path}/some.en.jsonl",),
            validation=(f"{tmp_path}/some.{{lang}}.jsonl",),
        ),
        train=replace(
            recipe.train, output_dir=tmp_path / "run", max_steps=2, validate_every=2, seeds=()
        ),
    )
    if recipe.task == "qa":
        generation = replace(recipe.generation, num_beams=1, length_penalty=1.0, max_tokens=3)
        config = replace(
            config,
            seq2seq=replace(recipe.seq2seq, max_source_length=96, max_target_length=8),
            generation=generation,
            train=replace(config.train, batch_tokens=256, micro_batch_tokens=None),
        )
    else:
        config = replace(
            config,
            cloze=replace(recipe.cloze, max_length=None),
            grid=replace(recipe.grid, learning_rates=()),
            train=replace(config.train, batch_size=2),
        )
    if recipe.method == "deep-prompt":
        config = replace(config, prompt=replace(recipe.prompt, length=4))
    results = json.loads((run_finetune(config) / "results.json").read_text())
    assert results["steps"] == 2
    metric = "f1" if recipe.task == "qa" else "accuracy"
    assert {f"{metric} en", f"{metric} de"} <= results["scores"].keys()
