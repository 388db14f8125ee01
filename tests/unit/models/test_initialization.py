"""The first weights of models against the formulas of the published programs."""

import ast
import math
from pathlib import Path

import pytest
import torch

import unblank
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.deltalm import DeltaLMConfig, DeltaLMForConditionalGeneration
from unblank.models.ganlm import GanLMConfig, GanLMForPreTraining

WIDTH, LAYERS = 96, 3
SIZES = {
    "vocab_size": 300, "hidden_size": WIDTH, "num_attention_heads": 4,
    "encoder_layers": 2 * LAYERS, "decoder_layers": LAYERS, "max_position_embeddings": 200,
}  # fmt: skip
XAVIER = math.sqrt(2 / (WIDTH + WIDTH))
XAVIER_MLP = math.sqrt(2 / (WIDTH + 4 * WIDTH))


def spread(weight: torch.Tensor) -> object:
    """Return the standard deviation, to be compared within what so many draws may differ."""
    return pytest.approx(weight.std().item(), rel=4 / math.sqrt(weight.numel()) + 0.01)


@pytest.fixture(scope="module")
def ganlm() -> GanLMForPreTraining:
    torch.manual_seed(0)
    return GanLMForPreTraining(GanLMConfig(**SIZES, discriminator_layers=2))


def test_outputs_of_a_glm_start_smaller_the_more_layers_it_has():
    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": WIDTH, "num_attention_heads": 4}
    model = GlmInfillForConditionalGeneration(GlmInfillConfig(**sizes, num_hidden_layers=8))
    assert spread(model.model.embed_tokens.weight) == 0.02
    assert spread(model.model.embed_positions.weight) == 0.02
    for layer in model.model.layers:
        assert spread(layer.self_attn.qkv_proj.weight) == 0.02
        assert spread(layer.mlp.up_proj.weight) == 0.02
        assert spread(layer.self_attn.o_proj.weight) == 0.02 / math.sqrt(2 * 8)
        assert spread(layer.mlp.down_proj.weight) == 0.02 / math.sqrt(2 * 8)


def test_loading_leaves_weights_as_they_are(ganlm, tmp_path):
    ganlm.save_pretrained(tmp_path)
    torch.manual_seed(5)
    loaded = GanLMForPreTraining.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in ganlm.state_dict().items())


def test_an_encoder_starts_as_berts_with_outputs_that_shrink_with_the_layer(ganlm):
    encoder = ganlm.model.encoder
    assert spread(encoder.embed_tokens.weight) == 0.02
    assert spread(encoder.embeddings.embed_positions.weight) == 0.02
    for number, layer in enumerate(encoder.layers, start=1):
        assert spread(layer.self_attn.q_proj.weight) == 0.02
        assert spread(layer.mlp.up_proj.weight) == 0.02
        assert spread(layer.self_attn.o_proj.weight) == 0.02 / math.sqrt(2 * number)
        assert spread(layer.mlp.down_proj.weight) == 0.02 / math.sqrt(2 * number)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_both_decoders_start_with_xaviers_spread_whatever_the_width(ganlm, name):
    decoder = ganlm.model.decoder if name == "generator" else ganlm.discriminator.decoder
    assert spread(decoder.embeddings.embed_positions.weight) == WIDTH**-0.5
    for number, layer in enumerate(decoder.layers, start=1):
        share = 1 / math.sqrt(2 * number)
        for attention in (layer.self_attn, layer.cross_attn):
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
                assert spread(projection.weight) == XAVIER / math.sqrt(2)
                assert projection.weight.abs().max() <= XAVIER / math.sqrt(2) * math.sqrt(3)
            assert spread(attention.o_proj.weight) == XAVIER * share
        assert spread(layer.mlp.up_proj.weight) == XAVIER_MLP
        assert spread(layer.mlp.down_proj.weight) == XAVIER_MLP * share


def test_biases_start_at_0_norms_at_1_and_both_layers_of_deltalm_shrink(ganlm):
    for name, parameter in ganlm.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
    torch.manual_seed(1)
    model = DeltaLMForConditionalGeneration(DeltaLMConfig(**SIZES, interleaved_decoder=True))
    for number, layer in enumerate(model.model.decoder.layers, start=1):
        for mlp in (layer.bottom_mlp, layer.mlp):
            assert spread(mlp.down_proj.weight) == XAVIER_MLP / math.sqrt(2 * number)


DRAWS = {"randn", "normal_", "uniform_", "xavier_uniform_", "kaiming_uniform_"}
NO_WEIGHTS = {
    "models/initialization.py",
    "models/cooccurrence.py",
    "models/neighbours.py",
    "models/products.py",
}
"""Places that draw: the table in `initialization` names three, and `products` draws no weights."""


def test_weights_are_drawn_in_one_place_only():
    source = Path(unblank.__file__).parent
    rooms = ("models", "families", "starting", "conversion", "prompting", "adapters", "finetuning")
    for path in (path for room in rooms for path in (source / room).rglob("*.py")):
        if path.relative_to(source).as_posix() in NO_WEIGHTS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in DRAWS, f"{path}:{node.lineno}"
