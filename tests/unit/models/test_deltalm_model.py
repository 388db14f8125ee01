"""DeltaLM: sizes, padding, cache, pre-LN, starting from encoders, the transformers contract."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close
from transformers import AutoModelForSeq2SeqLM, BertConfig, BertModel

from unblank.compatibility import enable_activation_checkpointing
from unblank.conversion.encoder import encoder_from_glm, read_encoder
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.deltalm import (
    DeltaLMConfig,
    DeltaLMForConditionalGeneration,
    deltalm_config,
)
from unblank.models.deltalm.from_encoder import deltalm_from_encoder

SOURCE = torch.tensor([[7, 8, 9, 10, 11, 2], [12, 13, 14, 2, 1, 1]])
LEFT_PADDED = torch.tensor([[7, 8, 9, 10, 11, 2], [1, 1, 12, 13, 14, 2]])
TARGET = torch.tensor([[2, 20, 21, 22], [2, 30, 31, 32]])
# published files and logs; V = 250001 words, or 250104 with mask, sentinels and padding rows
PUBLISHED_PARAMETERS = {
    ("deltalm-base", 250001): 362_902_272,
    ("deltalm-base", 250104): 362_981_376,
    ("deltalm-large", 250001): 861_672_448,
    ("deltalm-large", 250104): 861_777_920,
    ("deltalm-large-prenorm", 250104): 861_782_016,
}


def tiny_config(**overrides):
    fields = {
        "vocab_size": 60, "hidden_size": 32, "encoder_layers": 4, "decoder_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 24, "hidden_dropout_prob": 0.0,
        "initializer_range": 0.3,
    }  # fmt: skip
    return DeltaLMConfig(**{**fields, **overrides})


def tiny(**overrides):
    torch.manual_seed(0)
    return DeltaLMForConditionalGeneration(tiny_config(**overrides)).eval()


@pytest.fixture
def model():
    return tiny()


@pytest.mark.parametrize(("name", "words"), PUBLISHED_PARAMETERS)
def test_parameter_counts_are_the_published_ones(name, words):
    with torch.device("meta"):
        model = DeltaLMForConditionalGeneration(deltalm_config(name, vocab_size=words))
    model.tie_weights()
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED_PARAMETERS[name, words]


def test_misspelt_preset_offers_the_nearest():
    with pytest.raises(ValueError, match="deltalm-base"):
        deltalm_config("deltalm-bse")


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_left_and_right_padding_agree(implementation, model):
    model.set_attn_implementation(implementation)
    right = model(SOURCE, decoder_input_ids=TARGET).logits
    left = model(LEFT_PADDED, decoder_input_ids=TARGET).logits
    alone = model(SOURCE[1:, :4], decoder_input_ids=TARGET[1:]).logits
    assert_close(left, right, atol=1e-5, rtol=1e-5)
    assert_close(right[1:], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_left_padded_targets_give_the_logits_of_unpadded_ones(model):
    padded = torch.cat([torch.full((2, 3), 1), TARGET], dim=1)
    is_real = (torch.arange(7) >= 3).expand(2, 7)
    logits = model(SOURCE, decoder_input_ids=padded, decoder_attention_mask=is_real).logits
    expected = model(SOURCE, decoder_input_ids=TARGET).logits
    assert_close(logits[:, 3:], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_cached_generation_equals_uncached_and_ignores_padding(model):
    options = {"min_new_tokens": 8, "max_new_tokens": 8, "do_sample": False}
    cached = model.generate(SOURCE, **options)
    uncached = model.generate(LEFT_PADDED, **options, use_cache=False)
    assert torch.equal(cached, uncached)
    tokens = torch.full((2, 1), 2)
    for _ in range(3):
        logits = model(SOURCE, decoder_input_ids=tokens).logits[:, -1]
        logits[:, [1, 2]] = float("-inf")
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(cached[0, :4], tokens[0])


@torch.no_grad()
def test_generation_without_a_mask_finds_the_padding(model):
    options = {"max_new_tokens": 4, "output_logits": True, "return_dict_in_generate": True}
    together = model.generate(SOURCE, **options).logits
    alone = model.generate(SOURCE[1:, :4], **options).logits
    for ours, expected in zip(together, alone, strict=True):
        assert_close(ours[1:], expected, atol=1e-5, rtol=1e-5)


def test_loss_is_the_mean_cross_entropy_of_scored_positions(model):
    labels = TARGET.clone()
    labels[1, 2:] = -100
    output = model(SOURCE, labels=labels, return_logits=False)
    assert output.logits is None
    assert output.num_scored == 6
    shifted = torch.tensor([[2, 2, 20, 21], [2, 2, 30, 1]])
    logits = model(SOURCE, decoder_input_ids=shifted).logits
    expected = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    assert_close(output.loss_sum, expected)
    assert_close(output.loss, expected / 6)
    assert_close(model(SOURCE, labels=labels).logits, logits)


def torch_layer(layer, ours):
    """Fill a layer of torch, an independent implementation, with the weights of one of ours."""
    pairs = [(layer.self_attn, ours.self_attn)]
    norms = [ours.self_attn_norm, ours.mlp_norm]
    if hasattr(ours, "cross_attn"):
        pairs.append((layer.multihead_attn, ours.cross_attn))
        norms.insert(1, ours.cross_attn_norm)
    for theirs, attention in pairs:
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        theirs.in_proj_weight.data = torch.cat([p.weight for p in projections])
        theirs.in_proj_bias.data = torch.cat([p.bias for p in projections])
        theirs.out_proj.load_state_dict(attention.o_proj.state_dict())
    layer.linear1.load_state_dict(ours.mlp.up_proj.state_dict())
    layer.linear2.load_state_dict(ours.mlp.down_proj.state_dict())
    for number, norm in enumerate(norms, start=1):
        getattr(layer, f"norm{number}").load_state_dict(norm.state_dict())
    return layer.eval()


@pytest.mark.parametrize("is_pre_norm", [False, True])
@torch.no_grad()
def test_layers_equal_those_of_torch(is_pre_norm):
    model = tiny(interleaved_decoder=False, normalize_before=is_pre_norm)
    options = {"activation": "gelu", "batch_first": True, "norm_first": is_pre_norm}
    source = SOURCE[:1]
    encoder, decoder = model.model.encoder, model.model.decoder
    states = encoder(source, output_hidden_states=True).hidden_states
    hidden = states[0]
    for ours in encoder.layers:
        hidden = torch_layer(nn.TransformerEncoderLayer(32, 4, 128, **options), ours)(hidden)
    memory = encoder.norm(hidden)
    assert_close(states[-1], memory, atol=1e-5, rtol=1e-5)
    targets = encoder.embed_tokens(TARGET[:1])
    states = decoder(targets, memory, output_hidden_states=True).hidden_states
    hidden, causal = states[0], nn.Transformer.generate_square_subsequent_mask(4)
    for ours in decoder.layers:
        theirs = torch_layer(nn.TransformerDecoderLayer(32, 4, 128, **options), ours)
        hidden = theirs(hidden, memory, tgt_mask=causal)
    assert_close(states[-1], decoder.norm(hidden), atol=1e-5, rtol=1e-5)


def test_saved_folder_loads_through_auto_classes(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, DeltaLMForConditionalGeneration)
    assert loaded.lm_head.weight is loaded.model.encoder.embed_tokens.weight
    with torch.no_grad():
        expected = model(SOURCE, decoder_input_ids=TARGET).logits
        assert torch.equal(loaded(SOURCE, decoder_input_ids=TARGET).logits, expected)


def test_activation_checkpointing_keeps_the_gradients_and_says_nothing(model, monkeypatch):
    said = []
    monkeypatch.setattr("transformers.utils.generic.logger.warning_once", said.append)
    model.train()
    model(SOURCE, labels=TARGET).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    enable_activation_checkpointing(model)
    model(SOURCE, labels=TARGET).loss.backward()
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad, expected[name])
    assert said == []  # transformers would speak of a cache that nobody asked for


def test_loss_in_bf16_is_near_that_in_fp32(model):
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(SOURCE, labels=TARGET).loss
    rounded.backward()
    assert_close(rounded, model(SOURCE, labels=TARGET).loss, atol=0.1, rtol=0.05)


def test_too_long_a_source_is_refused_with_the_limit(model):
    with pytest.raises(ValueError, match=r"30 tokens.*24 positions"):
        model(torch.full((1, 30), 7), labels=TARGET[:1])


# From a pretrained encoder.


def glm_encoder(layers=4):
    torch.manual_seed(1)
    config = GlmInfillConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=layers, num_attention_heads=4,
        max_position_embeddings=24, initializer_range=0.3, pad_token_id=0, eos_token_id=0,
        sop_token_id=3, eop_token_id=4, cls_token_id=5, mask_token_id=6,
    )  # fmt: skip
    glm = GlmInfillForConditionalGeneration(config).eval()
    return glm, encoder_from_glm(config.to_dict(), dict(glm.state_dict()))


@torch.no_grad()
def test_a_glm_stack_becomes_the_same_encoder():
    glm, encoder = glm_encoder()
    model = deltalm_from_encoder(*encoder).eval()
    tokens = torch.tensor([[5, 7, 8, 9, 10]])
    expected = glm.model(tokens).last_hidden_state
    assert_close(model.get_encoder()(tokens).last_hidden_state, expected, atol=1e-5, rtol=1e-5)
    assert model.config.normalize_before
    assert (model.config.decoder_start_token_id, model.config.eos_token_id) == (3, 4)


def test_a_saved_glm_folder_is_read_like_the_model(tmp_path):
    glm, (fields, state_dict) = glm_encoder()
    glm.save_pretrained(tmp_path)
    read_fields, read_state = read_encoder(tmp_path)
    assert read_fields == fields
    assert all(torch.equal(read_state[key], state_dict[key]) for key in state_dict)


@torch.no_grad()
def test_a_bert_folder_becomes_the_same_encoder(tmp_path):
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=20, initializer_range=0.3,
    )  # fmt: skip
    bert = BertModel(config).eval()
    bert.save_pretrained(tmp_path)
    model = deltalm_from_encoder(*read_encoder(tmp_path), decoder_start_token_id=2).eval()
    tokens = torch.tensor([[5, 7, 8, 9, 10]])
    expected = bert(tokens).last_hidden_state
    assert_close(model.get_encoder()(tokens).last_hidden_state, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "hidden_size",
            48,
            r"hidden_size.*\b48\b.*config\.json.*\b32\b",
        ),
        ("num_hidden_layers", 6, "num_hidden_layers.*6.*2"),
    ],
)
def test_a_folder_whose_weights_have_other_sizes_than_it_says_is_refused(
    tmp_path, name, value, message
):
    heads = {"num_attention_heads": 4, "intermediate_size": 48}
    model = BertModel(BertConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, **heads))
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(ValueError, match=message):
        read_encoder(tmp_path)


def test_interleaved_decoder_takes_odd_and_even_layers():
    _, (fields, state_dict) = glm_encoder()
    decoder = deltalm_from_encoder(fields, state_dict).model.decoder
    for layer, ours in enumerate(decoder.layers):
        for name, encoder_layer, theirs in (
            ("self_attn.q_proj.weight", 2 * layer, "self_attn.q_proj.weight"),
            ("bottom_mlp.up_proj.bias", 2 * layer, "mlp.up_proj.bias"),
            ("bottom_mlp_norm.weight", 2 * layer, "mlp_norm.weight"),
            ("cross_attn.o_proj.weight", 2 * layer + 1, "self_attn.o_proj.weight"),
            ("cross_attn_norm.bias", 2 * layer + 1, "self_attn_norm.bias"),
            ("mlp.down_proj.weight", 2 * layer + 1, "mlp.down_proj.weight"),
        ):
            expected = state_dict[f"layers.{encoder_layer}.{theirs}"]
            assert torch.equal(ours.get_parameter(name), expected)
    assert torch.equal(decoder.norm.weight, state_dict["norm.weight"])


def test_rival_starts_differ_only_where_they_should():
    _, (fields, state_dict) = glm_encoder()
    torch.manual_seed(0)
    copied = deltalm_from_encoder(fields, state_dict, "vanilla").model
    mixed = deltalm_from_encoder(fields, state_dict, "vanilla-random-cross-attention").model
    random = deltalm_from_encoder(fields, state_dict, "random").model
    assert len(copied.decoder.layers) == len(mixed.decoder.layers) == 4
    assert len(random.decoder.layers) == 2
    source = state_dict["layers.3.self_attn.q_proj.weight"]
    assert torch.equal(copied.decoder.layers[3].self_attn.q_proj.weight, source)
    assert torch.equal(copied.decoder.layers[3].cross_attn.q_proj.weight, source)
    assert torch.equal(mixed.decoder.layers[3].self_attn.q_proj.weight, source)
    assert not torch.equal(mixed.decoder.layers[3].cross_attn.q_proj.weight, source)
    assert not torch.equal(random.encoder.embed_tokens.weight, state_dict["embed_tokens.weight"])


def test_new_tokens_start_random_after_the_rows_of_the_encoder():
    _, (fields, state_dict) = glm_encoder()
    table = deltalm_from_encoder(fields, state_dict, vocab_size=64).lm_head.weight
    assert torch.equal(table[:60], state_dict["embed_tokens.weight"])
    assert table[60:].std() > 0


def test_encoders_that_do_not_fit_are_refused():
    _, (fields, state_dict) = glm_encoder()
    with pytest.raises(ValueError, match=r"hidden_size.*\b32\b.*\b64\b"):
        deltalm_from_encoder(fields, state_dict, hidden_size=64)
    with pytest.raises(ValueError, match="at most 2 layers"):
        deltalm_from_encoder(fields, state_dict, decoder_layers=3)
    _, odd = glm_encoder(layers=3)
    with pytest.raises(ValueError, match="encoder has 3"):
        deltalm_from_encoder(*odd)
    assert len(deltalm_from_encoder(*odd, decoder_layers=1).model.decoder.layers) == 1


def test_unknown_keys_are_refused_by_name():
    with pytest.raises(ValueError, match="surprise"):
        encoder_from_glm({}, {"model.surprise.weight": torch.zeros(1)})


@pytest.mark.parametrize("num_targets", [1, 3])
def test_targets_that_cannot_share_the_sources_are_refused(model, num_targets):
    target = TARGET[:1].expand(num_targets, -1)
    with pytest.raises(ValueError, match=rf"{num_targets} rows.*source 2\b"):
        model(input_ids=SOURCE, decoder_input_ids=target)
