import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.examples import IGNORE_INDEX, Example
from unblank.objectives.infilling import blank_layout
from unblank.objectives.mixture import build_objective, only
from unblank.objectives.settings import ObjectiveSettings

MASK, SOP, EOP = 70, 80, 90


def naive_layout(tokens: list[int], spans: list[tuple[int, int]]) -> Example:
    """The layout written down token by token, for comparison."""
    ids, rows, labels, mask_place = [], ([], []), [], {}
    inside = {place: span for span in spans for place in range(*span)}
    for place, token in enumerate(tokens):
        span = inside.get(place)
        if span and place > span[0]:
            continue
        if span:
            mask_place[span] = len(ids)
        rows[0].append(len(ids))
        rows[1].append(0)
        ids.append(MASK if span else token)
        labels.append(IGNORE_INDEX)
    prefix_length = len(ids)
    for span in spans:
        piece = tokens[slice(*span)]
        for number, (shown, wanted) in enumerate(zip([SOP, *piece], [*piece, EOP], strict=True)):
            ids.append(shown)
            labels.append(wanted)
            rows[0].append(mask_place[span])
            rows[1].append(number + 1)
    return Example(np.array(ids), np.array(rows), np.array(labels), prefix_length, "token")


def assert_same(ours: Example, theirs: Example) -> None:
    np.testing.assert_array_equal(ours.input_ids, theirs.input_ids)
    np.testing.assert_array_equal(ours.position_ids, theirs.position_ids)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert ours.prefix_length == theirs.prefix_length


@st.composite
def text_and_spans(draw) -> tuple[list[int], list[tuple[int, int]]]:
    """A text and disjoint spans, perhaps touching, perhaps at either end, in any order."""
    tokens = draw(st.lists(st.integers(0, 60), min_size=1, max_size=40))
    cuts = draw(st.sets(st.integers(0, len(tokens)), min_size=2 if len(tokens) > 1 else 0))
    pairs = list(zip(sorted(cuts), sorted(cuts)[1:], strict=False)) or [(0, len(tokens))]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    return tokens, chosen


def test_the_worked_example_of_the_paper() -> None:
    x1, x2, x3, x4, x5, x6 = text = np.array([11, 12, 13, 14, 15, 16])
    example = blank_layout(
        text, np.array([[4, 6], [2, 3]]), mask_ids=MASK, sop=SOP, eop=EOP, objective="token"
    )
    assert example.input_ids.tolist() == [x1, x2, MASK, x4, MASK, SOP, x5, x6, SOP, x3]
    paper_positions = np.array([1, 2, 3, 4, 5, 5, 5, 5, 3, 3])
    np.testing.assert_array_equal(example.position_ids[0], paper_positions - 1)
    assert example.position_ids[1].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 1, 2]
    assert example.labels.tolist() == [IGNORE_INDEX] * 5 + [x5, x6, EOP, x3, EOP]
    assert example.prefix_length == 5


@given(text_and_spans())
def test_layout_equals_a_token_by_token_one(case) -> None:
    tokens, spans = case
    ours = blank_layout(
        np.array(tokens), np.array(spans), mask_ids=MASK, sop=SOP, eop=EOP, objective="token"
    )
    assert_same(ours, naive_layout(tokens, spans))


@given(text_and_spans())
def test_part_a_and_part_b_give_the_text_back(case) -> None:
    tokens, spans = case
    example = blank_layout(
        np.array(tokens), np.array(spans), mask_ids=MASK, sop=SOP, eop=EOP, objective="token"
    )
    assert len(example) == len(tokens) + 2 * len(spans)
    fills, label_b = {}, example.labels[example.prefix_length :].tolist()
    for place in example.position_ids[0, example.prefix_length :].tolist():
        fills.setdefault(place, []).append(label_b.pop(0))
    restored = []
    for place, token in enumerate(example.input_ids[: example.prefix_length].tolist()):
        restored += fills[place][:-1] if place in fills else [token]
    assert restored == tokens
    assert all(fill[-1] == EOP for fill in fills.values())


@pytest.fixture
def build(special, sentence_end):
    def build(name: str, max_length: int = 128, **options):
        chosen = only(name, ObjectiveSettings(**options))
        return build_objective(chosen, special, sentence_end, max_length)

    return build


def pieces(example: Example) -> list[slice]:
    starts = np.flatnonzero(example.position_ids[1] == 1).tolist()
    return [slice(*edge) for edge in zip(starts, [*starts[1:], len(example)], strict=True)]


def test_spans_are_shuffled_unless_asked_not_to(build, make_text) -> None:
    text = make_text(120)
    for shuffles in (True, False):
        objective = build("token", shuffle_spans=shuffles)
        sorted_samples = 0
        for seed in range(20):
            example = objective(text, np.random.default_rng(seed))
            places = example.position_ids[0, example.prefix_length :]
            sorted_samples += bool((np.diff(places) >= 0).all())
        assert sorted_samples == (0 if shuffles else 20)


def test_every_order_of_three_spans_is_equally_likely(build, make_text) -> None:
    objective = build("token", mask_ratio=0.05)
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(1500):
        example = objective(make_text(120), np.random.default_rng(seed))
        places = [int(example.position_ids[0, piece.start]) for piece in pieces(example)]
        if len(places) == 3:
            order = tuple(np.argsort(places).tolist())
            counts[order] = counts.get(order, 0) + 1
    total = sum(counts.values())
    assert len(counts) == 6
    for count in counts.values():
        assert abs(count / total - 1 / 6) < 5 * (5 / 36 / total) ** 0.5


