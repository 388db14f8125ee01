"""LAMBADA and language modelling: layouts and losses equal those of the original program.

What the program was given is read off its own batches: the text before the blank, the answer, and
for language modelling the window and the stride.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recordings import read_json, require, special_of
from safetensors.numpy import load_file

from unblank.evaluation.left_to_right import continuation_layout, window_bounds
from unblank.evaluation.token_scores import score_labels
from unblank.examples import IGNORE_INDEX

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def special(glm_sizes):
    return special_of(glm_sizes["special_tokens"])


@pytest.fixture(scope="module")
def summary(glm_dir):
    return read_json(glm_dir / "lm_eval.json")


@pytest.fixture(scope="module")
def arrays(glm_dir):
    return load_file(require(glm_dir / "lm_eval.safetensors"))


def batches_of(arrays, case):
    """Return the recorded batches of a case, each as name -> array."""
    named = {
        key.removeprefix(f"{case}."): a for key, a in arrays.items() if key.startswith(case + ".")
    }
    if not named:
        pytest.skip(f"no case {case} in this fixture folder")
    if "text" in named:
        return [named]
    numbers = sorted({int(name.split(".")[0]) for name in named})
    names = {name.split(".")[1] for name in named}
    return [{name: named[f"{number}.{name}"] for name in names} for number in numbers]


def assert_same_layout(example, batch, row):
    """Compare with one row of a batch, up to the padding of the batch."""
    prefix = int(batch["attention_mask"].reshape(-1)[row])
    is_scored = batch["loss_mask"][row].astype(bool)
    length = np.flatnonzero(is_scored)[-1] + 1
    assert example.prefix_length == prefix
    assert_array_equal(example.input_ids, batch["text"][row][:length])
    assert_array_equal(example.position_ids, batch["position_id"][row][:, :length])
    labels = np.where(is_scored, batch["target"][row], IGNORE_INDEX)
    assert_array_equal(example.labels, labels[:length])
    assert not is_scored[length:].any()


def lambada_examples(batch, special, context):
    examples = []
    for row, text in enumerate(batch["text"]):
        prefix = int(batch["attention_mask"].reshape(-1)[row])
        scored = np.flatnonzero(batch["loss_mask"][row])
        target = batch["target"][row][scored].tolist()
        before = text[1 : prefix - 2].tolist() + text[prefix + 1 : scored[0] + 1].tolist()
        examples.append(
            continuation_layout(before, target, special, context=context, ends_text=True)
        )
    return examples


@pytest.mark.parametrize(("case", "context"), [("lambada", "bi"), ("lambada_uni", "uni")])
def test_lambada_equals_the_original(case, context, arrays, summary, special, glm):
    (batch,) = batches_of(arrays, case)
    examples = lambada_examples(batch, special, context)
    for row, example in enumerate(examples):
        assert_same_layout(example, batch, row)
    scores = score_labels(glm, examples)
    assert_allclose(-sum(score.total for score in scores), summary[f"{case}.sum_loss"], **TOLERANCE)
    assert sum(score.is_first_choice.all() for score in scores) == summary[f"{case}.num_correct"]


@pytest.mark.parametrize(("case", "context"), [("lm", "bi"), ("lm_uni", "uni")])
def test_language_modelling_equals_the_original(case, context, arrays, summary, special, glm):
    batches = batches_of(arrays, case)
    tokens = summary[f"{case}.document_tokens"]
    window = int(batches[0]["loss_mask"].sum()) + 1
    stride = int(batches[1]["loss_mask"].sum()) if len(batches) > 1 else 1
    bounds = window_bounds(len(tokens), window, stride)
    assert len(bounds) == len(batches) == summary[f"{case}.num_sequences"]
    examples = [
        continuation_layout(tokens[first:scored], tokens[scored:end], special, context=context)
        for first, scored, end in bounds
    ]
    for example, batch in zip(examples, batches, strict=True):
        assert_same_layout(example, batch, 0)
    losses = [-score.total for score in score_labels(glm, examples)]
    assert_allclose(losses, summary[f"{case}.losses"], **TOLERANCE)
