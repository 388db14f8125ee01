"""What was given in vain is refused, also where its value is the default."""

from dataclasses import dataclass, field

import pytest

from unblank.finetuning.settings import FinetuneSettings
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.given import given_names, recipe_beside, refuse_unused
from unblank.settings.recipes import to_mapping

UNUSED = {"lora": "--method full trains no adapters", "prompt.encoder": "deep prompts have none"}


@dataclass
class Inner:
    rank: int = 8
    targets: tuple[str, ...] = ("all",)


@dataclass
class Settings:
    task: str = "seq2seq"
    lora: Inner = field(default_factory=Inner)


def test_a_flag_is_given_with_any_value_and_a_recipe_where_it_differs_from_the_default():
    settings = Settings(lora=Inner(rank=4))
    assert given_names(settings, flags=["task"], recipe={}) == {"task"}
    assert given_names(settings, flags=[], recipe={"lora": {"rank": 4}}) == {"lora.rank"}
    assert given_names(settings, flags=[], recipe=to_mapping(settings)) == {"lora.rank"}
    assert given_names(Settings(), flags=[], recipe=to_mapping(Settings())) == set()
    assert given_names(Settings(), flags=["lora.rank"], recipe={"lora": {}}) == {"lora.rank"}


@pytest.mark.parametrize("name", ["lora.rank", "lora", "prompt.encoder"])
def test_a_given_setting_that_is_not_used_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name} is given"):
        refuse_unused({"train.seed", name}, UNUSED)


def test_names_that_only_begin_alike_are_no_part_of_a_section():
    refuse_unused({"lora_rank", "prompt.length", "prompt.encoder_size"}, UNUSED)


@pytest.mark.parametrize(("given", "left"), [("minutes", "max_steps"), ("max_steps", "minutes")])
def test_a_given_length_takes_the_place_of_the_recipes(given, left):
    recipe = {"train": {left: 5, "seed": 3}, "model": {"preset": "tiny"}}
    kept = recipe_beside(PretrainSettings, {f"train.{given}"}, recipe)
    assert kept == {"train": {"seed": 3}, "model": {"preset": "tiny"}}
    assert recipe["train"][left] == 5
    # The record of a timed run has both, and is a recipe of the same run.
    both = {"train": {"minutes": 2.0, "max_steps": 5}}
    assert recipe_beside(PretrainSettings, {"train.seed"}, both) == both


def test_two_given_lengths_are_refused():
    with pytest.raises(ValueError, match=r"train\.minutes and train\.max_steps|max_steps and"):
        recipe_beside(PretrainSettings, {"train.minutes", "train.max_steps"}, {})


def test_a_preset_and_a_folder_to_start_from_exclude_each_other():
    for kind in (PretrainSettings, FinetuneSettings):
        recipe = {"model": {"preset": "base", "decoder_start": "random"}}
        left = recipe_beside(kind, {"model.init_from"}, recipe)
        assert left == {"model": {"decoder_start": "random"}}
        with pytest.raises(ValueError, match=r"model\.preset and model\.init_from"):
            recipe_beside(kind, {"model.init_from", "model.preset"}, {})
