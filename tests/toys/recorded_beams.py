"""Beam search against the recorded hypotheses of an encoder-decoder's original generator."""

import pytest
import torch
from published_beam_search import BeamOptions, published_beam_search
from torch.testing import assert_close
from transformers.generation import LogitsProcessor

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


def settings_of(options: dict, source_length: int) -> BeamOptions:
    """Recorded options of the original's generator as options of ours."""
    known = {
        "beam_size": "num_beams", "min_len": "min_length", "len_penalty": "length_penalty",
        "no_repeat_ngram_size": "no_repeat_ngram_size", "temperature": "temperature",
        "unk_penalty": "unknown_penalty",
    }  # fmt: skip
    rest = set(options) - set(known) - {"max_len_a", "max_len_b", "normalize_scores"}
    if rest:
        pytest.skip(f"options {rest} of the original's generator are not known here")
    fields = {ours: options[theirs] for theirs, ours in known.items() if theirs in options}
    if not options.get("normalize_scores", True):
        fields["length_penalty"] = 0.0
    length = int(options.get("max_len_a", 0) * source_length + options.get("max_len_b", 200))
    return BeamOptions(**fields, max_length=length)


def check_beam_search(model, tensors: dict, numbers: dict) -> None:
    """Compare ids and scores of all recorded hypotheses."""
    if "generation" not in numbers:
        pytest.skip("no generation is recorded here")
    case, name = numbers["generation"]["source"].split(".")
    source = tensors[case][name]
    for run in numbers["generation"]["runs"]:
        settings = settings_of(run["options"], source.shape[1])
        prefix = run.get("prefix_tokens")
        found = published_beam_search(
            model,
            source,
            settings,
            prefix_ids=None if prefix is None else torch.tensor(prefix),
        )
        for ours, theirs in zip(found, run["hypotheses"], strict=True):
            assert [one.token_ids for one in ours] == [one["tokens"] for one in theirs], run
            for one, expected in zip(ours, theirs, strict=True):
                assert_close(one.score, expected["score"], **TOLERANCE)


class EndAtLast(LogitsProcessor):
    """At the last step only the end token is left, with its own score, as in the original."""

    def __init__(self, length: int, end: int) -> None:
        self.length, self.end = length, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape[1] < self.length:
            return scores
        is_end = torch.arange(scores.shape[1]) == self.end
        return scores.masked_fill(~is_end, float("-inf"))


def check_generate(model, tensors: dict, numbers: dict, eos: int) -> None:
    """Compare what transformers' `generate` finds with the best hypothesis of each run."""
    if "generation" not in numbers:
        pytest.skip("no generation is recorded here")
    case, name = numbers["generation"]["source"].split(".")
    source, compared = tensors[case][name], 0
    for run in numbers["generation"]["runs"]:
        settings = settings_of(run["options"], source.shape[1])
        if run.get("prefix_tokens") or settings.unknown_penalty or settings.temperature != 1:
            continue  # options that generate has not, or not for beams
        output = model.generate(
            source,
            num_beams=settings.num_beams,
            do_sample=False,
            early_stopping=settings.num_beams > 1,
            length_penalty=settings.length_penalty,
            max_new_tokens=settings.max_length + 1,
            min_new_tokens=settings.min_length,
            no_repeat_ngram_size=settings.no_repeat_ngram_size,
            logits_processor=[EndAtLast(settings.max_length + 1, eos)],
        )
        for row, theirs in zip(output[:, 1:], run["hypotheses"], strict=True):
            expected = theirs[0]["tokens"]
            assert row[: len(expected)].tolist() == expected
            compared += 1
    if not compared:
        pytest.skip("every recorded run uses options that generate does not have")
