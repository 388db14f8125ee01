"""Values that are made later are those of now, however a tensor came to them."""

import pytest
import torch
from torch import nn

from unblank.adapters.lora import add_lora, attach_lora, save_lora
from unblank.deferred_values import DeferredValues, UnreadTensor
from unblank.families.building import load_model
from unblank.families.settings import FamilySections, ModelSettings
from unblank.families.table import FAMILIES
from unblank.models.finite import is_finite
from unblank.models.neighbours import look_at_neighbours
from unblank.models.presets import preset_fields
from unblank.models.vocabulary_rows import replace_rows
from unblank.prompting.soft import attach_soft_prompt, new_soft_prompt
from unblank.prompting.soft_deep import attach_deep_prompt, new_deep_prompt


def drawn(name):
    family = FAMILIES[name]
    fields = preset_fields(f"{name}-tiny" if name != "glm" else "tiny", family.presets, {})
    small = {"vocab_size": 500, "hidden_size": 64, "num_attention_heads": 2}
    small |= {name: min(1, fields[name]) for name in fields if name.endswith("_layers")}
    return family.pretraining_class(family.pretraining_class.config_class(**{**fields, **small}))


def neighbours(model):
    look_at_neighbours(model, 1)
    return model


def lora(model):
    return add_lora(model, rank=4, alpha=8.0, dropout=0.0, targets="all", seed=3)


def other_rows(model):
    replace_rows(model, [(1, 2), (3,), (4, 5, 6), ()] * 160, 640, 450)
    return model


def soft_prompt(encoder):
    def prompted(model):
        attach_soft_prompt(model, new_soft_prompt(model, 5, encoder, 1))
        return model

    return prompted


def deep_prompt(model):
    attach_deep_prompt(model, new_deep_prompt(model, 5, 1))
    return model


def same_later(build):
    """Check a model that is built twice, once in a block, and the generator after each."""
    torch.manual_seed(3)
    now, next_draw = dict(build().named_parameters()), torch.rand(1)
    torch.manual_seed(3)
    with DeferredValues() as deferred:
        model = build()
    assert torch.equal(torch.rand(1), next_draw)
    later = dict(deferred.values_of(model))
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())
    assert later.keys() == now.keys()
    for key, values in later.items():
        assert torch.equal(values, now[key]), key


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("change", [lambda model: model, lora, other_rows])
def test_every_family_starts_with_its_values(name, change):
    same_later(lambda: change(drawn(name)))


CHANGES = [neighbours, soft_prompt("none"), soft_prompt("lstm"), deep_prompt]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_is_changed_as_one_that_has_its_values(change):
    same_later(lambda: change(drawn("glm")))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float32) for name in sorted(FAMILIES)), ("glm", torch.bfloat16)],
)
def test_a_model_is_read_from_its_files(name, dtype, tmp_path):
    model = drawn(name).to(dtype)
    if model.can_generate():
        model.generation_config.update(num_beams=4, max_new_tokens=77)
    model.save_pretrained(tmp_path, max_shard_size="300KB")

    def read():
        return load_model(FAMILIES[name], tmp_path, ModelSettings(), FamilySections())

    same_later(read)
    with DeferredValues():
        later = read()
    if model.can_generate():
        assert (later.generation_config.num_beams, later.generation_config.max_new_tokens) == (
            4,
            77,
        )


def test_adapters_are_read_from_their_files(tmp_path):
    adapted = lora(drawn("glm"))
    weights = {name: value.detach() + 1 for name, value in adapted.named_parameters()}
    save_lora(tmp_path, adapted, weights, "base")
    same_later(lambda: attach_lora(drawn("glm"), tmp_path, is_trainable=True))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = drawn("glm")
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight")[3, 4] = torch.nan
    model.save_pretrained(tmp_path)
    with DeferredValues(), pytest.raises(ValueError, match="embed_tokens"):
        load_model(FAMILIES["glm"], tmp_path, ModelSettings(), FamilySections())


def test_a_weight_is_read_once_to_see_whether_it_is_finite():
    reads = []

    def read():
        reads.append(1)
        return torch.tensor([-3.0, 4.0])

    with DeferredValues():
        assert is_finite(UnreadTensor([2], read).to(dtype=torch.float32))
    assert len(reads) == 1


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        drawn_by = torch.Generator().manual_seed(7)
        self.table = nn.Parameter(torch.empty(6, 4))
        self.other = nn.Parameter(torch.ones(3))
        with torch.no_grad():
            self.table.normal_(generator=drawn_by).mul_(2).clamp_(-1, 1)
            self.table[2:4, 1] += self.table[0, 0] * torch.arange(2.0)
            self.table[self.table[:, 0] > 0] *= float(self.table.std())
            self.table.uniform_(0, 1, generator=drawn_by) if bool(self.table.isnan().any()) else ()
            self.other.add_(self.table.sum())
            self.other.div_(torch.tensor([1.0, 2.0, 3.0]))
            self.other.copy_(self.other)
        self.tied = self.table
        self.register_buffer("scale", torch.empty(2).fill_(3.0))


def test_what_is_computed_in_place_and_by_parts_is_the_same():
    same_later(Computed)


def test_a_value_that_was_given_may_not_change_before_it_is_used():
    given = torch.ones(3)
    with DeferredValues() as deferred:
        model = nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            model.weight.copy_(given)
    given.zero_()
    with pytest.raises(AssertionError):
        list(deferred.values_of(model))
