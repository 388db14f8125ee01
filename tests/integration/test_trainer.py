"""transformers' Trainer on our models: what it learns, evaluates and predicts."""

import pytest
import torch
from torch.testing import assert_close
from transformers import Trainer, TrainingArguments

from unblank.models import (
    DeltaLMConfig,
    DeltaLMForConditionalGeneration,
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
)

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
}


def glm():
    torch.manual_seed(0)
    config = GlmInfillConfig(**SHAPE, num_hidden_layers=2)
    return GlmInfillForConditionalGeneration(config), glm_examples()


def deltalm():
    torch.manual_seed(0)
    config = DeltaLMConfig(**SHAPE, encoder_layers=2, decoder_layers=1)
    return DeltaLMForConditionalGeneration(config), pairs()


def glm_examples():
    """Rows whose labels differ in number, positions in two arguments."""
    examples = []
    for number in range(4):
        ids = torch.randint(10, 60, (8,), generator=torch.Generator().manual_seed(number))
        labels = torch.full((8,), -100)
        labels[4 : 5 + number] = ids[3 : 4 + number]
        examples.append(
            {
                "input_ids": ids,
                "position_ids": torch.tensor([0, 1, 2, 3, 1, 1, 1, 1]),
                "block_position_ids": torch.tensor([0, 0, 0, 0, 1, 2, 3, 4]),
                "prefix_lengths": torch.tensor(4),
                "labels": labels,
            }
        )
    return examples


def pairs():
    return [{"input_ids": e["input_ids"], "labels": e["labels"].roll(4)} for e in glm_examples()]


@pytest.fixture(params=[glm, deltalm])
def make(request):
    return request.param


def trainer(tmp_path, model, examples, batch_size, accumulation):
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    return Trainer(model, arguments, train_dataset=examples, eval_dataset=examples)


def test_accumulated_batches_make_the_step_of_one(make, tmp_path):
    weights = []
    for batch_size, accumulation in ((4, 1), (1, 4)):
        model, examples = make()
        trainer(tmp_path, model, examples, batch_size, accumulation).train()
        weights.append(torch.cat([w.detach().flatten() for w in model.parameters()]))
    assert_close(*weights, atol=1e-6, rtol=1e-4)


def test_a_step_follows_the_summed_loss_over_all_scored_tokens(make, tmp_path):
    model, examples = make()
    batch = {name: torch.stack([e[name] for e in examples]) for name in examples[0]}
    output = model.train()(**batch)
    (output.loss_sum / output.num_scored).backward()
    expected = [w.detach() - 0.1 * w.grad for w in model.parameters() if w.grad is not None]
    trained, _ = make()
    trainer(tmp_path, trained, examples, 2, 2).train()
    moved = [w.detach() for name, w in trained.named_parameters()
             if dict(model.named_parameters())[name].grad is not None]  # fmt: skip
    for ours, theirs in zip(expected, moved, strict=True):
        assert_close(theirs, ours, atol=1e-6, rtol=1e-4)


def test_evaluation_gives_the_loss_and_predicts_logits(make, tmp_path):
    model, examples = make()
    evaluated = trainer(tmp_path, model, examples, 4, 1)
    batch = {name: torch.stack([e[name] for e in examples]) for name in examples[0]}
    with torch.no_grad():
        output = model.eval()(**batch)
    assert evaluated.evaluate()["eval_loss"] == pytest.approx(output.loss.item(), abs=1e-5)
    predicted = evaluated.predict(examples)
    assert_close(torch.tensor(predicted.predictions), output.logits, atol=1e-5, rtol=1e-4)
    assert predicted.label_ids.tolist() == batch["labels"].tolist()
