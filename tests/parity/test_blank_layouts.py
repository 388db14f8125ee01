"""Layouts of blanks equal those that the original program built, number by number.

All sizes, ids and cases are read from `glm/block_data.json`, so that another folder of the same
layout can be put in its place.
"""

from pathlib import Path

import numpy as np
import pytest
from recordings import read_json

from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.objectives.infilling import blank_layout
from unblank.objectives.masked import masked_layout
from unblank.objectives.spans import document_bounds, sentence_bounds

MASK_OF_TASK = {"bert": "MASK", "gap_sentence": "sMASK", "sentence": "sMASK"} | {
    "generation": "gMASK",
    "gpt": "gMASK",
}
KNOWN_OPTIONS = {"shuffle_blocks", "block_position_encoding", "random_position", "block_mask_prob"}


@pytest.fixture(scope="module")
def recorded(fixtures_dir: Path) -> dict:
    return read_json(fixtures_dir / "glm" / "block_data.json")


@pytest.fixture(scope="module")
def config(fixtures_dir: Path) -> dict:
    path = fixtures_dir / "glm" / "config.json"
    return read_json(path) if path.is_file() else {}


def mask_id(recorded: dict, config: dict, task: str) -> int:
    name = MASK_OF_TASK[task] if config.get("task_mask", True) else "MASK"
    return recorded["special_tokens"][name]


def assert_equal(example: Example, tokens, targets, loss_mask, position_ids, prefix_length) -> None:
    is_scored = np.array(loss_mask, bool)
    assert example.input_ids.tolist() == list(tokens)
    assert example.labels[is_scored].tolist() == np.array(targets)[is_scored].tolist()
    assert (example.labels[~is_scored] == IGNORE_INDEX).all()
    assert example.position_ids.tolist() == np.array(position_ids).tolist()
    assert example.prefix_length == prefix_length


def test_layouts_of_given_spans_equal_the_recorded_ones(recorded: dict, config: dict) -> None:
    special = recorded["special_tokens"]
    skipped = []
    for case in recorded["cases"]:
        options, result = case["options"], case["result"]
        if unknown := set(options) - KNOWN_OPTIONS:
            skipped.append(f"{case['name']}: options {unknown}")
            continue
        text, spans = np.array(case["tokens_in"]), np.array(case["span_order_used"])
        example = blank_layout(
            text,
            spans,
            mask_ids=mask_id(recorded, config, case["task"]),
            sop=special["sop"],
            eop=special["eop"],
            objective=case["task"],
            block_positions=options.get("block_position_encoding", True),
            first_position=result["position_ids"][0][0] if "random_position" in options else 0,
            piece_tokens=shown_text(text, spans, result, special.get("dBLOCK")),
        )
        assert_equal(
            example,
            result["tokens"],
            result["targets"],
            result["loss_masks"],
            result["position_ids"],
            result["sep"],
        )
        top = config.get("max_sequence_length", example.position_ids[0].max() + 1)
        assert example.position_ids[0].max() < top
    assert len(skipped) < len(recorded["cases"]), skipped


def shown_text(text: IntArray, spans: IntArray, result: dict, dblock: int | None) -> IntArray:
    """The text as Part B shows it: [dBLOCK] at the places where the recording has it."""
    shown, place = text.copy(), result["sep"]
    for start, end in spans:
        hidden = np.array(result["tokens"][place + 1 : place + 1 + end - start]) == dblock
        shown[start:end][hidden] = dblock
        place += 1 + end - start
    return shown


def test_masked_language_model_equals_the_recorded_one(recorded: dict) -> None:
    if "masked_lm" not in recorded:
        pytest.skip("block_data.json has no masked_lm")
    case = recorded["masked_lm"]
    chosen = np.concatenate([np.arange(start, end) for start, end in case["spans"]])
    text = np.array(case["tokens_in"])
    example = masked_layout(text, chosen, recorded["special_tokens"]["MASK"])
    result = case["result"]
    rows = [result["position_ids"], [0] * len(text)]
    assert_equal(
        example, result["tokens"], result["targets"], result["loss_masks"], rows, len(text)
    )


def blocks(recorded: dict):
    """Every sample of every recorded batch: (call, text ids, its row without batch padding)."""
    for call in recorded.get("construct_blocks", []):
        output = call["output"]
        if len(call["samples"]) != len(output["text"]):  # short_seq_prob cuts samples anew
            continue
        for row, sample in enumerate(call["samples"]):
            size = output["attention_mask"][row]
            size += int(np.sum(output["loss_mask"][row]))
            yield (
                call,
                np.array(sample["text"]),
                {
                    "tokens": output["text"][row][:size],
                    "targets": output["target"][row][:size],
                    "loss_mask": output["loss_mask"][row][:size],
                    "position_ids": np.array(output["position_id"][row])[:, :size],
                    "prefix_length": output["attention_mask"][row],
                },
            )


def spans_of(row: dict, sop: int) -> IntArray:
    """The spans, in the order of Part B, read off where pieces begin and where their masks are."""
    prefix_length = row["prefix_length"]
    piece_starts = np.flatnonzero(np.array(row["tokens"][prefix_length:]) == sop)
    edges = np.append(piece_starts, len(row["tokens"]) - prefix_length)
    lengths = np.diff(edges) - 1
    places = row["position_ids"][0, prefix_length + piece_starts]
    places = places - row["position_ids"][0, 0]
    starts = [
        place + (lengths[places < place] - 1).sum()
        for place, _ in zip(places, lengths, strict=True)
    ]
    return np.stack((starts, starts + lengths), axis=1)


def test_whole_batches_equal_the_recorded_ones(recorded: dict, config: dict) -> None:
    special = recorded["special_tokens"]
    checked = 0
    for call, text, row in blocks(recorded):
        if "block_mask_prob" in call["options"]:
            continue
        spans = spans_of(row, special["sop"])
        end_id = row["targets"][-1]
        is_suffix = end_id != special["eop"]
        assert not is_suffix or end_id == text[-1]
        example = blank_layout(
            text[:-1] if is_suffix else text,
            spans,
            mask_ids=mask_id(recorded, config, call["output"]["mode"]),
            sop=special["sop"],
            eop=end_id,
            objective=call["output"]["mode"],
            block_positions=call["options"].get("block_position_encoding", True),
            first_position=int(row["position_ids"][0, 0]),
        )
        assert_equal(example, **row)
        checked += 1
    if not checked:
        pytest.skip("block_data.json has no construct_blocks")


def test_sentences_that_the_original_masked_are_sentences_here(recorded: dict) -> None:
    special = recorded["special_tokens"]
    is_end = np.zeros(max(special.values()) + 1, bool)
    checked = 0
    for call, text, row in blocks(recorded):
        if call["output"]["mode"] != "sentence":
            continue
        is_end[:] = False
        is_end[call["sentence_end_token"]] = True
        documents = document_bounds(text, special["ENC"], special["eos"])
        candidates = sentence_bounds(text, is_end, documents).tolist()
        spans = spans_of(row, special["sop"])
        assert all(span in candidates for span in spans.tolist())
        masked = spans[:, 1] - spans[:, 0]
        needed = int(0.15 * len(text))
        is_all = len(spans) == len(candidates)
        assert is_all or masked.sum() >= needed > masked.sum() - masked.max()
        checked += 1
    if not checked:
        pytest.skip("block_data.json has no sentence batches")
