"""The GLM model: sizes, packing, padding, cache, heads, and the transformers contract."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForSeq2SeqLM

from unblank.compatibility import enable_activation_checkpointing
from unblank.models import (
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
    GlmInfillForMultipleChoice,
    GlmInfillForSequenceClassification,
    kept_logits,
)
from unblank.models.glm import GLM_PRESETS, glm_config

# requirements.md 1.4 and the published checkpoints, millions of parameters
PUBLISHED_MILLIONS = {
    "base": 109.3,
    "large": 334.7,
    "410m": 410.3,
    "515m": 514.6,
    "roberta": 354.9,
    "chinese-large": 355.7,
    "2b": 1920.0,
    "10b": 9881.0,
    "multiglm-1b": 1067.0,
}


def tiny_config(**overrides):
    fields = {
        "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64, "hidden_dropout_prob": 0.0, "initializer_range": 0.5,
        "attention_probs_dropout_prob": 0.0, "pad_token_id": 0, "eos_token_id": 0,
        "mask_token_id": 5, "smask_token_id": 6, "gmask_token_id": 7, "sop_token_id": 8,
        "eop_token_id": 9, "tokenizer_size": 90,
    }  # fmt: skip
    return GlmInfillConfig(**{**fields, **overrides})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GlmInfillForConditionalGeneration(tiny_config()).eval()


def example(length_a, length_b, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, 90, (length_a + length_b,), generator=generator)
    first = torch.cat([torch.arange(length_a), torch.full((length_b,), 2)])
    second = torch.cat([torch.zeros(length_a, dtype=torch.long), torch.arange(1, length_b + 1)])
    return ids, torch.stack([first, second]), length_a


@pytest.mark.parametrize("name", PUBLISHED_MILLIONS)
def test_parameter_counts_are_the_published_ones(name):
    with torch.device("meta"):
        model = GlmInfillForConditionalGeneration(glm_config(name))
    config, layers, width = model.config, model.config.num_hidden_layers, model.config.hidden_size
    counted = sum(parameter.numel() for parameter in model.parameters())
    positions = 2 * (config.max_position_embeddings + 1)
    formula = (config.vocab_size + positions + 2) * width + layers * (12 * width**2 + 13 * width)
    assert counted == formula
    assert counted / 1e6 == pytest.approx(PUBLISHED_MILLIONS[name], rel=6e-4)


def test_unknown_preset_offers_the_nearest():
    with pytest.raises(ValueError, match="large"):
        glm_config("lage")
    assert set(PUBLISHED_MILLIONS) < set(GLM_PRESETS)


@torch.no_grad()
def test_packing_changes_no_logit(model):
    examples = [example(7, 4, 1), example(3, 5, 2), example(6, 0, 3), example(0, 4, 4)]
    lengths = [len(ids) for ids, _, _ in examples]
    packed = model(
        torch.cat([ids for ids, _, _ in examples])[None],
        position_ids=torch.cat([positions for _, positions, _ in examples], dim=1)[:, None],
        segment_ids=torch.arange(1, 5).repeat_interleave(torch.tensor(lengths))[None],
        is_prefix=torch.cat([torch.arange(len(ids)) < a for ids, _, a in examples])[None],
    ).logits[0]  # fmt: skip
    start = 0
    for ids, positions, length_a in examples:
        alone = model(
            ids[None], position_ids=positions[:, None], prefix_lengths=torch.tensor([length_a])
        ).logits[0]
        assert_close(packed[start : start + len(ids)], alone, atol=1e-5, rtol=1e-5)
        start += len(ids)


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_changes_no_logit(side, model):
    ids, positions, length_a = example(7, 4, 1)
    alone = model(
        ids[None], position_ids=positions[:, None], prefix_lengths=torch.tensor([length_a])
    ).logits[0]
    pad = (3, 0) if side == "left" else (0, 3)
    padded = model(
        torch.nn.functional.pad(ids, pad)[None],
        position_ids=torch.nn.functional.pad(positions, pad)[:, None],
        prefix_lengths=torch.tensor([length_a + pad[0]]),
        attention_mask=torch.nn.functional.pad(torch.ones(len(ids)), pad)[None],
    ).logits[0]
    assert_close(padded[pad[0] : pad[0] + len(ids)], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooled", ["cls", "end"])
@pytest.mark.parametrize("pad", [(3, 0), (0, 3), (2, 1)])
@torch.no_grad()
def test_padding_changes_no_class_score(pad, pooled, model):
    torch.manual_seed(0)
    config = GlmInfillConfig(**model.config.to_dict() | {"classifier_pooled": pooled})
    classifier = GlmInfillForSequenceClassification(config).eval()
    ids, is_real = torch.tensor([[7, 12, 30, 4]]), torch.ones(1, 4)
    padded = (torch.nn.functional.pad(given, pad) for given in (ids, is_real))
    alone, found = classifier(ids), classifier(*padded)
    assert_close(found.logits, alone.logits, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_part_a_never_sees_part_b(model):
    ids, positions, length_a = example(7, 4, 1)
    changed = ids.clone()
    changed[length_a + 2 :] = 11
    inputs = {"position_ids": positions[:, None], "prefix_lengths": torch.tensor([length_a])}
    first, second = (model(x[None], **inputs).logits for x in (ids, changed))
    assert torch.equal(first[:, : length_a + 2], second[:, : length_a + 2])
    assert not torch.equal(first[:, length_a + 2 :], second[:, length_a + 2 :])


@torch.no_grad()
def test_packed_bfloat16_agrees_with_the_eager_path(model):
    torch.manual_seed(1)
    ids = torch.randint(10, 90, (3, 40))
    inputs = {
        "input_ids": ids,
        "position_ids": torch.stack([torch.arange(40).expand(3, 40), torch.zeros_like(ids)]),
        "segment_ids": torch.ones_like(ids),
        "is_prefix": torch.arange(40).expand(3, 40) < 25,
    }
    exact = model(**inputs).logits
    with torch.autocast("cpu", torch.bfloat16):
        products = model(**inputs).logits
        model.set_attn_implementation("eager")
        eager = model(**inputs).logits
    scale = exact.std()
    assert (products - eager).abs().max() < 0.1 * scale
    assert (products - exact).abs().mean() < 0.03 * scale


def test_activation_checkpointing_changes_no_gradient(model):
    ids, positions, length_a = example(7, 4, 1)
    labels = torch.full_like(ids, -100)
    labels[length_a:] = ids[length_a:]
    inputs = {
        "input_ids": ids[None], "position_ids": positions[:, None], "labels": labels[None],
        "prefix_lengths": torch.tensor([length_a]),
    }  # fmt: skip
    gradients = []
    for is_checkpointed in (False, True):
        model.train()
        if is_checkpointed:
            enable_activation_checkpointing(model)
        model.zero_grad()
        model(**inputs).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert_close(gradients[0], gradients[1])


def test_labels_score_only_their_positions(model):
    ids, positions, length_a = example(7, 4, 1)
    labels = torch.full_like(ids, -100)
    labels[[8, 10]] = torch.tensor([20, 30])
    inputs = {
        "input_ids": ids[None], "position_ids": positions[:, None],
        "prefix_lengths": torch.tensor([length_a]),
    }  # fmt: skip
    output = model(**inputs, labels=labels[None], logits_to_keep=0)
    log_p = output.logits[0].log_softmax(-1)
    assert_close(output.loss_sum, -(log_p[8, 20] + log_p[10, 30]))
    assert output.num_scored.item() == 2
    assert_close(output.loss, output.loss_sum / 2)
    assert model(**inputs, labels=labels[None], return_logits=False).logits is None
    assert model.train()(**inputs, labels=labels[None]).logits is None


def test_the_last_layer_leaves_out_unscored_tokens_without_changing_a_gradient(model, monkeypatch):
    monkeypatch.setattr(kept_logits, "_COLUMNS_MULTIPLE", 2)
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(10, 90, (3, 14), generator=generator)
    inputs = {
        "input_ids": ids,
        "position_ids": torch.stack([torch.arange(14).expand(3, 14), torch.zeros_like(ids)]),
        "prefix_lengths": torch.tensor([9, 4, 14]),
    }
    labels = torch.full_like(ids, -100)
    labels[0, 9:] = ids[0, 9:]
    labels[1, [5, 12]] = ids[1, [5, 12]]
    gradients = []
    for output in (
        model(**inputs, labels=labels).loss,
        torch.nn.functional.cross_entropy(model(**inputs).logits.transpose(1, 2), labels),
    ):
        model.zero_grad()
        output.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)
    columns = torch.tensor([[3, 9], [0, 13], [5, 5]])
    hidden = model.model(**inputs).last_hidden_state
    wanted = model.model(**inputs, output_columns=columns).last_hidden_state
    assert_close(wanted, hidden.gather(1, columns[:, :, None].expand(-1, -1, 32)))


def test_logits_to_keep_are_the_last_ones(model):
    ids, positions, length_a = example(7, 4, 1)
    inputs = {
        "input_ids": ids[None], "position_ids": positions[:, None],
        "prefix_lengths": torch.tensor([length_a]),
    }  # fmt: skip
    full = model(**inputs, logits_to_keep=0).logits
    assert full.shape[1] == len(ids)
    assert_close(model(**inputs, logits_to_keep=2).logits, full[:, -2:])


def test_static_cache_is_refused_by_name(model):
    from transformers import StaticCache

    cache = StaticCache(config=model.config, max_cache_len=16)
    with pytest.raises(ValueError, match="dynamic"):
        model(torch.full((1, 4), 10), past_key_values=cache)


def test_save_and_load_gives_the_same_logits_through_auto_classes(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    ids, positions, length_a = example(7, 4, 1)
    inputs = {
        "input_ids": ids[None], "position_ids": positions[:, None],
        "prefix_lengths": torch.tensor([length_a]),
    }  # fmt: skip
    assert torch.equal(model(**inputs).logits, again(**inputs).logits)
    assert again.lm_head.weight is again.model.embed_tokens.weight


def test_classifier_pools_the_named_column_and_ignores_padding():
    torch.manual_seed(0)
    model = GlmInfillForSequenceClassification(tiny_config(num_labels=3)).eval()
    ids = torch.randint(10, 90, (2, 6))
    mask = torch.ones_like(ids)
    full = model(ids, labels=torch.tensor([0, 2]))
    assert full.logits.shape == (2, 3)
    assert full.loss.item() == pytest.approx(
        torch.nn.functional.cross_entropy(full.logits, torch.tensor([0, 2])).item()
    )
    padded = model(
        torch.nn.functional.pad(ids, (0, 2)), attention_mask=torch.nn.functional.pad(mask, (0, 2))
    )
    assert_close(padded.logits, full.logits, atol=1e-5, rtol=1e-5)
    other = model(ids, pooled_columns=torch.tensor([5, 5]))
    assert not torch.allclose(other.logits, full.logits)


def test_multiple_choice_sums_the_log_probabilities_of_each_choice():
    torch.manual_seed(0)
    model = GlmInfillForMultipleChoice(tiny_config()).eval()
    choices = [example(7, 3, seed) for seed in (1, 2)]
    ids = torch.stack([choice[0] for choice in choices])[None]
    positions = torch.stack([choice[1] for choice in choices], dim=1)[:, None]
    targets = torch.full_like(ids, -100)
    targets[..., 7:] = torch.tensor([[11, 12, 9], [13, 9, -100]])
    prefix_lengths = torch.tensor([[7, 7]])
    output = model(ids, positions, prefix_lengths, targets, labels=torch.tensor([1]))
    language_model = GlmInfillForConditionalGeneration(model.config).eval()
    language_model.load_state_dict(model.state_dict())
    for index, (choice_ids, choice_positions, _) in enumerate(choices):
        inputs = {
            "position_ids": choice_positions[:, None],
            "prefix_lengths": torch.tensor([7]),
        }
        log_p = language_model(choice_ids[None], **inputs).logits[0].log_softmax(-1)
        target = targets[0, index]
        expected = sum(log_p[t, target[t]] for t in range(7, 10) if target[t] >= 0)
        assert_close(output.logits[0, index], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"segment_ids": torch.ones(1, 4)}, "is_prefix"),
        ({"is_prefix": torch.ones(1, 4, dtype=torch.bool)}, "segment_ids"),
        (
            {"branch_ends": torch.ones(1, 4), "prefix_lengths": torch.tensor([2])},
            "branch_ends .*segment_ids",
        ),
        ({"attention_mask": torch.ones(1, 1, 4, 4), "prefix_lengths": torch.tensor([2])}, "4-D"),
        ({"position_ids": torch.zeros(3, 4, dtype=torch.long)}, r"\(2, 1, 4\)"),
        ({"inputs_embeds": torch.zeros(1, 4, 32)}, "exactly one"),
    ],
)
def test_contradictory_inputs_are_refused(inputs, message, model):
    with pytest.raises(ValueError, match=message):
        model(torch.full((1, 4), 10), **inputs)


def test_configuration_refuses_what_no_glm_can_be():
    with pytest.raises(Exception, match="num_attention_heads"):
        tiny_config(num_attention_heads=5)
    with pytest.raises(Exception, match="gelu_pytorch_tanh"):
        tiny_config(hidden_act="relu")
    with pytest.raises(Exception, match=r"tokenizer_size \(97\) .*\(96\)"):
        tiny_config(tokenizer_size=97)


@pytest.mark.slow
def test_training_step_compiles_to_the_same_loss(model):
    ids, positions, length_a = example(9, 6, 1)
    labels = torch.full_like(ids, -100)
    labels[length_a:] = ids[length_a:]
    inputs = {
        "input_ids": ids[None], "position_ids": positions[:, None], "labels": labels[None],
        "prefix_lengths": torch.tensor([length_a]),
    }  # fmt: skip
    compiled = torch.compile(model)
    assert_close(compiled(**inputs).loss, model(**inputs).loss, atol=1e-5, rtol=1e-5)


def test_choices_may_be_a_part_of_a_tensor():
    model = GlmInfillForMultipleChoice(tiny_config()).eval()
    config = model.config
    row = [5, config.mask_token_id, 6, config.sop_token_id]
    rows = torch.tensor([[[*row, 7 + choice] for choice in range(3)]] * 2)
    every_other = model(rows[:, ::2], attention_mask=torch.ones_like(rows)[:, ::2]).logits
    assert_close(every_other, model(rows).logits[:, ::2])
