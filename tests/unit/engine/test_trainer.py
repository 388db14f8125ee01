import pytest
import torch
from training_toys import RecordingHooks, toy_model, toy_trainer

from unblank.engine.trainer import NonFiniteError, dropout_seed
from unblank.engine.units import InfillUnit, TokenLoss
from unblank.examples import IGNORE_INDEX


def weights_after(**settings):
    model = toy_model(dropout=settings.pop("dropout", 0.0))
    trainer = toy_trainer(model, **settings)
    trainer.run()
    return trainer.hooks.losses, torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("micro_batch_size", [1, 3, 4])
def test_splitting_a_step_into_micro_batches_changes_nothing(micro_batch_size):
    losses, weights = weights_after(micro_batch_size=8)
    split_losses, split_weights = weights_after(micro_batch_size=micro_batch_size)
    assert split_losses == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(split_weights, weights, rtol=1e-4, atol=2e-6)


def test_the_gradient_is_that_of_the_mean_over_all_scored_tokens_of_the_step():
    trainer = toy_trainer(toy_model(), max_steps=1, micro_batch_size=3, clip_norm=0.0)
    step = next(trainer.steps)
    trainer._accumulate_gradients(step.batches, trainer._global_counts(step.batches), 1)
    split = [p.grad.clone() for p in trainer.module.model.parameters()]

    model = trainer.module.model
    model.zero_grad()
    log_likelihood, count = 0.0, 0
    for batch in step.batches:
        inputs = batch.model_inputs()
        labels = inputs.pop("labels")
        log_p = model(**inputs).logits.log_softmax(-1)
        scored = labels != IGNORE_INDEX
        log_likelihood = log_likelihood + log_p[scored, labels[scored]].sum()
        count += int(scored.sum())
    (-log_likelihood / count).backward()
    for one, other in zip(split, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)


def test_two_runs_with_the_same_seed_have_the_same_bits():
    losses, weights = weights_after(dropout=0.1, micro_batch_size=4)
    again, weights_again = weights_after(dropout=0.1, micro_batch_size=4)
    assert losses == again
    assert torch.equal(weights, weights_again)


def test_the_loss_falls():
    losses, _ = weights_after(max_steps=30)
    assert losses[-1] < losses[0] - 0.05


def test_dropout_seeds_differ_between_steps_ranks_and_micro_batches():
    seeds = {
        dropout_seed(seed, step, rank, micro)
        for seed in range(3)
        for step in range(5)
        for rank in range(4)
        for micro in range(4)
    }
    assert len(seeds) == 3 * 5 * 4 * 4


class PoisonedUnit(InfillUnit):
    """Gives NaN at the listed calls."""

    def __init__(self, poisoned_calls):
        super().__init__()
        self.poisoned_calls = set(poisoned_calls)
        self.calls = 0

    def __call__(self, model, batch, device):
        loss = super().__call__(model, batch, device)["lm"]
        self.calls += 1
        factor = float("nan") if self.calls in self.poisoned_calls else 1.0
        return {"lm": TokenLoss(loss.loss_sum * factor, loss.num_scored)}


def test_a_step_without_finite_loss_is_skipped_and_named():
    model = toy_model()
    trainer = toy_trainer(model, max_steps=3, unit=PoisonedUnit([2]))
    second_step_samples = None
    before = None

    class Hooks(RecordingHooks):
        def after_step(self, trainer):
            nonlocal before
            super().after_step(trainer)
            weights = torch.cat([p.detach().flatten() for p in model.parameters()])
            if trainer.progress.step == 1:
                before = weights
            if trainer.progress.step == 2:
                assert torch.equal(weights, before)

    trainer.hooks = Hooks()
    trainer.run()
    ((step, second_step_samples),) = trainer.hooks.skipped
    assert step == 2
    assert second_step_samples
    assert trainer.progress.skipped_steps == 1
    assert len(trainer.hooks.losses) == 2
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_the_run_stops_after_too_many_steps_in_a_row_without_finite_loss():
    trainer = toy_trainer(toy_model(), max_steps=20, unit=PoisonedUnit([1, 3, 4, 5, 6]))
    with pytest.raises(NonFiniteError, match=r"step 5: .*\b3\b.*learning_rate"):
        trainer.run()


def test_the_gradient_norm_is_clipped():
    seen = []
    trainer = toy_trainer(toy_model(), max_steps=1, clip_norm=0.01)
    (optimizer,) = trainer.optimizers
    step = optimizer.step

    def record():
        grads = [p.grad.flatten() for p in trainer.module.parameters()]
        seen.append(float(torch.cat(grads).norm()))
        step()

    optimizer.step = record
    trainer.run()
    assert seen[0] == pytest.approx(0.01, rel=1e-3)
