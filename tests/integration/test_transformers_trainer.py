"""transformers' Trainer on our models: what it learns, evaluates and predicts."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from launched import run_program
from tiny_models import encoder_decoder
from torch.testing import assert_close
from training_toys import RecordingHooks
from transformers import (
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

import unblank.engine.trainer
from unblank.data.loader import DataState, StepBatches
from unblank.engine.optimizers import build_optimizers
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.progress import Progress
from unblank.engine.settings import OptimSettings
from unblank.engine.units import InfillUnit, UnitModule
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


def glm_examples(count=4):
    """Rows whose labels differ in number, positions in two arguments."""
    examples = []
    for number in range(count):
        ids = torch.randint(10, 60, (8,), generator=torch.Generator().manual_seed(number))
        labels = torch.full((8,), -100)
        scored = 1 + number % 4
        labels[4 : 4 + scored] = ids[3 : 3 + scored]
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


def pairs(count=4):
    examples = glm_examples(count)
    return [{"input_ids": e["input_ids"], "labels": e["labels"].roll(4)} for e in examples]


def stacked(examples):
    return {name: torch.stack([e[name] for e in examples]) for name in examples[0]}


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


STEPS, BATCH = 3, 8


def our_loop(model, examples):
    """Train with our loop, 4 micro-batches of 2 a step, and return its losses and weights."""
    unit, world, hooks = InfillUnit(), World(0, 1, torch.device("cpu")), RecordingHooks()
    micro = [stacked(examples[start : start + 2]) for start in range(0, len(examples), 2)]
    batches = [
        SimpleNamespace(labels=one["labels"], model_inputs=lambda device, one=one: one)
        for one in micro
    ]
    steps = [StepBatches(batches[n : n + 4], DataState(), [], 0, 0) for n in range(0, 12, 4)]
    unblank.engine.trainer.Trainer(
        module=UnitModule(model, unit, world.device), unit=unit,
        optimizers=build_optimizers(model, OptimSettings(), learning_rate=0.01),
        learning_rate=lambda update: 0.01, steps=iter(steps), world=world,
        precision=Precision("fp32", "test"), seed=0, max_steps=STEPS, clip_norm=1.0,
        max_nonfinite_steps=3, hooks=hooks, progress=Progress(), data_state=DataState(),
    ).run()  # fmt: skip
    return hooks.losses, norm_of(model)


def transformers_loop(model, examples, folder, processes=1):
    """The same by transformers' Trainer."""
    (optimizer,) = build_optimizers(model, OptimSettings(), learning_rate=0.01)
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=2, max_steps=STEPS, max_grad_norm=1.0,
        gradient_accumulation_steps=4 // processes, train_sampling_strategy="sequential",
        use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no", logging_steps=1,
    )  # fmt: skip
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    trainer = Trainer(model, arguments, train_dataset=examples, optimizers=(optimizer, constant))
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return losses, norm_of(model)


def norm_of(model):
    """Return a number that every weight changes."""
    weights = [weight.detach().double().flatten() for weight in model.parameters()]
    return float(sum((w * torch.arange(1, len(w) + 1).cos()).sum() for w in weights))


@pytest.mark.parametrize(
    ("make", "examples"), [(glm, glm_examples), (deltalm, pairs)], ids=["glm", "deltalm"]
)
def test_losses_and_weights_are_those_of_our_loop(make, examples, tmp_path):
    ours, weights = our_loop(make()[0], examples(STEPS * BATCH))
    theirs, other = transformers_loop(make()[0], examples(STEPS * BATCH), tmp_path)
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert other == pytest.approx(weights, rel=1e-4)


PROGRAM = """
import sys, json, tempfile, torch
sys.path[:0] = sys.argv[1:]
import test_transformers_trainer as toys
found = {}
kinds = {"glm": (toys.glm, toys.glm_examples), "deltalm": (toys.deltalm, toys.pairs)}
for name, (make, examples) in kinds.items():
    with tempfile.TemporaryDirectory() as folder:
        found[name] = toys.transformers_loop(make()[0], examples(24), folder, processes=2)
if torch.distributed.get_rank() == 0:
    print("RESULT " + json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_train_as_our_loop_does():
    here = Path(__file__).parent
    found = run_program(PROGRAM, str(here), str(here.parent / "toys"), num_processes=2)
    for name, make, examples in (("glm", glm, glm_examples), ("deltalm", deltalm, pairs)):
        ours, weights = our_loop(make()[0], examples(STEPS * BATCH))
        losses, other = found[name]
        assert losses == pytest.approx(ours, abs=1e-4)
        assert other == pytest.approx(weights, rel=1e-4)


@pytest.fixture
def written():
    """A DeltaLM, its tokenizer, and a Seq2SeqTrainer of it."""
    model, tokenizer = encoder_decoder("deltalm")
    examples = [
        {"input_ids": [20 + n, 30, 2], "labels": [40 + n, 41][: 1 + n % 2]} for n in range(4)
    ]

    def make(folder, **changes):
        arguments = Seq2SeqTrainingArguments(
            output_dir=str(folder), per_device_eval_batch_size=4, generation_max_length=12,
            use_cpu=True, report_to=[], disable_tqdm=True, **changes,
        )  # fmt: skip
        collate = DataCollatorForSeq2Seq(tokenizer, model=model)
        return Seq2SeqTrainer(
            model, arguments, train_dataset=examples, eval_dataset=examples,
            data_collator=collate, compute_metrics=lambda found: {"shape": found.predictions.shape},
        )  # fmt: skip

    return model, examples, make


def test_answers_are_those_of_generate_and_reach_the_metrics(written, tmp_path):
    model, examples, make = written
    trainer = make(tmp_path, predict_with_generate=True)
    batch = trainer.data_collator(examples)
    with torch.no_grad():
        wanted = model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_length=12
        )
        loss = model(**batch).loss.item()
    found = trainer.predict(examples)
    answers = np.where(found.predictions < 0, model.config.pad_token_id, found.predictions)
    assert answers[:, : wanted.shape[1]].tolist() == wanted.tolist()
    measured = trainer.evaluate()
    assert measured["eval_loss"] == pytest.approx(loss, abs=1e-5)
    assert measured["eval_shape"][0] == 4


def test_label_smoothing_of_the_trainer_is_that_of_the_model(written, tmp_path):
    model, examples, make = written
    trainer = make(tmp_path, label_smoothing_factor=0.1)
    batch = trainer.data_collator(examples)
    assert batch["decoder_input_ids"][:, 0].eq(model.config.decoder_start_token_id).all()
    wanted = model(**batch, smoothing=0.1).loss
    assert_close(trainer.compute_loss(model, dict(batch)), wanted, atol=1e-5, rtol=1e-5)
