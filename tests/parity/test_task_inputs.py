"""Inputs of tasks from given ids are laid out as the original GLM and MultiGLM programs do it.

Of several blanks GLM answers the last (the first, when it decodes against a cached source), and
MultiGLM the first; here the caller names the blank. Padding to the longest is no part of a layout.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from recordings import read_json, require

from unblank.objectives.source_target import glm_pair


@pytest.fixture(scope="module", params=["glm/downstream.json", "multiglm/outputs.json"])
def facts(request, fixtures_dir):
    """The recorded layouts, the special ids, and which of several blanks is answered."""
    path = require(fixtures_dir / request.param)
    sizes = read_json(path.parent / "config.json")
    blank = -1 if path.parent.name == "glm" else 0
    return read_json(path), sizes["special_tokens"], blank


def blanks_of(part_a, ids):
    masks = [ids[name] for name in ("MASK", "sMASK", "gMASK") if name in ids]
    return np.flatnonzero(np.isin(part_a, masks))


def pair_of(part_a, part_b, blank, ids, targets):
    """Part A, [sop] and what follows; the last target stands for the end."""
    special = SimpleNamespace(sop=ids["sop"], eop=targets[-1])
    return glm_pair(np.array(part_a), int(blank), np.array(part_b, dtype=np.int64), special)


def compare(example, result):
    num_tokens, is_scored = len(example), np.array(result["loss_masks"], bool)
    assert example.input_ids.tolist() == result["ids"][:num_tokens]
    assert (
        example.position_ids.tolist() == np.array(result["position_ids"])[:, :num_tokens].tolist()
    )
    assert not is_scored[num_tokens:].any()
    scored = np.flatnonzero(is_scored)
    assert example.labels[scored].tolist() == np.array(result["target_ids"])[scored].tolist()
    assert example.prefix_length == result["sep"]


def test_texts_with_an_answer(facts):
    recorded, ids, which = facts
    results = [case.get("result", case) for case in recorded.get("build_input_from_ids", [])]
    results += [recorded[name] for name in ("build_input_from_ids_two_masks",) if name in recorded]
    with_answer = [
        result for result in results if result["loss_masks"] and any(result["loss_masks"])
    ]
    if not with_answer:
        pytest.skip("no build_input_from_ids with an answer is recorded here")
    for result in with_answer:
        sep, targets = result["sep"], np.array(result["target_ids"])
        answer = targets[np.array(result["loss_masks"], bool)].tolist()
        part_a = result["ids"][:sep]
        blank = blanks_of(part_a, ids)[which]
        compare(pair_of(part_a, answer[:-1], blank, ids, answer), result)


def test_texts_read_from_left_to_right(facts):
    recorded, ids, _ = facts
    case = recorded.get("build_uni_input_from_ids") or pytest.skip("none is recorded here")
    result, text = case["result"], [*case["text_a"], *case["answer"]]
    part_a = result["ids"][: result["sep"]]
    (blank,) = blanks_of(part_a, ids)
    compare(pair_of(part_a, text[:-1], blank, ids, text), result)


def test_answers_decoded_against_a_cached_source(facts):
    recorded, ids, _ = facts
    case = recorded.get("build_decoder_input") or pytest.skip("none is recorded here")
    result, answer, source = case["result"], case["answer"], case["enc_ids"]
    whole = pair_of(source, answer[:-1], blanks_of(source, ids)[0], ids, answer)
    part_b = slice(len(source), len(whole))
    assert whole.input_ids[part_b].tolist() == result["ids"][: len(answer)]
    assert whole.labels[part_b].tolist() == result["target_ids"][: len(answer)]
    positions = np.array(result["position_ids"])[:, : len(answer)]
    assert whole.position_ids[:, part_b].tolist() == positions.tolist()
