"""First weights that look at neighbours: where the heads of a new model really look."""

import pytest
import torch

from unblank.models import ElectraInfillForPreTraining, GlmInfillConfig
from unblank.models.electra.presets import electra_config
from unblank.models.glm.modeling import GlmInfillForConditionalGeneration
from unblank.models.neighbours import look_at_neighbours


def new_model(**fields):
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = GlmInfillConfig(
        **{"vocab_size": 50, "initializer_range": 0.05, "attn_implementation": "eager"}
        | shape
        | fields
    )
    return GlmInfillForConditionalGeneration(config).eval()


def looks(model, num_tokens=60):
    """Return float[H, T, T]: the attention of the first layer, averaged over drawn texts."""
    ids = torch.randint(50, (20, num_tokens), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(input_ids=ids, output_attentions=True).attentions[0].mean(dim=0)


@pytest.mark.parametrize("fields", [{}, {"hidden_size": 96, "num_attention_heads": 3}])
def test_each_head_looks_at_its_distance(fields):
    model = new_model(**fields)
    look_at_neighbours(model, seed=0)
    heads = looks(model)
    for distance, weights in zip((-1, 1, -2, 2), heads, strict=False):
        inside = torch.arange(2, 58)
        is_there = weights[inside].argmax(dim=1) == inside + distance
        assert is_there.float().mean() > 0.9
        assert weights[inside, inside + distance].mean() > 0.5
    drawn = looks(new_model(**fields))
    assert drawn.max() < 0.1


def test_further_heads_layers_and_embeddings_stay_as_drawn():
    shape = {"num_attention_heads": 8, "hidden_size": 64}
    model, drawn = new_model(**shape), new_model(**shape).state_dict()
    look_at_neighbours(model, seed=0)
    weights = model.state_dict()
    changed = {name for name, value in weights.items() if not torch.equal(value, drawn[name])}
    maps = "model.layers.0.self_attn.qkv_proj.weight"
    assert changed == {"model.embed_positions.weight", maps}
    is_changed = (weights[maps] != drawn[maps]).any(dim=1).view(3, 8, 8).all(dim=2)
    assert is_changed.tolist() == [[True] * 4 + [False] * 4] * 2 + [[False] * 8]
    positions, before = (one["model.embed_positions.weight"] for one in (weights, drawn))
    torch.testing.assert_close(positions.square().mean(), before.square().mean(), rtol=0.1, atol=0)


def test_heads_that_are_too_narrow_are_named():
    with pytest.raises(ValueError, match=r"heads are 6 wide and need 8.*drawn"):
        look_at_neighbours(new_model(hidden_size=24), seed=0)


def test_both_stacks_of_an_electra_start_so():
    torch.manual_seed(0)
    model = ElectraInfillForPreTraining(electra_config("electra-tiny", vocab_size=50))
    look_at_neighbours(model, seed=0)
    first = [stack.embed_positions.weight for stack in (model.model, model.generator)]
    ratio = first[0].std() / first[1].std()
    torch.testing.assert_close(first[0], first[1] * ratio)
