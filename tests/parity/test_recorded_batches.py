"""Batches that the original GLM program built, fed to the model as they are.

Where our own code builds a batch otherwise (padding is never attended to, the last word of a
question counts only if it is scored), the recorded numbers still hold for the recorded batch.
"""

import re

import pytest
import torch
from recordings import read_json, recorded
from torch.testing import assert_close

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def tasks(glm_dir):
    return recorded(glm_dir / "downstream.safetensors")


def inputs_of(ids, position_ids, mask):
    """Ids [B, T], positions [B, 2, T], and the length of Part A [B] or a 0/1 mask [B, 1, T, T]."""
    inputs = {"input_ids": ids, "position_ids": position_ids.transpose(0, 1)}
    if mask.dim() == 4:
        return inputs | {"attention_mask": mask}
    return inputs | {"prefix_lengths": mask.expand(len(ids))}


def mean_loss(model, inputs, targets, loss_mask, smoothing=0.0):
    labels = targets.masked_fill(loss_mask == 0, -100)
    with torch.no_grad():
        return model(**inputs, labels=labels, smoothing=smoothing).loss.item()


def test_losses_of_pairs_equal_the_original_which_attends_to_padding_inside_part_a(glm, glm_dir):
    numbers, compared = read_json(glm_dir / "generation.json"), 0
    for key, expected in numbers.items():
        if not (match := re.fullmatch(r"(\w+)\.loss_ls([\d.]+)", key)):
            continue
        case = recorded(glm_dir / "seq2seq_inputs.safetensors")[match[1]]
        inputs = inputs_of(case["text"], case["position_id"], case["attention_mask"])
        loss = mean_loss(glm, inputs, case["target"], case["loss_mask"], float(match[2]))
        assert_close(loss, expected, **TOLERANCE)
        compared += 1
    if not compared:
        pytest.skip("no losses of pairs are recorded here")


def test_the_loss_of_a_layout_of_given_spans_equals_the_original(glm, glm_dir):
    """The key counts the cases as they were when it was recorded: one of them has this loss."""
    data = read_json(glm_dir / "block_data.json")
    expected = [value for key, value in data.items() if key.startswith("loss_on_case_")]
    if not expected:
        pytest.skip("no loss of a layout is recorded here")
    losses = []
    for case in data["cases"]:
        ids, positions, targets, loss_mask = (
            torch.tensor([case["result"][name]])
            for name in ("tokens", "position_ids", "targets", "loss_masks")
        )
        inputs = inputs_of(ids, positions, torch.tensor([case["result"]["sep"]]))
        losses.append(mean_loss(glm, inputs, targets, loss_mask))
    assert all(pytest.approx(loss, rel=1e-4, abs=1e-4) in losses for loss in expected), losses


@torch.no_grad()
def test_answers_scored_by_raw_logits_equal_the_original(glm, tasks):
    case = tasks["multi_token_cloze"]
    texts, tokens = case["batch.text"].shape[:-1], case["batch.text"].shape[-1]
    ids, targets = (case[f"batch.{name}"].view(-1, tokens) for name in ("text", "target"))
    inputs = inputs_of(
        ids, case["batch.position"].view(-1, 2, tokens), case["batch.mask"].flatten()
    )
    chosen = glm(**inputs).logits.gather(-1, targets[..., None])[..., 0]
    scores = (chosen * case["batch.logit_mask"].view(-1, tokens)).sum(-1).view(texts)
    assert_close(scores, case["logits_no_softmax"], **TOLERANCE)


@torch.no_grad()
def test_logits_at_the_blank_of_single_tokens_equal_the_original(glm, tasks):
    cases = {name: case for name, case in tasks.items() if "target_logits" in case}
    if not cases:
        pytest.skip("no logits at a blank are recorded here")
    for case in cases.values():
        ids, sep = case["batch.text"], case["batch.mask"]
        logits = glm(**inputs_of(ids, case["batch.position"], sep)).logits
        at_blank = logits[torch.arange(len(ids)), sep]
        assert_close(at_blank, case["target_logits"], **TOLERANCE)
        assert_close(at_blank.gather(1, case["batch.target"]), case["scores"], **TOLERANCE)


def test_the_first_choice_at_every_place_is_the_original_one(glm, glm_dir):
    forward = recorded(glm_dir / "forward.safetensors")
    numbers, compared = read_json(glm_dir / "forward.json"), 0
    for key, expected in numbers.items():
        if not key.startswith("argmax_"):
            continue
        case = forward[key.removeprefix("argmax_")]
        inputs = inputs_of(case["tokens"], case["position_ids"], case["attention_mask"])
        with torch.no_grad():
            assert glm(**inputs).logits.argmax(-1).tolist() == expected
        compared += 1
    if not compared:
        pytest.skip("no first choices are recorded here")
