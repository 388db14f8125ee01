import json
import sys

import pytest

from unblank.engine.logging import Display, append_line, drop_lines_after, read_json_lines
from unblank.engine.settings import TrainSettings
from unblank.engine.trackers import open_trackers

METRICS = {"step": 3, "loss": 1.5, "tokens_per_second": 1000.0, "learning_rate": 1e-4}


def test_lines_after_a_step_are_dropped_and_a_cut_line_too(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        append_line(path, {"step": step, "loss": 0.1 * step})
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    drop_lines_after(path, 3)
    assert read_json_lines(path) == [{"step": step, "loss": 0.1 * step} for step in (1, 2, 3)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_dropping_lines_leaves_the_kept_ones_byte_for_byte(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1, "loss": 0.1 + 0.2})
    before = path.read_bytes()
    append_line(path, {"step": 2, "loss": 1 / 3})
    drop_lines_after(path, 1)
    assert path.read_bytes() == before


def test_without_a_terminal_each_metric_is_a_plain_line(capsys):
    with Display(total_steps=9, is_terminal=False) as display:
        display.header("run", {"device": "cpu"})
        display.show_metrics(METRICS, seconds_left=3661.0)
    printed = capsys.readouterr().out
    assert "step 3/9  loss 1.5000  1,000 tokens/s  learning rate 1.00e-04  1:01:01 left" in printed
    assert "\x1b" not in printed


def test_on_a_terminal_there_is_one_bar(capsys):
    with Display(total_steps=9, is_terminal=True) as display:
        display.advance(3)
        display.show_metrics(METRICS, seconds_left=1.0)
    assert "loss 1.5000" in capsys.readouterr().out


def test_other_processes_are_silent(capsys):
    with Display(total_steps=9, is_main=False) as display:
        display.header("run", {"device": "cpu"})
        display.say("hello")
        display.show_metrics(METRICS, seconds_left=1.0)
    assert capsys.readouterr().out == ""


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    with open_trackers(("tensorboard",), tmp_path, {"seed": 1}, 1) as (tracker,):
        tracker.log({"train/loss": 2.5}, 1)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == [2.5]


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_said(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    trackers = open_trackers((name,), tmp_path, {}, 1)
    message = rf"{name}.*pip install 'unblank\[track\]'"
    with pytest.raises(ImportError, match=message), trackers:
        pass


def test_metrics_are_json_that_any_reader_takes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1, "loss": None})
    assert json.loads(path.read_text()) == {"step": 1, "loss": None}
    assert TrainSettings().log_every == 10
