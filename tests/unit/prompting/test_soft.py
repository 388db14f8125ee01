"""Trained prompts: they reach what they should, equal a naive computation, and leave the rest."""

import copy
import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.masks import packed_visibility
from unblank.prompting.soft import (
    ENCODERS,
    SoftPrompt,
    attach_soft_prompt,
    new_soft_prompt,
)
from unblank.prompting.soft_deep import (
    attach_deep_prompt,
    deep_prompt_of_states,
    new_deep_prompt,
)

VOCABULARY, WIDTH, HEADS, LAYERS = 96, 32, 4, 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = GlmInfillConfig(
        vocab_size=VOCABULARY, tokenizer_size=90, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, max_position_embeddings=64, initializer_range=0.4,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0, eos_token_id=0,
        mask_token_id=5, sop_token_id=8, eop_token_id=9,
    )  # fmt: skip
    return GlmInfillForConditionalGeneration(config).eval()


def packed_row(prompt_ids=()):
    """Two segments, the second with two branches, and padding; prompt ids begin each Part A."""
    generator = torch.Generator().manual_seed(4)
    ids, segments, prefix, ends, positions = [], [], [], [], []
    for segment, (length_a, branches) in enumerate([(6, [3]), (4, [2, 3])], start=1):
        part_a = [*prompt_ids, *torch.randint(10, 90, (length_a,), generator=generator).tolist()]
        start = len(ids) + len(part_a)
        total = sum(branches)
        ids += [*part_a, *torch.randint(10, 90, (total,), generator=generator).tolist()]
        segments += [segment] * (len(part_a) + total)
        prefix += [True] * len(part_a) + [False] * total
        positions += [(i, 0) for i in range(len(part_a))]
        ends += [99] * len(part_a)
        for length in branches:
            positions += [(2, depth + 1) for depth in range(length)]
            ends += [start + length] * length
            start += length
    for column, value in zip((ids, segments, prefix, ends), (0, 0, False, 99), strict=True):
        column += [value] * 2
    positions += [(0, 0)] * 2
    return {
        "input_ids": torch.tensor([ids]),
        "segment_ids": torch.tensor([segments]),
        "is_prefix": torch.tensor([prefix]),
        "branch_ends": torch.tensor([ends]),
        "position_ids": torch.tensor(positions).T[:, None],
    }


def naive_states(model, row, keys_values):
    """GLM with a prompt of keys and values, in double precision, one head at a time."""
    body = copy.deepcopy(model.model).double()
    visible = packed_visibility(row["segment_ids"], row["is_prefix"], row["branch_ends"])[0, 0]
    first, second = row["position_ids"]
    hidden = body.embed_tokens(row["input_ids"][0])
    hidden = hidden + body.embed_positions(first[0]) + body.embed_block_positions(second[0])
    size = WIDTH // HEADS
    for layer, (prompt_keys, prompt_values) in zip(body.layers, keys_values.double(), strict=True):
        q, k, v = layer.self_attn.qkv_proj(layer.input_layernorm(hidden)).split(WIDTH, dim=-1)
        heads = []
        for head in range(HEADS):
            columns = slice(head * size, (head + 1) * size)
            to_prompt = q[:, columns] @ prompt_keys[:, columns].T
            to_tokens = (q[:, columns] @ k[:, columns].T).masked_fill(~visible, -math.inf)
            weights = torch.softmax(torch.cat([to_prompt, to_tokens], 1) / math.sqrt(size), 1)
            heads.append(weights @ torch.cat([prompt_values[:, columns], v[:, columns]]))
        hidden = hidden + layer.self_attn.o_proj(torch.cat(heads, dim=1))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return body.norm(hidden)


def with_deep_prompt(model, length=5):
    keys_values = torch.randn(LAYERS, 2, length, WIDTH, generator=torch.Generator().manual_seed(1))
    attach_deep_prompt(model, keys_values)
    return keys_values


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "flex_attention"])
@torch.no_grad()  # flex attention has no backward on CPUs
def test_deep_prompt_equals_naive_attention_in_packed_rows_with_branches(model, implementation):
    plain = copy.deepcopy(model)
    keys_values = with_deep_prompt(model)
    model.set_attn_implementation(implementation)
    row = packed_row()
    found = model.model(**row).last_hidden_state[0]
    assert_close(found.double(), naive_states(plain, row, keys_values), atol=1e-4, rtol=1e-4)


