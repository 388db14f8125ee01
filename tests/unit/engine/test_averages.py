"""A moving average of weights: its formula, its places, and what it leaves alone."""

import pytest
import torch
from safetensors.torch import save_file
from training_toys import toy_model, toy_trainer

from unblank.engine.averages import MovingAverage
from unblank.engine.state import AVERAGE_NAME, fill_from, save_tensors


def copied(average):
    return {name: value.clone() for name, value in average.weights.items()}


class Keeping:
    """Keeps a copy of one weight after each step."""

    def __init__(self, parameter):
        self.parameter, self.values = parameter, [parameter.detach().clone()]

    def after_step(self, trainer):
        self.values.append(self.parameter.detach().clone())

    def on_skipped(self, trainer, sample_numbers):
        pass


def averaged_by_hand(values, decay):
    """Return the weighted sum of all values, each with the weight that the decays leave it."""
    decays = [min(decay, (1 + t) / (10 + t)) for t in range(1, len(values))]
    total = torch.zeros_like(values[0], dtype=torch.float64)
    for number, value in enumerate(values):
        share = 1.0 if number == 0 else 1 - decays[number - 1]
        for later in decays[number:]:
            share *= later
        total += share * value.double()
    return total


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_the_average_is_the_weighted_sum_of_all_steps(decay):
    model = toy_model()
    average = MovingAverage(model, decay)
    keeping = Keeping(model.get_input_embeddings().weight)
    toy_trainer(model, max_steps=5, average=average, hooks=keeping).run()
    with average.in_place():
        got = keeping.parameter.detach().clone()
    by_hand = averaged_by_hand(keeping.values, decay)
    torch.testing.assert_close(got.double(), by_hand, rtol=1e-5, atol=1e-7)
    assert torch.equal(keeping.parameter, keeping.values[-1])


def test_a_skipped_step_does_not_count(monkeypatch):
    model = toy_model()
    average = MovingAverage(model, 0.5)
    before = copied(average)
    trainer = toy_trainer(model, max_steps=1, average=average)
    monkeypatch.setattr(trainer.unit, "weights", {"lm": float("nan")}, raising=False)
    trainer.run()
    assert trainer.progress.skipped_steps == 1
    assert all(torch.equal(value, before[name]) for name, value in average.weights.items())


def partly_frozen_average(seed=0):
    model = toy_model(seed=seed)
    model.get_input_embeddings().weight.requires_grad_(False)
    return model, MovingAverage(model, 0.5)


def test_frozen_weights_are_not_averaged_and_saved_ones_come_back_exactly(tmp_path):
    model, average = partly_frozen_average()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    average.update(1)
    saved = copied(average)
    assert set(saved) == {name for name, one in model.named_parameters() if one.requires_grad}
    save_tensors(tmp_path, "average", saved)
    _, other = partly_frozen_average(seed=1)
    fill_from(tmp_path, "average", other.weights)
    assert all(torch.equal(other.weights[name], value) for name, value in saved.items())
    with pytest.raises(ValueError, match=r"model\.embed_tokens\.weight"):
        fill_from(tmp_path, "average", MovingAverage(toy_model(), 0.5).weights)
    save_file({"no.such.weight": torch.zeros(1)}, tmp_path / AVERAGE_NAME)
    with pytest.raises(ValueError, match=r"no\.such\.weight"):
        fill_from(tmp_path, "average", other.weights)
