"""A sharded model starts with the weights of the whole one, and no process ever holds it whole."""

import pytest
import torch
from launched import run_program

from unblank.engine.deferred_draws import DeferredDraws, drawn_one_by_one
from unblank.families.settings import FamilySections
from unblank.families.table import FAMILIES
from unblank.models.presets import preset_fields

PLACING = """
import gc, json, resource, sys
from pathlib import Path
import torch
from unblank.engine.parallel import join_world
from unblank.engine.placed_model import place_model
from unblank.engine.state import named_weights, whole
from unblank.engine.units import InfillUnit
from unblank.families.building import load_model
from unblank.families.settings import FamilySections, ModelSettings
from unblank.families.table import FAMILIES
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration

def build():
    if folder is not None and layers > 1 and world.size > 1:
        model = load_model(FAMILIES["glm"], folder, ModelSettings(), FamilySections())
        return model, InfillUnit()
    torch.manual_seed(5)
    config = GlmInfillConfig(
        vocab_size=1024, hidden_size=512, num_hidden_layers=layers, num_attention_heads=8,
        max_position_embeddings=64, intermediate_size=2048,
    )
    return GlmInfillForConditionalGeneration(config), InfillUnit()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

layers, folder = int(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
with join_world("cpu") as world:
    wanted, layers = layers, 1  # what is imported with the first model is no part of its memory
    place_model(build, world, parallel="fsdp", is_drawn=True)
    gc.collect()
    before, layers = peak(), wanted
    model, _ = place_model(
        build, world, parallel="fsdp", checkpoint=folder, is_drawn=folder is None
    )
    if folder is not None and world.size == 1:
        model.save_pretrained(folder)
    taken = max(world.gather(peak() - before))
    found = {name: whole(value) for name, value in named_weights(model).items()}
    if world.is_main:
        result = {
            "taken": taken,
            "whole": sum(4 * value.numel() for value in found.values()),
            "sums": {name: float(value.double().sum()) for name, value in found.items()},
        }
        print("RESULT", json.dumps(result))
"""


def tiny_model(name):
    family = FAMILIES[name]
    fields = preset_fields(f"{name}-tiny" if name != "glm" else "tiny", family.presets, {})
    small = {"vocab_size": 500, "hidden_size": 64, "num_attention_heads": 2}
    return family.pretraining_class(family.pretraining_class.config_class(**{**fields, **small}))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_losses_have_their_values_where_the_model_has_none(name):
    with torch.device("meta"):
        unit = FAMILIES[name].unit(tiny_model(name), FamilySections(), seed=0)
    tensors = [one for one in getattr(unit, "__dict__", {}).values() if torch.is_tensor(one)]
    assert not any(one.is_meta for one in tensors)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_weights_that_are_drawn_later_are_those_of_now(name):
    torch.manual_seed(3)
    now, next_draw = dict(tiny_model(name).named_parameters()), torch.rand(1)
    torch.manual_seed(3)
    with DeferredDraws() as draws:
        model = tiny_model(name)
    assert torch.equal(torch.rand(1), next_draw)
    assert all(parameter.is_meta for parameter in model.parameters())
    later = {name: values.clone() for name, values in drawn_one_by_one(draws.of(model))}
    assert later.keys() == now.keys()
    for key, values in later.items():
        assert torch.equal(values, now[key]), key


def test_a_start_that_is_no_draw_is_refused():
    with DeferredDraws(), pytest.raises(NotImplementedError, match="add_"):
        torch.nn.Parameter(torch.empty(3)).data.add_(1.0)


def test_a_sharded_model_starts_with_the_weights_of_the_whole_one():
    one, two = (run_program(PLACING, "2", num_processes=number) for number in (1, 2))
    assert two["sums"] == one["sums"]


def test_a_sharded_model_is_opened_from_a_checkpoint(tmp_path):
    one = run_program(PLACING, "2", str(tmp_path), num_processes=1)
    two = run_program(PLACING, "2", str(tmp_path), num_processes=2)
    assert two["sums"] == one["sums"]


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [True, False])
def test_no_process_of_eight_ever_holds_the_whole_model(is_new, tmp_path):
    folder = () if is_new else (str(tmp_path),)
    if not is_new:
        run_program(PLACING, "12", *folder, num_processes=1)
    eight = run_program(PLACING, "12", *folder, num_processes=8)
    # Its shards, and a tensor at a time.
    assert eight["taken"] < eight["whole"] / 8 + 32e6
