import ast
import inspect
import itertools
from pathlib import Path

import pytest

from unblank.engine import settings as config_module
from unblank.pretraining.settings import (
    PretrainDataSettings,
    PretrainOptimSettings,
    PretrainSettings,
    PretrainTrainSettings,
)
from unblank.settings.recipes import from_mapping, read_settings, to_mapping, to_yaml

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "pretrain").glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_round_trip_gives_the_same_configuration(tmp_path):
    config = PretrainSettings(
        data=PretrainDataSettings(
            train=("a.txt", "b.txt"), weights=(0.25, 0.75), cache_dir=Path("c")
        ),
        optim=PretrainOptimSettings(learning_rate=1e-5, betas=(0.9, 0.999)),
        train=PretrainTrainSettings(track=("wandb",), max_steps=7),
    )
    assert read_settings(PretrainSettings, write(tmp_path, to_yaml(config))) == config


def test_fields_a_recipe_does_not_name_keep_their_defaults(tmp_path):
    config = read_settings(
        PretrainSettings, write(tmp_path, "optim: {learning_rate: 4e-4}\ndata: {train: a.txt}\n")
    )
    assert config.optim == PretrainOptimSettings(learning_rate=4e-4)
    assert config.data.train == ("a.txt",)
    assert config.train == PretrainTrainSettings()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "optim: {learning_rat: 1}",
            ValueError,
            "'learning_rat' in optim; did you mean",
        ),
        ("optimm: {}", ValueError, "'optimm'; did you mean 'optim'"),
        ("optim: {schedule: cosin}", ValueError, "did you mean 'cosine'"),
        ("train: {max_steps: many}", TypeError, "train.max_steps must be int, got 'many'"),
        ("train: {max_steps: 1.5}", TypeError, "train.max_steps must be int"),
        ("train: {compile: 1}", TypeError, "train.compile must be bool"),
        ("optim: {betas: [0.9]}", TypeError, "optim.betas needs 2 values"),
        (
            "train: {batch_size: 10, micro_batch_size: 4}",
            ValueError,
            "micro_batch_size (4)",
        ),
        ("data: {train: [a], weights: [1.0, 2.0]}", ValueError, "2 weights for 1 entries"),
        ("train: 3", TypeError, "train must be a mapping"),
        ("a: [", ValueError, "not valid YAML"),
        ("optim: {warmup_steps: -1}", ValueError, "optim: warmup_steps is -1"),
    ],
)
def test_a_bad_recipe_is_refused_with_what_is_wrong(tmp_path, text, error, message):
    with pytest.raises(error) as caught:
        read_settings(PretrainSettings, write(tmp_path, text))
    assert message in str(caught.value)
    assert "recipe.yaml" in str(caught.value)


def test_every_field_has_a_docstring_for_help():
    tree = ast.parse(inspect.getsource(config_module))
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for node, following in itertools.pairwise(section.body):
            if isinstance(node, ast.AnnAssign):
                assert isinstance(following, ast.Expr), f"{section.name}.{node.target.id}"


def test_a_wrong_type_in_the_recipe_is_an_error_for_the_user(tmp_path):
    path = write(tmp_path, "train: {max_steps: many}")
    with pytest.raises(TypeError, match=r"train\.max_steps.*\bint\b.*'many'"):
        read_settings(PretrainSettings, path)


def test_plain_values_only():
    assert from_mapping(PretrainSettings, to_mapping(PretrainSettings())) == PretrainSettings()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_short_and_load(path):
    read_settings(PretrainSettings, path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
