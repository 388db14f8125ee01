"""Which weights are kept: decisions from the history, and averages."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from unblank.engine.selection import Selection, average_weights


def history(*scores, metric="bleu"):
    return [{"step": 10 * n, metric: score} for n, score in enumerate(scores, start=1)]


def test_the_best_is_the_largest_or_the_smallest_and_of_equals_the_first():
    scores = history(1.0, 3.0, 2.0, 3.0)
    assert Selection("bleu", higher_is_better=True).best_step(scores) == 20
    assert Selection("bleu", higher_is_better=False).best_step(scores) == 10
    assert Selection("bleu", higher_is_better=True).best_step([]) is None


def test_a_score_that_is_no_number_is_never_the_best():
    scores = history(math.nan, 0.5, math.nan)
    for is_up in (True, False):
        assert Selection("bleu", higher_is_better=is_up).best_step(scores) == 20


def test_a_run_stops_after_patience_validations_without_a_better_score():
    selection = Selection("loss", higher_is_better=False, patience=2)
    losses = [3.0, 2.0, 2.5, 2.0, 1.0]
    stops = [selection.must_stop(history(*losses[:n], metric="loss")) for n in range(1, 6)]
    assert stops == [False, False, False, True, False]
    assert not Selection("loss", higher_is_better=False).must_stop(history(1.0, 2.0, metric="loss"))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.integers(0, 6), st.booleans())
def test_what_the_end_needs_is_always_kept(scores, last, is_up):
    selection = Selection("bleu", higher_is_better=is_up, average_last=last)
    kept: set[int] = set()
    for n in range(1, len(scores) + 1):
        now = history(*scores[:n])
        kept = (kept | {10 * n}) & selection.needed_steps(now)
        assert kept == selection.needed_steps(now)
    whole = history(*scores)
    assert {*selection.averaged_steps(whole), selection.best_step(whole)} == kept
    assert len(selection.averaged_steps(whole)) == min(last, len(scores))


def save_weights(folder, tensors):
    """Write tensors, each into a file of its own."""
    folder.mkdir()
    for name, tensor in tensors.items():
        save_file({name: tensor}, folder / f"weights-{name}.safetensors")


def test_an_average_is_the_mean_of_every_tensor(tmp_path):
    torch.manual_seed(0)
    files = []
    for number in range(5):
        tensors = {"a": torch.randn(3, 4), "b.c": torch.randn(7) * 1e3}
        save_weights(tmp_path / str(number), tensors)
        files.append(tensors)
    averaged = dict(average_weights([tmp_path / str(number) for number in range(5)]))
    for name in ("a", "b.c"):
        expected = sum(tensors[name].double() for tensors in files) / 5
        assert averaged[name].dtype == torch.float32
        assert torch.equal(averaged[name], expected.float())


def test_weights_of_other_models_are_not_averaged(tmp_path):
    save_weights(tmp_path / "0", {"a": torch.zeros(1)})
    save_weights(tmp_path / "1", {"b": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"train\.average_last"):
        dict(average_weights([tmp_path / "0", tmp_path / "1"]))
