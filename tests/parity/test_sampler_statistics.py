"""The samplers draw from the distributions of the original program, within sampling error.

`glm/sampler_stats.json` holds statistics of the original's draws. Each is compared with fewer
draws here, with the standard error of the difference taken from the draws here; five standard
errors are allowed. Seeds are fixed.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings import read_json

from unblank.examples import Example, IntArray
from unblank.objectives.mixture import build_objective, only
from unblank.objectives.settings import ObjectiveSettings
from unblank.objectives.spans import span_length_cdf
from unblank.tokenization.special import SpecialIds

DRAWS = 1000
SIGMAS = 5.0
NUM_ORDINARY = 100
SENTENCE_END, SENTENCE_END_SHARE = 7, 0.05
CLS, EOS, MASK, SMASK, GMASK, SOP, EOP = range(NUM_ORDINARY, NUM_ORDINARY + 7)
SPECIAL = SpecialIds(
    pad=EOS, eos=EOS, cls=CLS, sep=107, unk=108, dblock=109, mask=MASK, smask=SMASK, gmask=GMASK,
    sop=SOP, eop=EOP,
)  # fmt: skip
IS_END = np.arange(110) == SENTENCE_END


@pytest.fixture(scope="module")
def recorded(best_dir: Path) -> dict:
    return read_json(best_dir / "glm" / "sampler_stats.json")


def kind_of(options: dict) -> str:
    if options.get("single_span_prob", 0) == 1:
        return "single_span"
    if options["bert_prob"] == 1:
        return "token"
    return "sentence" if options.get("gap_sentence_prob", 0) == 1 else "document"


def settings_of(options: dict) -> ObjectiveSettings:
    return only(
        kind_of(options),
        ObjectiveSettings(
            sentence_limit=0,
            document_min_ratio=options.get("gpt_min_ratio", 0.5),
            document_suffix_probability=options.get("gpt_infill_prob", 0.5),
        ),
    )


def draw_text(length: int, has_sentences: bool, rng: np.random.Generator) -> IntArray:
    tokens = rng.integers(SENTENCE_END + 1, NUM_ORDINARY, length)
    if has_sentences:
        tokens[rng.random(length) < SENTENCE_END_SHARE] = SENTENCE_END
    tokens[0] = CLS
    return tokens


def spans_of(example: Example, num_tokens: int) -> IntArray:
    """Spans in the order of the text, from the positions and the lengths of the pieces."""
    prefix_length = example.prefix_length
    starts = np.flatnonzero(example.position_ids[1, prefix_length:] == 1)
    lengths = np.diff(np.append(starts, len(example) - prefix_length)) - 1
    places = example.position_ids[0, prefix_length + starts]
    if example.labels[-1] != EOP:  # suffix: the last token of the text closes the piece
        assert len(lengths) == 1
        return np.array([[places[0], num_tokens]])
    order = np.argsort(places)
    places, lengths = places[order], lengths[order]
    begins = places + np.append(0, np.cumsum(lengths - 1)[:-1])
    return np.stack((begins, begins + lengths), axis=1)


def assert_close(ours: np.ndarray, theirs: float, num_theirs: int, claim: str) -> None:
    """Compare the mean of our values, one a draw, with a recorded mean of `num_theirs` draws."""
    error = ours.std() * np.sqrt(1 / len(ours) + 1 / num_theirs)
    assert abs(ours.mean() - theirs) <= SIGMAS * error + 1e-9, (
        f"{claim}: {ours.mean():.5f} here, {theirs:.5f} recorded, standard error {error:.5f}"
    )


def assert_ratio_close(
    sums: np.ndarray, counts: np.ndarray, theirs: float, num_theirs: int, claim: str
) -> None:
    """Compare sum / count over all draws; the error is that of a ratio of two means."""
    ratio = sums.sum() / counts.sum()
    residual = (sums - ratio * counts) / counts.mean()
    assert_close(residual + ratio, theirs, num_theirs, claim)


def histogram_counts(lengths: list[np.ndarray], histogram: dict) -> dict[str, np.ndarray]:
    """How many spans of each draw fall in each bin of a recorded histogram of span lengths."""
    if "bin_edges" not in histogram:
        return {
            key: np.array([(found == int(key)).sum() for found in lengths]) for key in histogram
        }
    edges = histogram["bin_edges"]
    table = np.array([np.histogram(found, edges)[0] for found in lengths])
    return {str(number): table[:, number] for number in range(len(edges) - 1)}


def recorded_shares(histogram: dict) -> dict[str, float]:
    values = histogram
    if "counts" in histogram:
        values = {str(number): count for number, count in enumerate(histogram["counts"])}
    total = sum(values.values())
    return {key: count / total for key, count in values.items()}


def test_span_statistics_agree_with_the_original(recorded: dict) -> None:
    for number, run in enumerate(recorded["runs"]):
        check_run(run, number)


def check_run(run: dict, number: int) -> None:
    n, num_theirs, options = run["seq_length"], run["successful_draws"], run["options"]
    name = f"{run['objective']} at {n}"
    objective = build_objective(settings_of(options), SPECIAL, IS_END, 2 * n)
    rng = np.random.default_rng((17, number))
    spans, sizes, is_suffix = [], [], []
    for _ in range(DRAWS):
        example = objective(draw_text(n, kind_of(options) == "sentence", rng), rng)
        spans.append(spans_of(example, n))
        sizes.append(len(example))
        is_suffix.append(example.labels[-1] != EOP)
    lengths = [found[:, 1] - found[:, 0] for found in spans]
    counts = np.array([len(found) for found in lengths])
    sums = np.array([found.sum() for found in lengths])
    fraction = sums / n

    assert_close(np.array(sizes), run["output_length"]["mean"], num_theirs, f"{name}: length")
    division = run["division_form_draws"] / num_theirs
    assert_close(np.array(is_suffix), division, num_theirs, f"{name}: share of the suffix form")
    assert_close(counts, run["spans_per_sequence"]["mean"], num_theirs, f"{name}: spans a text")
    for key, share in recorded_shares(run["spans_per_sequence"]["histogram"]).items():
        if share * num_theirs >= 20:
            assert_close(counts == int(key), share, num_theirs, f"{name}: texts of {key} spans")
    theirs = run["fraction_of_tokens_in_spans"]
    assert_close(fraction, theirs["mean"], num_theirs, f"{name}: masked share")
    spread = (fraction - fraction.mean()) ** 2
    assert_close(spread, theirs["std"] ** 2, num_theirs, f"{name}: variance of the masked share")
    assert fraction.min() >= theirs["min"] - 0.02
    assert_ratio_close(sums, counts, run["span_length"]["mean"], num_theirs, f"{name}: span length")
    bins = histogram_counts(lengths, run["span_length"]["histogram"])
    for key, share in recorded_shares(run["span_length"]["histogram"]).items():
        if share * num_theirs >= 20:
            claim = f"{name}: share of spans in bin {key}"
            assert_ratio_close(bins[key], counts, share, num_theirs, claim)
    rates = masking_rates(spans, n)
    for part, rate in enumerate(run["masking_rate_by_sixteenth_of_sequence"]):
        assert_close(rates[:, part], rate, num_theirs, f"{name}: masked in sixteenth {part}")


def masking_rates(spans: list[IntArray], num_tokens: int) -> np.ndarray:
    """Masked share of each sixteenth of each text, float64[draws, 16]."""
    is_masked = np.zeros((len(spans), num_tokens), bool)
    for row, found in zip(is_masked, spans, strict=True):
        for start, end in found:
            row[start:end] = True
    return np.stack([part.mean(1) for part in np.array_split(is_masked, 16, axis=1)], axis=1)


def test_span_length_distribution_equals_the_originals(recorded: dict) -> None:
    keys = [key for key in recorded if key.startswith("block_length_weights")]
    if not keys:
        pytest.skip("sampler_stats.json has no block_length_weights")
    weights = np.array(recorded[keys[0]])
    ours = np.diff(span_length_cdf(3.0, len(weights)), prepend=0.0)
    np.testing.assert_allclose(ours, weights / weights.sum(), rtol=1e-9, atol=1e-15)


def test_mixture_draws_kinds_as_often_as_the_original(recorded: dict) -> None:
    keys = [key for key in recorded if key.startswith("objective_mixture")]
    if not keys:
        pytest.skip("sampler_stats.json has no objective_mixture")
    for key in keys:
        weight = dict(re.findall(r"([a-z]+)([0-9.]+)", key.removeprefix("objective_mixture_")))
        settings = ObjectiveSettings(
            token=float(weight.get("bert", 0)),
            sentence=float(weight.get("sentence", 0)),
            document=float(weight.get("document", 0)),
        )
        objective = build_objective(settings, SPECIAL, IS_END, 128)
        rng = np.random.default_rng(5)
        kinds = Counter(objective(draw_text(32, True, rng), rng).objective for _ in range(DRAWS))
        theirs, total = recorded[key], sum(recorded[key].values())
        for ours, name in {"token": "bert", "sentence": "sentence", "document": "gpt"}.items():
            drawn = np.arange(DRAWS) < kinds[ours]
            assert_close(drawn, theirs.get(name, 0) / total, total, f"share of {ours}")
