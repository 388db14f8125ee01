import numpy as np

from unblank.examples import IGNORE_INDEX
from unblank.objectives.causal import causal_layout
from unblank.objectives.masked import masked_layout
from unblank.objectives.mixture import build_objective, only
from unblank.objectives.settings import ObjectiveSettings


def test_causal_labels_are_the_next_tokens_and_every_position_is_scored() -> None:
    text = np.array([5, 6, 7, 8])
    example = causal_layout(text)
    assert example.input_ids.tolist() == [5, 6, 7]
    assert example.labels.tolist() == [6, 7, 8]
    assert example.position_ids.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert example.prefix_length == 0


def test_masked_layout_scores_the_chosen_places_where_they_stand() -> None:
    text = np.array([5, 6, 7, 8])
    example = masked_layout(text, np.array([3, 1]), np.array([90, 91]))
    assert example.input_ids.tolist() == [5, 91, 7, 90]
    assert example.labels.tolist() == [IGNORE_INDEX, 6, IGNORE_INDEX, 8]
    assert example.prefix_length == 4
    assert text.tolist() == [5, 6, 7, 8]


def test_masked_tokens_are_chosen_and_replaced_by_the_shares_of_bert(
    special, sentence_end, make_text
) -> None:
    objective = build_objective(only("masked", ObjectiveSettings()), special, sentence_end, 512)
    text = make_text(398)
    masked = kept = other = 0
    for seed in range(100):
        example = objective(text, np.random.default_rng(seed))
        is_scored = example.labels != IGNORE_INDEX
        assert is_scored.sum() == int(0.15 * len(text))
        assert not is_scored[[0, -1]].any()
        np.testing.assert_array_equal(example.labels[is_scored], text[is_scored])
        np.testing.assert_array_equal(example.input_ids[~is_scored], text[~is_scored])
        shown = example.input_ids[is_scored]
        assert (shown[shown != special.mask] < 100).all(), "random tokens are ordinary ones"
        masked += (shown == special.mask).sum()
        kept += (shown == text[is_scored]).sum()
        other += ((shown != special.mask) & (shown != text[is_scored])).sum()
    total = masked + kept + other
    for count, share in ((masked, 0.8), (kept, 0.1 + 0.001), (other, 0.1 - 0.001)):
        assert abs(count / total - share) < 5 * (share * (1 - share) / total) ** 0.5