def test_sentinels_mark_pieces_in_both_parts(build, make_text, special) -> None:
    text = make_text(120)
    example = build("token", sentinels=True)(text, np.random.default_rng(3))
    part_a = example.input_ids[: example.prefix_length]
    marks = [example.input_ids[piece.start] for piece in pieces(example)]
    assert marks == list(special.sentinels[: len(marks)])
    assert sorted(part_a[np.isin(part_a, special.sentinels)].tolist()) == sorted(marks)
    assert special.mask not in part_a
    assert (example.position_ids[0, example.prefix_length :] == 128).all()
    plain = build("token")(text, np.random.default_rng(3))
    np.testing.assert_array_equal(example.labels, plain.labels)


def test_too_few_sentinels_are_refused_when_the_objective_is_built(build) -> None:
    with pytest.raises(ValueError, match=r"\b76\b.*\b40\b.*num-sentinels 76"):
        build("token", max_length=512, sentinels=True)


def test_without_block_positions_the_second_row_counts_nothing(build, make_text) -> None:
    text = make_text(60)
    for name in ("token", "sentence", "document"):
        example = build(name, block_positions=False)(text, np.random.default_rng(0))
        prefix_length = example.prefix_length
        assert (example.position_ids[1, :prefix_length] == 0).all()
        assert (example.position_ids[1, prefix_length:] == 1).all()


def test_block_mask_changes_inputs_of_part_b_alone(build, make_text, special) -> None:
    text, hidden, shown = make_text(120), 0, 0
    for seed in range(200):
        example = build("token", block_mask_probability=0.3)(text, np.random.default_rng(seed))
        is_hidden = example.input_ids == special.dblock
        assert not is_hidden[: example.prefix_length].any()
        for piece in pieces(example):
            assert example.input_ids[piece.start] == special.sop
            kept = ~is_hidden[piece][1:]
            np.testing.assert_array_equal(
                example.input_ids[piece][1:][kept], example.labels[piece][:-1][kept]
            )
            hidden += int((~kept).sum())
            shown += int(kept.sum())
        assert special.dblock not in example.labels
    share, total = hidden / (hidden + shown), hidden + shown
    assert abs(share - 0.3) < 5 * (0.21 / total) ** 0.5


def test_random_positions_shift_the_first_row_within_the_model(build, make_text) -> None:
    text = make_text(30)
    first = set()
    for seed in range(400):
        moved = build("token", max_length=48, random_positions=True)(
            text, np.random.default_rng(seed)
        )
        offset = int(moved.position_ids[0, 0])
        first.add(offset)
        assert moved.position_ids[0].max() < 48
        assert moved.position_ids[0, : moved.prefix_length].tolist() == list(
            range(offset, offset + moved.prefix_length)
        )
    assert min(first) == 0
    assert max(first) > 15


def test_suffix_form_ends_with_the_text_and_has_nothing_after_the_mask(
    build, make_text, special
) -> None:
    for ends in (True, False):
        text = make_text(40, ends=ends)
        objective = build("document", document_suffix_probability=1.0)
        example = objective(text, np.random.default_rng(2))
        part_a = example.input_ids[: example.prefix_length]
        assert part_a[-1] == special.gmask
        size_b = len(example) - example.prefix_length
        np.testing.assert_array_equal(part_a[:-1], text[:-size_b])
        np.testing.assert_array_equal(example.labels[-size_b:], text[-size_b:])
        assert example.input_ids[-size_b:].tolist() == [special.sop, *text[-size_b:-1]]
        assert len(example) == len(text) + 1


def test_infill_form_keeps_both_ends_and_closes_the_piece(build, make_text, special) -> None:
    text = make_text(40)
    objective = build("document", document_suffix_probability=0.0)
    example = objective(text, np.random.default_rng(2))
    part_a = example.input_ids[: example.prefix_length]
    assert part_a[0] == special.cls
    assert part_a[-1] == special.eos
    assert example.labels[-1] == special.eop
    assert len(example) == len(text) + 2


def test_a_long_span_over_several_documents_is_a_suffix(build, make_text, special) -> None:
    text = np.concatenate((make_text(20), make_text(20, seed=4)))
    objective = build("document", document_suffix_probability=0.0)
    example = objective(text, np.random.default_rng(2))
    assert example.labels[-1] == special.eos
    assert example.input_ids[example.prefix_length - 1] == special.gmask


@pytest.mark.parametrize("task_masks", [True, False])
def test_task_masks_can_be_turned_off(build, make_text, special, task_masks: bool) -> None:
    usual = {"token": special.mask, "sentence": special.smask, "document": special.gmask}
    for name, mask in usual.items():
        example = build(name, task_masks=task_masks)(make_text(60), np.random.default_rng(0))
        masks = example.input_ids[np.isin(example.input_ids, special.blanks)]
        assert len(masks) >= 1
        assert set(masks.tolist()) == {mask if task_masks else special.mask}


def test_a_single_span_is_one_span(build, make_text) -> None:
    for seed in range(20):
        example = build("single_span")(make_text(60), np.random.default_rng(seed))
        assert len(pieces(example)) == 1
