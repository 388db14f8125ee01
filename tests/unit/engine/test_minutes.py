"""How many steps fit into a time, and what stays as it was when they are counted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_toys import toy_model, toy_trainer

from unblank.engine import minutes as engine_minutes
from unblank.engine.first_steps import time_first_steps
from unblank.engine.minutes import fit_steps, with_recorded_steps
from unblank.engine.optimizers import build_optimizers
from unblank.engine.resume import RUN_NAME
from unblank.engine.settings import OptimSettings
from unblank.integrity import seal_text, write_atomically
from unblank.pretraining.settings import PretrainSettings, PretrainTrainSettings
from unblank.settings.recipes import to_yaml


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_timing_changes_no_weight(optimizer, monkeypatch):
    monkeypatch.setattr(engine_minutes, "_TIMED_SHARE", 0.0)
    model = toy_model(dropout=0.1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizers = build_optimizers(model, OptimSettings(name=optimizer), learning_rate=4e-4)
    trainer = toy_trainer(model, max_steps=10**6, optimizers=optimizers)
    fitted = fit_steps(trainer, minutes=9.0, spent=0.0)
    assert fitted.count >= 1
    assert trainer.progress.step == engine_minutes.WARM_UP + engine_minutes.FEWEST_TIMED
    assert all(map(torch.equal, before, model.parameters()))


def test_the_steps_are_those_that_fit_into_what_is_left(monkeypatch):
    # Two slow steps of warm-up that do not count for the speed, only for the time that is over.
    times = [9.0, 8.0, 0.4, 0.6]
    monkeypatch.setattr(engine_minutes, "time_first_steps", lambda *_, **__: times)
    fitted = fit_steps(toy_trainer(toy_model()), minutes=1.0, spent=2.0)
    assert (fitted.seconds, fitted.num_timed) == (0.5, 2)
    kept_back = 1 - engine_minutes.KEPT_BACK
    assert fitted.count == int((60 - 2 - 18) * kept_back / 0.5)
    assert "33% of the time" in str(fitted)
    longer = fit_steps(toy_trainer(toy_model()), minutes=10.0, spent=2.0)
    assert "of the time" not in str(longer)


@pytest.mark.parametrize(("spent", "said"), [(61.0, "61.0 seconds already"), (59.0, "one step")])
def test_a_time_too_short_is_named(monkeypatch, spent, said):
    monkeypatch.setattr(engine_minutes, "time_first_steps", lambda *_, **__: [0.8, 0.8])
    with pytest.raises(ValueError, match=f"minutes is 1, .*{said}.*max_steps"):
        fit_steps(toy_trainer(toy_model()), minutes=1.0, spent=spent)


def test_the_time_that_is_asked_for_is_enough_and_is_said_in_tenths(monkeypatch):
    monkeypatch.setattr(engine_minutes, "time_first_steps", lambda *_, **__: [1.0, 1.0])
    with pytest.raises(ValueError, match=r"train\.minutes 0\.2"):
        fit_steps(toy_trainer(toy_model()), minutes=0.15, spent=6.3)
    assert fit_steps(toy_trainer(toy_model()), minutes=0.2, spent=6.3).count >= 1


def test_a_long_run_is_not_timed_for_long(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        engine_minutes, "time_first_steps", lambda *_, **given: asked.update(given) or [1.0] * 4
    )
    fit_steps(toy_trainer(toy_model()), minutes=1e300, spent=0.0)
    assert asked["seconds"] <= 60


def test_timing_ends_when_enough_was_timed_or_the_time_is_over():
    trainer = toy_trainer(toy_model(), max_steps=10**6)
    assert len(time_first_steps(trainer, warm_up=1, num_timed=3)) == 4
    trainer = toy_trainer(toy_model(), max_steps=10**6)
    times = time_first_steps(trainer, warm_up=1, num_timed=1, seconds=0.1)
    assert sum(times[1:]) >= 0.1 > sum(times[1:-1])
    trainer = toy_trainer(toy_model(), max_steps=10**6)
    assert len(time_first_steps(trainer, warm_up=3, num_timed=3, most_seconds=0.0)) == 1


def settings(folder: Path, **train: object) -> PretrainSettings:
    return PretrainSettings(train=PretrainTrainSettings(output_dir=folder, **train))


def record(begun: PretrainSettings) -> None:
    write_atomically(begun.train.output_dir / RUN_NAME, seal_text(to_yaml(begun)))


def test_a_run_that_is_continued_has_the_steps_of_its_record(tmp_path):
    asked = settings(tmp_path, minutes=2.0)
    assert with_recorded_steps(asked) == asked
    record(settings(tmp_path, minutes=2.0, max_steps=123))
    assert with_recorded_steps(asked).train.max_steps == 123
    again = replace(asked, train=replace(asked.train, resume="never"))
    assert with_recorded_steps(again) == again


@pytest.mark.parametrize("begun", [{"minutes": 3.0, "max_steps": 7}, {"max_steps": 7}])
def test_another_length_than_the_record_is_refused(tmp_path, begun):
    record(settings(tmp_path, **begun))
    with pytest.raises(ValueError, match=r"train\.m.* [37].*minutes is 2"):
        with_recorded_steps(settings(tmp_path, minutes=2.0))


def test_a_checkpoint_that_is_named_has_a_length(tmp_path):
    with pytest.raises(ValueError, match=r"give train\.max_steps"):
        with_recorded_steps(settings(tmp_path, minutes=2.0, resume="elsewhere/step-00000005"))


def test_a_changed_record_is_not_believed(tmp_path):
    record(settings(tmp_path, minutes=2.0, max_steps=123))
    path = tmp_path / RUN_NAME
    path.write_text(path.read_text().replace("123", "124"))
    with pytest.raises(ValueError, match=RUN_NAME):
        with_recorded_steps(settings(tmp_path, minutes=2.0))
