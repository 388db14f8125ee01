"""Fine-tuning examples and losses equal those of the original programs.

GLM: layouts of `glm/seq2seq_inputs.safetensors` and the losses in `glm/generation.json`. GanLM: the
terms of the run that fine-tunes in `ganlm/outputs.json` are checked in `test_ganlm`; here it is
label smoothing as fairseq writes it. Sizes and cases are read from the folder itself.
"""

import numpy as np
import pytest
import torch
from recordings import read_json, recorded, special_of

from unblank.data.collate import collate
from unblank.data.packing import lay_out
from unblank.engine.units import InfillUnit
from unblank.examples import IGNORE_INDEX
from unblank.families.table import FAMILIES
from unblank.models.loss import linear_cross_entropy_sum
from unblank.objectives.infilling import blank_layout
from unblank.objectives.source_target import glm_pair
from unblank.tokenization.special import SpecialIds

TRAINING = "_train"


@pytest.fixture(scope="module")
def special(glm_sizes) -> SpecialIds:
    return special_of(glm_sizes["special_tokens"])


def recorded_pairs(glm_dir, special, has_end):
    """Return (Part A, blank, target, the recorded row) of every example with one blank.

    Part A is padded inside, up to where Part B begins. Where the original closes a source with its
    end token, the first of these paddings is that end.
    """
    for case, tensors in recorded(glm_dir / "seq2seq_inputs.safetensors").items():
        if not case.endswith(TRAINING):
            continue
        for row in range(len(tensors["text"])):
            text, target = (tensors[name][row].numpy() for name in ("text", "target"))
            start = int(np.flatnonzero(text == special.sop)[0])
            blanks = np.flatnonzero(np.isin(text[:start], special.blanks))
            if len(blanks) != 1:
                continue
            length = int(np.flatnonzero(text[:start] != special.pad)[-1]) + 1 + has_end
            is_scored = tensors["loss_mask"][row].numpy().astype(bool)
            scored = target[is_scored]
            assert scored[-1] == special.eop
            yield text[:length], int(blanks[0]), scored[:-1], tensors, row, start


def test_pairs_are_laid_out_as_the_original_does(glm_dir, special):
    found = 0
    for part_a, blank, target, tensors, row, start in recorded_pairs(glm_dir, special, has_end=1):
        example = glm_pair(part_a, blank, target, special)
        num_a, num_b = len(part_a), len(target) + 1
        part_b = slice(start, start + num_b)
        expected_ids = np.concatenate([part_a, tensors["text"][row, part_b].numpy()])
        assert example.input_ids.tolist() == expected_ids.tolist()
        recorded_positions = tensors["position_id"][row].numpy()
        positions = np.hstack([recorded_positions[:, :num_a], recorded_positions[:, part_b]])
        assert example.position_ids.tolist() == positions.tolist()
        assert example.labels[num_a:].tolist() == tensors["target"][row, part_b].tolist()
        assert (example.labels[:num_a] == IGNORE_INDEX).all()
        assert example.prefix_length == num_a
        found += 1
    if not found:
        pytest.skip("no pair with one blank is recorded here")


def test_answers_to_several_blanks_are_laid_out_as_the_original_does(glm_dir, special):
    found = 0
    for case, tensors in recorded(glm_dir / "seq2seq_inputs.safetensors").items():
        if not case.endswith(TRAINING):
            continue
        for row in range(len(tensors["text"])):
            text, target = (tensors[name][row].numpy() for name in ("text", "target"))
            starts = np.flatnonzero(text == special.sop)
            blanks = np.flatnonzero(np.isin(text[: starts[0]], special.blanks))
            if len(blanks) < 2:
                continue
            part_b = np.flatnonzero(tensors["loss_mask"][row].numpy())
            answers = [piece[:-1] for piece in np.split(target[part_b], starts[1:] - starts[0])]
            whole, spans, done = [], [], 0
            for blank, answer in zip(blanks, answers, strict=True):
                whole += [*text[done:blank], *answer]
                spans.append((len(whole) - len(answer), len(whole)))
                done = blank + 1
            whole += text[done : starts[0]].tolist()
            example = blank_layout(
                np.array(whole), np.array(spans), mask_ids=text[blanks[0]], sop=special.sop,
                eop=special.eop, objective="bert",
            )  # fmt: skip
            end = part_b[-1] + 1
            assert example.input_ids.tolist() == text[:end].tolist()
            assert example.position_ids.tolist() == tensors["position_id"][row, :, :end].tolist()
            assert example.labels[part_b].tolist() == target[part_b].tolist()
            assert example.prefix_length == starts[0]
            found += 1
    if not found:
        pytest.skip("no pair with several blanks is recorded here")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_packed_pairs_equals_the_recorded_one(
    glm, glm_dir, special, smoothing, monkeypatch
):
    losses = read_json(glm_dir / "generation.json")
    name = f"customization_mask_pad_train.loss_ls{smoothing}"
    if name not in losses:
        pytest.skip(f"{name} is not recorded here")
    case = recorded(glm_dir / "seq2seq_inputs.safetensors")["customization_mask_pad_train"]
    masks = case["attention_mask"][:, 0]
    examples = [
        glm_pair(part_a, blank, target, special)
        for part_a, blank, target, tensors, _, _ in recorded_pairs(glm_dir, special, has_end=1)
        if tensors["text"].shape == case["text"].shape
        and torch.equal(tensors["text"], case["text"])
    ][: len(masks)]
    row = lay_out(
        range(len(examples)), examples, row_length=sum(map(len, examples)), pad_id=special.pad
    )
    unit = InfillUnit(smoothing)
    # Labels are smoothed in training mode, which layers below would take for dropout, too.
    monkeypatch.setattr(glm, "training", True)
    loss = unit(glm, collate([row]), torch.device("cpu"))["lm"]
    mean = float(loss.loss_sum.detach()) / loss.num_scored
    assert mean == pytest.approx(losses[name], rel=1e-4, abs=1e-4)


def test_label_smoothing_equals_the_formula_of_fairseq():
    rng = torch.Generator().manual_seed(0)
    hidden, table = (torch.randn(size, 8, generator=rng) for size in (5, 11))
    targets = torch.randint(0, 11, (5,), generator=rng)
    epsilon, num_rows = 0.1, 11
    log_p = torch.log_softmax(hidden @ table.T, dim=-1)
    nll = -log_p[torch.arange(5), targets]
    each = epsilon / (num_rows - 1)
    expected = (1 - epsilon - each) * nll.sum() - each * log_p.sum()
    found = linear_cross_entropy_sum(
        hidden, table, targets, FAMILIES["deltalm"].smoothing(epsilon, num_rows)
    )
    torch.testing.assert_close(found, expected)
