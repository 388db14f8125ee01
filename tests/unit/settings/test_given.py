"""What was given in vain is refused, also where its value is the default."""

import pytest

from unblank.settings.given import given_names, refuse_unused

UNUSED = {"lora": "--method full trains no adapters", "prompt.encoder": "deep prompts have none"}


def test_leaves_are_given_and_empty_sections_are_not():
    assert given_names({"a": {"b": {"c": 0}, "d": None}, "e": {}}) == {"a.b.c", "a.d"}


@pytest.mark.parametrize("name", ["lora.rank", "lora", "prompt.encoder"])
def test_a_given_setting_that_is_not_used_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name} is given, but .*: leave it out"):
        refuse_unused({"train.seed", name}, UNUSED)


def test_names_that_only_begin_alike_are_no_part_of_a_section():
    refuse_unused({"lora_rank", "prompt.length", "prompt.encoder_size"}, UNUSED)