def test_deep_prompt_in_bf16_goes_block_by_block_and_agrees(model):
    plain = copy.deepcopy(model)
    keys_values = with_deep_prompt(model)
    row = packed_row()
    with torch.autocast("cpu", torch.bfloat16):
        found = model.model(**row).last_hidden_state[0]
    expected = naive_states(plain, row, keys_values)
    assert functional.cosine_similarity(found.double(), expected).min() > 0.995


def test_deep_prompt_changes_part_a_and_part_a_reaches_the_prompt_of_every_layer(model):
    row = packed_row()
    before = model.model(**row).last_hidden_state
    with_deep_prompt(model)
    after = model.model(**row).last_hidden_state
    is_part_a = row["is_prefix"]
    assert ((after - before)[is_part_a].abs().amax(dim=1) > 1e-3).all()
    after[is_part_a].pow(2).sum().backward()
    for layer in model.model.layers:
        gradient = layer.self_attn.prompt.keys_values.grad
        assert (gradient.abs().amax(dim=(1, 2)) > 0).all(), "keys and values of each layer"


def test_deep_prompt_with_a_cache_equals_one_forward(model):
    with_deep_prompt(model)
    ids = torch.randint(10, 90, (2, 11), generator=torch.Generator().manual_seed(2))
    positions = torch.stack([torch.arange(11).clamp(max=7), (torch.arange(11) - 7).clamp(min=0)])
    positions = positions[:, None].expand(2, 2, 11)
    lengths = torch.tensor([8, 8])
    whole = model(ids, position_ids=positions, prefix_lengths=lengths).logits
    output = model(
        ids[:, :8], position_ids=positions[..., :8], prefix_lengths=lengths, use_cache=True
    )
    logits = [output.logits]
    for step in range(8, 11):
        output = model(
            ids[:, step : step + 1],
            position_ids=positions[..., step : step + 1],
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        logits.append(output.logits)
    assert_close(torch.cat(logits, dim=1), whole, atol=1e-4, rtol=1e-4)
    assert output.past_key_values.get_seq_length() == 11, "the prompt is not cached"


def test_deep_prompt_starts_as_what_the_model_computes_for_words(model):
    start = new_deep_prompt(model, 4, seed=3)
    assert start.shape == (LAYERS, 2, 4, WIDTH)
    assert torch.equal(start, new_deep_prompt(model, 4, seed=3))
    row = packed_row()
    attach_deep_prompt(model, start)
    prompts = [layer.self_attn.prompt.keys_values for layer in model.model.layers]
    assert torch.equal(torch.stack(prompts).float(), start)
    assert model.model(**row).last_hidden_state.isfinite().all()


def test_states_of_multiglm_equal_vectors_put_before_the_projection(model):
    states = torch.randn(LAYERS, 6, WIDTH, generator=torch.Generator().manual_seed(5))
    found = deep_prompt_of_states(model, states)
    for layer, state, (keys, values) in zip(model.model.layers, states, found, strict=True):
        weight, bias = layer.self_attn.qkv_proj.weight, layer.self_attn.qkv_proj.bias
        assert_close(keys, state @ weight[WIDTH : 2 * WIDTH].T + bias[WIDTH : 2 * WIDTH])
        assert_close(values, state @ weight[2 * WIDTH :].T + bias[2 * WIDTH :])


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_soft_prompt_equals_its_vectors_written_into_the_embeddings(model, encoder):
    prompt = new_soft_prompt(model, 4, encoder, seed=1)
    words = model.model.embed_tokens.weight
    attach_soft_prompt(model, prompt)
    row = packed_row((96, 97, 98, 99))
    found = model.model(**row).last_hidden_state
    table = torch.cat([words, prompt.encoded()])
    ids = row.pop("input_ids")
    naive = model.model(inputs_embeds=table[ids], **row).last_hidden_state
    assert_close(found, naive)


def test_soft_prompt_reaches_every_token_of_its_segment_and_no_other(model):
    attach_soft_prompt(model, new_soft_prompt(model, 2, "none", seed=1))
    row = packed_row((96, 97))
    before = model.model(**row).last_hidden_state
    row["input_ids"][0, 0] = 11  # the first prompt id of the first segment
    changed = (model.model(**row).last_hidden_state - before).abs().amax(dim=2) > 1e-4
    assert torch.equal(changed, row["segment_ids"] == 1)


def test_soft_prompt_starts_as_words_of_the_vocabulary(model):
    prompt = new_soft_prompt(model, 5, "none", seed=7)
    table = model.model.embed_tokens.weight[:90]
    is_word = (prompt.vectors[:, None] == table).all(dim=2)
    assert is_word.any(dim=1).all()
    again = new_soft_prompt(model, 5, "none", seed=7)
    assert torch.equal(prompt.vectors, again.vectors)
    assert not torch.equal(prompt.vectors, new_soft_prompt(model, 5, "none", seed=8).vectors)


def test_the_lstm_encoder_has_the_weights_of_the_original(model):
    names = {name: tuple(p.shape) for name, p in new_soft_prompt(
        model, 3, "lstm", seed=0
    ).encoder.named_parameters()}  # fmt: skip
    assert names["mlp_head.0.weight"] == (WIDTH, 2 * WIDTH)
    assert names["mlp_head.2.weight"] == (WIDTH, WIDTH)
    sides, layers = ("", "_reverse"), (0, 1)
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for layer in layers:
            for side in sides:
                assert f"lstm_head.{kind}_l{layer}{side}" in names
    assert len(names) == 4 + 16


@pytest.mark.parametrize("kind", ["soft", "lstm", "deep"])
def test_training_a_prompt_lowers_the_loss_and_leaves_every_weight_bit_identical(model, kind):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.requires_grad_(False)
    prompt_ids = () if kind == "deep" else (96, 97, 98, 99)
    if kind == "deep":
        attach_deep_prompt(model, new_deep_prompt(model, 4, seed=0))
    else:
        encoder = "none" if kind == "soft" else kind
        attach_soft_prompt(model, new_soft_prompt(model, 4, encoder, seed=0))
    row = packed_row(prompt_ids)
    labels = torch.where(row["is_prefix"] | (row["segment_ids"] == 0), -100, 33)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    losses = []
    for _ in range(20):
        loss = model(**row, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    after = model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert all("prompt" in name for name, p in model.named_parameters() if p.requires_grad)


def test_wrong_shapes_and_families_are_refused(model):
    with pytest.raises(ValueError, match=r"\[2, 2, 5, 32\].*\[3, 2, 5, 32\]"):
        attach_deep_prompt(model, torch.zeros(2, 2, 5, WIDTH))
    with pytest.raises(ValueError, match=r"40 vectors.*64 positions"):
        new_soft_prompt(model, 40, "none", seed=0)
    model.config.model_type = "deltalm"
    with pytest.raises(ValueError, match=r"'deltalm'.*--method lora"):
        new_deep_prompt(model, 4, seed=0)


@pytest.mark.parametrize(
    "kind", ["PromptTuningConfig", "PromptEncoderConfig", "PrefixTuningConfig"]
)
@pytest.mark.parametrize("task", ["SEQ_2_SEQ_LM", "CAUSAL_LM", "SEQ_CLS"])
def test_prompt_methods_of_peft_are_refused_with_the_reason(model, kind, task):
    peft = pytest.importorskip("peft")
    config = getattr(peft, kind)(num_virtual_tokens=4, task_type=task)
    with pytest.raises(ValueError, match=r"GLM.*position.*--method prompt"):
        peft.get_peft_model(model, config)


def test_a_soft_prompt_passes_gradients_to_its_parameters_only_where_it_stands(model):
    prompt = SoftPrompt(VOCABULARY, torch.zeros(3, WIDTH), torch.nn.Identity())
    embedded = prompt(torch.tensor([[1, VOCABULARY + 2, 4]]), model.model.embed_tokens)
    embedded.sum().backward()
    assert torch.equal(prompt.vectors.grad.sum(dim=1) != 0, torch.tensor([False, False, True]))
