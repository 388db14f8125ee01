"""Span corruption as recorded from GanLM's loader: the cases exactly, the draws by statistics."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings import read_json

from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.span_corruption import corrupt, noise_spans, span_counts
from unblank.tokenization.special import SpecialIds

DRAWS = 1000
SIGMAS = 5.0


@pytest.fixture(scope="module")
def recorded(fixtures_dir: Path) -> dict:
    return read_json(fixtures_dir / "ganlm" / "outputs.json")["span_corruption"]


def spans_of(case: dict, first_sentinel: int) -> np.ndarray:
    """Return spans whose removal leaves the recorded source and takes the recorded target."""
    kept = [token for token in case["source"] if token < first_sentinel]
    hidden = [token for token in case["target"] if token < first_sentinel]
    document = case["document"]
    is_hidden, place = [], 0
    for token in document:
        is_kept = place < len(kept) and kept[place] == token
        place += is_kept
        is_hidden.append(not is_kept)
    assert [token for token, hide in zip(document, is_hidden, strict=True) if hide] == hidden
    edges = np.diff(np.array([0, *is_hidden, 0], dtype=int))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def test_recorded_cases_come_out_exactly(recorded: dict):
    first = recorded["first_sentinel"]
    ids = dict.fromkeys(
        ("pad", "eos", "cls", "sep", "unk", "mask", "smask", "gmask", "sop", "eop", "dblock"), 0
    )
    special = SpecialIds(**ids, sentinels=tuple(range(first, first + 100)))
    for case in recorded["cases"]:
        options = case["options"]
        removes = options["remove_target_sentinel"]
        settings = Seq2SeqSettings(
            remove_source_sentinels=options["remove_source_sentinel"],
            remove_target_sentinels=removes,
            start_token=removes,
        )
        context = Seq2SeqContext(
            settings=settings,
            special=special,
            sentence_end=np.zeros(first + 100, bool),
            ordinary_ids=np.arange(first),
        )
        spans = spans_of(case, first)
        lengths = spans[:, 1] - spans[:, 0]
        counts = span_counts(
            len(case["document"]), options["mask_prob"], options["span_length"], "unilm"
        )
        assert (int(lengths.sum()), len(spans)) == counts
        example = corrupt(np.array(case["document"]), spans, context, "span_corruption")
        target = example.labels if removes else [example.decoder_input_ids[0], *example.labels]
        assert example.input_ids.tolist() == case["source"]
        assert [int(token) for token in target] == case["target"]


def test_draws_have_the_recorded_statistics(best_dir: Path):
    recorded = read_json(best_dir / "ganlm" / "outputs.json")["span_corruption"]
    for case in recorded["statistics"]:
        length, ratio, mean = case["length"], case["mask_prob"], case["span_length"]
        rng = np.random.default_rng(0)
        draws = [noise_spans(length, ratio, mean, "unilm", rng) for _ in range(DRAWS)]
        assert case["number_of_spans"].keys() == {str(count) for count in set(map(len, draws))}
        hidden = np.zeros((DRAWS, length))
        for row, spans in zip(hidden, draws, strict=True):
            for start, end in spans:
                row[start:end] = 1
        assert hidden.mean() == pytest.approx(case["fraction_masked_mean"], abs=1e-12)
        compare_lengths(case, np.concatenate([spans[:, 1] - spans[:, 0] for spans in draws]))
        error = np.sqrt(1 / DRAWS + 1 / case["draws"])
        first = hidden[:, 0]
        assert abs(first.mean() - case["rate_of_span_at_first_token"]) <= (
            SIGMAS * first.std() * error + 1e-12
        )
        sixteenths = np.array([part.mean(axis=1) for part in np.array_split(hidden, 16, axis=1)])
        for ours, theirs in zip(sixteenths, case["masking_rate_by_sixteenth"], strict=True):
            assert abs(ours.mean() - theirs) <= SIGMAS * ours.std() * error


def compare_lengths(case: dict, lengths: np.ndarray) -> None:
    theirs = {int(length): count for length, count in case["span_length_histogram"].items()}
    total, ours = sum(theirs.values()), Counter(lengths.tolist())
    assert lengths.mean() == pytest.approx(case["span_length_mean"])
    for length in theirs.keys() | ours.keys():
        share = (theirs.get(length, 0) + ours[length]) / (total + len(lengths))
        error = np.sqrt(share * (1 - share) * (1 / total + 1 / len(lengths)))
        difference = theirs.get(length, 0) / total - ours[length] / len(lengths)
        assert abs(difference) <= SIGMAS * error, length
