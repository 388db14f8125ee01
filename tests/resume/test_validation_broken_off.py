"""A signal during a validation does not wait for its end; the next start makes up for it."""

import json
import signal
from itertools import count

import pytest

from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.held_out import held_out_losses
from unblank.engine.parallel import MeasurementInterrupted, World
from unblank.interruption import Interrupted, Request, defer_signals
from unblank.pretraining.run import run_pretrain


def lines(folder, name):
    found = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in found]


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_run_goes_on_as_if_its_validation_had_not_been_broken_off(
    make_config, text_folder, tmp_path, monkeypatch, step, number
):
    held_out = {
        "data__validation": (str(text_folder / "held_out.txt"),),
        "train__validate_every": 1,
        "train__validation_samples": 4,
        "train__save_every": 100,
    }
    config = make_config(**held_out)
    whole = run_pretrain(make_config(train__output_dir=tmp_path / "whole", **held_out))
    seen = []

    def interrupted(model, unit, batches, world, precision):
        places = count()

        def broken(part):
            for batch in part:
                if next(places) == 1 and len(seen) == step:
                    signal.raise_signal(number)
                    pytest.fail("the rest of the validation went on")
                yield batch

        seen.append(True)
        parts = {name: broken(part) for name, part in batches.items()}
        return held_out_losses(model, unit, parts, world, precision)

    with monkeypatch.context() as patch:
        patch.setattr("unblank.pretraining.held_out.held_out_losses", interrupted)
        with pytest.raises(
            Interrupted, match=f"{number.name} after step {step}, with a checkpoint"
        ):
            run_pretrain(config)
    checkpoint, *_ = list_checkpoints(config.train.output_dir / "checkpoints")
    assert checkpoint.name == f"step-{step:08d}"
    assert len(lines(config.train.output_dir, "validation.jsonl")) == step - 1
    again = run_pretrain(config)
    for name in ("metrics.jsonl", "validation.jsonl"):
        assert lines(again, name) == lines(whole, name)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (again, whole)]
    assert weights[0] == weights[1]


def test_a_signal_is_noted_only_while_processes_compute_together(monkeypatch):
    world = World(0, 1, None)
    done = []

    def work():
        signal.raise_signal(signal.SIGTERM)
        done.append(True)

    monkeypatch.setattr("unblank.engine.parallel.FSDPModule", object)  # as if it were sharded
    request = Request()
    with pytest.raises(Interrupted), defer_signals(request):
        world.alone(work, None)
    assert done
    assert request.number == signal.SIGTERM


def test_a_measurement_is_broken_off_where_another_process_was_signalled(monkeypatch):
    monkeypatch.setattr(World, "sum", lambda self, values: [values[0] + 1.0])
    with pytest.raises(MeasurementInterrupted):
        World(0, 2, None).alone(lambda: "measured", None)


def test_a_signal_outside_of_a_run_is_raised_as_ever():
    def work():
        raise Interrupted(signal.SIGTERM)

    with pytest.raises(Interrupted):
        World(0, 1, None).alone(work, None)
