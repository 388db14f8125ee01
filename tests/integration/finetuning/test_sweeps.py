"""Several runs of a task with labels: a grid of settings, an ensemble of patterns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labelled_toys import labelled_config

from unblank.commands import finetune
from unblank.engine.results import chosen_predictions
from unblank.finetuning.labels.settings import ClozeSettings, GridSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
)
from unblank.finetuning.sweeps.grid import run_finetune_command


@pytest.mark.parametrize("seeds", [(), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_a_grid_runs_every_combination_and_names_the_best(toys, tmp_path, seeds, capsys):
    grid = GridSettings(learning_rates=(1e-6, 3e-3), batch_sizes=(8, 16))
    train = {"max_steps": 4, "validate_every": 4, "seeds": seeds}
    run_finetune_command(labelled_config(toys, tmp_path, train=train, grid=grid))
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    names = [f"rate-{rate:g}-batch-{size}" for rate in (1e-6, 3e-3) for size in (8, 16)]
    assert [line["folder"] for line in results["runs"]] == names
    best = max(results["runs"], key=lambda line: line["scores"]["accuracy"])
    assert results["best"] == best["folder"]
    assert str(tmp_path / results["best"]) in capsys.readouterr().out


def predictions_in(folder):
    lines = folder.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["probabilities"] for line in lines]


def test_an_ensemble_averages_what_the_model_of_each_pattern_predicts(toys, tmp_path):
    ensemble = ClozeSettings(ensemble=True)
    train = {"max_steps": 8, "validate_every": 4, "average_last": 2}
    config = labelled_config(toys, tmp_path / "few", train=train, cloze=ensemble)
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
    again = labelled_config(
        {**toys, "model": tmp_path / "few"}, tmp_path / "again", method="none", cloze=ensemble
    )
    run_finetune_command(again)
    assert results_of(tmp_path / "again") == pytest.approx(results_of(tmp_path / "few"), rel=1e-4)


def test_the_predictions_of_an_average_are_its_own(toys, tmp_path):
    train = {"max_steps": 8, "validate_every": 4, "ema_decay": 0.9, "final": "ema"}
    folder = run_finetune(labelled_config(toys, tmp_path / "run", train=train))
    chosen = predictions_in(chosen_predictions(folder))
    assert chosen != predictions_in(folder / "predictions" / "step-00000008.jsonl")
    measured = labelled_config({**toys, "model": folder}, tmp_path / "again", method="none")
    again = predictions_in(chosen_predictions(run_finetune(measured)))
    np.testing.assert_allclose(chosen, again, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cloze": ClozeSettings(ensemble=True, patterns=(1,))},
            r"--cloze\.patterns.*--train\.seeds",
        ),
        ({"cloze": ClozeSettings(ensemble=True), "method": "classifier"}, r"cloze\.ensemble"),
        (
            {
                "cloze": ClozeSettings(ensemble=True),
                "train": {"validate_every": 0},
            },
            r"train\.validate_every",
        ),
    ],
)
def test_an_ensemble_of_nothing_is_refused(toys, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_finetune_command(labelled_config(toys, tmp_path, **changes))


RECIPES = Path(__file__).parents[3] / "recipes" / "finetune"


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


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["scores"]
