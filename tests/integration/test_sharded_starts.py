"""A sharded model starts with the weights of the whole one, and no process ever holds it whole."""

import pytest
import torch
from launched import run_program

from unblank.families.settings import FamilySections
from unblank.families.table import FAMILIES
from unblank.models.presets import preset_fields

PLACING = """
import gc, json, resource, sys
from functools import partial
from hashlib import sha256
from pathlib import Path
import numpy as np
import torch
from unblank.adapters.lora import add_lora
from unblank.conversion.encoder import read_encoder
from unblank.engine.parallel import join_world
from unblank.engine.placed_model import place_model
from unblank.engine.state import named_weights, whole
from unblank.engine.units import InfillUnit
from unblank.families.building import load_model
from unblank.families.settings import FamilySections, ModelSettings
from unblank.families.table import FAMILIES
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.deltalm.from_encoder import deltalm_from_encoder
from unblank.models.finite import require_finite
from unblank.models.neighbours import look_at_neighbours
from unblank.starting.first_embeddings import start_from_cooccurrence
from unblank.models.vocabulary_rows import replace_rows

READING = {"checkpoint", "loaded", "lora", "rows", "encoder"}  # the others draw their weights

class Text:
    def __len__(self): return 3
    def document_length(self, index): return 500
    def tokens(self, index, start, length):
        return np.random.default_rng(index).integers(1, 1000, length)

def build(start, layers):
    if start == "encoder":
        fields, weights = read_encoder(folder / str(layers))
        require_finite(weights.items(), folder)
        torch.manual_seed(5)
        return deltalm_from_encoder(fields, weights, decoder_start_token_id=2), InfillUnit()
    if folder is not None and start != "saved":
        model = load_model(FAMILIES["glm"], folder / str(layers), ModelSettings(), FamilySections())
    else:
        torch.manual_seed(5)
        config = GlmInfillConfig(
            vocab_size=1024, hidden_size=width, num_hidden_layers=layers, num_attention_heads=8,
            max_position_embeddings=64, intermediate_size=4 * width,
        )
        model = GlmInfillForConditionalGeneration(config)
    if start == "cooccurrence":
        start_from_cooccurrence(model, [Text()], seed=1)
        look_at_neighbours(model, seed=1)
    if start == "lora":
        model = add_lora(model, rank=8, alpha=16.0, dropout=0.0, targets="all", seed=1)
    if start == "rows":
        replace_rows(model, [(row, row + 1) for row in range(1000)], 1024, 1000)
    return model, InfillUnit()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def placed(start, layers):
    checkpoint = folder / str(layers) if start == "checkpoint" else None
    build_it = partial(build, start, layers)
    return place_model(
        build_it, world, parallel="fsdp", shard_group=None, checkpoint=checkpoint
    )[0]

starts, layers, width = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
folders, dtype = Path(sys.argv[4]), getattr(torch, sys.argv[5])
with join_world("cpu") as world:
    results, folder = {}, None
    if starts == ["saved"]:
        for number in (2, 1, layers):
            build("saved", number)[0].to(dtype).save_pretrained(folders / str(number))
    else:
        for start in starts:
            folder = folders if start in READING else None
            # What is imported with the first model is no part of its memory.
            placed(start, 2 if start == "encoder" else 1)
            gc.collect()
            before = peak()
            model = placed(start, layers)
            taken = max(world.gather(peak() - before))
            found = {name: whole(value) for name, value in named_weights(model).items()}
            results[start] = {
                "taken": taken,
                "whole": sum(4 * value.numel() for value in found.values()),
                "values": {name: sha256(one.numpy()).hexdigest() for name, one in found.items()},
            }
    if world.is_main:
        print("RESULT", json.dumps(results))
"""

STARTS = ["drawn", "cooccurrence", "checkpoint", "loaded", "lora", "rows", "encoder"]
SMALL, LARGE = 64, 512
"""Widths: where values are compared, and where memory is."""


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Return what saves a model of some layers, and one of a single layer, and gives the folder."""

    def saved(layers: int, width: int, dtype: str = "float32") -> str:
        folder = tmp_path_factory.mktemp(f"{layers}-{dtype}")
        run_program(PLACING, "saved", str(layers), str(width), str(folder), dtype)
        return str(folder)

    return saved


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


@pytest.fixture(scope="module")
def placed(save):
    """What every start gives in one process and in two, each of which does them all."""
    given = [",".join(STARTS), "2", str(SMALL), save(2, SMALL), "float32"]
    return [run_program(PLACING, *given, num_processes=number) for number in (1, 2)]


@pytest.mark.parametrize("start", STARTS)
def test_a_sharded_model_starts_with_the_weights_of_the_whole_one(start, placed):
    one, two = placed
    assert two[start]["values"] == one[start]["values"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("start", STARTS)
def test_no_process_of_eight_ever_holds_the_whole_model(start, dtype, save):
    if dtype != "float32" and start not in ("loaded", "encoder"):
        pytest.skip("only what is read may be of another type")
    folder = save(12, LARGE, dtype)
    eight = run_program(PLACING, start, "12", str(LARGE), folder, dtype, num_processes=8)[start]
    # Its shards, and a tensor at a time.
    assert eight["taken"] < eight["whole"] / 8 + 32e6
