import pytest
import torch
from torch.nn import functional

from unblank.models.electra import ElectraInfillForPreTraining, electra_config


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = electra_config(
        "electra-tiny", vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16,
    )  # fmt: skip
    return ElectraInfillForPreTraining(config).eval()


@pytest.fixture
def row():
    text = torch.arange(10, 22)[None]
    labels = torch.full_like(text, -100)
    labels[0, [2, 5, 6]] = text[0, [2, 5, 6]]
    positions = torch.stack([torch.arange(12)[None], torch.zeros(1, 12, dtype=torch.long)])
    segments = torch.ones_like(text)
    segments[0, 10:] = 0
    return {
        "input_ids": text.masked_fill(labels != -100, 4),
        "labels": labels,
        "position_ids": positions,
        "segment_ids": segments,
        "is_prefix": segments == 1,
    }


def test_samples_replace_only_what_was_masked_and_every_real_token_is_judged(model, row):
    sampled = torch.full_like(row["input_ids"], 30)
    sampled[0, 5] = row["labels"][0, 5]  # a lucky guess is an original
    output = model(**row, sampled_ids=sampled)
    expected = torch.arange(10, 22)[None].clone()
    expected[0, [2, 6]] = 30
    assert output.corrupted_ids.tolist() == expected.tolist()
    assert output.losses["discriminator"][1] == 10
    assert [int(value) for value in output.rates["replaced_rate"]] == [2, 10]

    context = {name: row[name] for name in ("position_ids", "segment_ids", "is_prefix")}
    hidden = model.model(input_ids=expected, **context).last_hidden_state[0, :10]
    is_original = torch.ones(10, dtype=torch.long)
    is_original[[2, 6]] = 0
    naive = functional.cross_entropy(model.head(hidden), is_original, reduction="sum")
    torch.testing.assert_close(output.losses["discriminator"][0], naive)

    guesses = model.generator(input_ids=row["input_ids"], **context).last_hidden_state[0, [2, 5, 6]]
    gold = row["labels"][0, [2, 5, 6]]
    naive = functional.cross_entropy(model.lm_head(guesses), gold, reduction="sum")
    torch.testing.assert_close(output.losses["generator"][0], naive)


def test_the_generator_learns_from_its_own_loss_only(model, row):
    model(**row).losses["discriminator"][0].backward()
    assert all(parameter.grad is None for parameter in model.generator.layers.parameters())
    assert model.model.layers[0].mlp.up_proj.weight.grad is not None


def test_all_token_tables_are_one(model):
    table = model.model.embed_tokens.weight
    assert model.generator.embed_tokens.weight is table
    assert model.lm_head.weight is table
