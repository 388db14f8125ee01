"""Held-out losses part by part, and a discriminator that begins later."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from unblank.pretraining import held_out
from unblank.pretraining.run import run_pretrain

ELECTRA = {"model__preset": "electra-tiny", "objective__masked": 1.0, "objective__token": 0.0}


def lines(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture
def measured(monkeypatch):
    """What was measured of which batches: (batches, logits by part and batch) a validation."""
    seen = []
    measure = held_out.held_out_losses

    def watched(model, unit, batches, *rest):
        found = {}
        for part, of_part in batches.items():
            with torch.no_grad():
                found[part] = [(batch, model(**batch.model_inputs()).logits) for batch in of_part]
        seen.append(found)
        return measure(model, unit, batches, *rest)

    monkeypatch.setattr(held_out, "held_out_losses", watched)
    return seen


def by_hand(parts):
    """Return the mean cross-entropy of all labels."""
    total = count = 0.0
    for batch, logits in (pair for part in parts for pair in part):
        labels = batch.labels.flatten()
        total += float(cross_entropy(logits.flatten(0, 1), labels, reduction="sum"))
        count += int((labels != -100).sum())
    return total / count


def test_a_mixed_stream_is_measured_by_objective_and_by_source(make_config, text_folder, measured):
    files = (str(text_folder / "held_out.txt"), str(text_folder / "train.txt"))
    folder = run_pretrain(
        make_config(
            data__validation=files,
            objective__causal=1.0,
            train__validation_samples=24,
            train__validate_every=4,
        )
    )
    (line,) = lines(folder, "validation")
    (found,) = measured
    numbers = [
        number
        for of_part in found.values()
        for batch, _ in of_part
        for number in batch.sample_numbers
    ]
    assert sorted(numbers) == list(range(24))
    assert len(found) >= 3
    for part, of_part in found.items():
        assert {name for batch, _ in of_part for name in batch.objectives} == {part.objective}
    wanted = {"loss": by_hand(found.values())}
    for objective in ("token", "causal"):
        chosen = [of_part for part, of_part in found.items() if part.objective == objective]
        wanted[f"loss_on_{objective}"] = by_hand(chosen)
    for source, name in enumerate(("held_out.txt", "train.txt")):
        chosen = [of_part for part, of_part in found.items() if part.source == source]
        wanted[f"loss_on_{name}"] = by_hand(chosen)
    assert line == pytest.approx({"step": 4, **wanted}, rel=1e-5)


def test_a_plain_run_has_one_held_out_loss(make_config, text_folder):
    folder = run_pretrain(make_config(data__validation=(str(text_folder / "held_out.txt"),)))
    assert all(set(line) == {"step", "loss"} for line in lines(folder, "validation"))


def test_electras_discriminator_begins_at_its_step_and_resumes(make_config, text_folder, tmp_path):
    later = {
        **ELECTRA,
        "data__validation": (str(text_folder / "held_out.txt"),),
        "train__validate_every": 1,
        "electra__discriminator_start_step": 2,
        "electra__discriminator_weight": 20.0,
    }
    whole = run_pretrain(make_config(**later))
    for name in ("metrics", "validation"):
        for line in lines(whole, name):
            weight = 20.0 if line["step"] > 2 else 0.0
            total = line["loss_generator"] + weight * line["loss_discriminator"]
            assert line["loss"] == pytest.approx(total, rel=1e-6)
    named = {"train__resume": str(whole / "checkpoints" / "step-00000002")}
    resumed = run_pretrain(make_config(**later, **named, train__output_dir=tmp_path / "other"))
    assert lines(resumed, "validation") == lines(whole, "validation")[2:]


def test_another_family_has_no_such_discriminator(make_config):
    with pytest.raises(ValueError, match=r"electra\.discriminator_start_step is given"):
        run_pretrain(make_config(electra__discriminator_start_step=2))
