"""UniLM's masks, fill-in-the-middle and masked diffusion against second, naive implementations."""

import math
from collections import Counter
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch
from training_toys import toy_model

from unblank.data.packing import lay_out, visible_keys
from unblank.examples import IGNORE_INDEX
from unblank.generation.score import Cloze, score_batch
from unblank.objectives.diffusion import num_hidden
from unblank.objectives.fill_in_the_middle import middle_layout
from unblank.objectives.mixed_masks import mixed_layout
from unblank.objectives.mixture import build_objective, only
from unblank.objectives.settings import ObjectiveSettings


@pytest.fixture
def draw(special, sentence_end):
    """Draw an example of one kind: draw(kind, text, seed)."""

    @cache
    def objective(kind, mask_ratio):
        settings = only(kind, ObjectiveSettings(mask_ratio=mask_ratio))
        return build_objective(settings, special, sentence_end, 512)

    def draw(kind, text, seed, mask_ratio=0.15):
        return objective(kind, mask_ratio)(text, np.random.default_rng(seed))

    return draw


SEEN = {
    "both sides": lambda query, key: True,
    "two parts": lambda query, key: key < 3 or key <= query,
    "left to right": lambda query, key: key <= query,
    "right to left": lambda query, key: key >= query,
}


@pytest.mark.parametrize("kind", SEEN)
def test_each_kind_of_mask_shows_what_it_says_at_the_places_of_the_text(kind) -> None:
    text = np.array([11, 12, 13, 14, 15, 16])
    example = mixed_layout(text, np.array([4, 1]), np.array([90, 91]), kind, first_part=3)
    row = lay_out([0], [example], row_length=6, pad_id=0)
    visible = visible_keys(row.segment_ids, row.is_prefix)
    places = example.position_ids[0]
    for query in range(6):
        seen = {int(places[key]) for key in range(6) if visible[query, key]}
        assert seen == {key for key in range(6) if SEEN[kind](int(places[query]), key)}
    assert sorted(places) == list(range(6))
    in_order = np.argsort(places)
    assert example.input_ids[in_order].tolist() == [11, 91, 13, 14, 90, 16]
    none = IGNORE_INDEX
    assert example.labels[in_order].tolist() == [none, 12, none, none, 15, none]
    assert not example.position_ids[1].any()


def test_masks_and_runs_have_the_shares_of_unilm(draw, make_text, special) -> None:
    text, total = make_text(198), 600
    kinds: Counter[str] = Counter()
    runs: Counter[int] = Counter()
    for seed in range(total):
        example = draw("mixed_masks", text, seed, mask_ratio=0.05)
        is_reversed = example.position_ids[0, 0] > 0
        size = example.prefix_length
        kinds[
            "right" if is_reversed else "left" if not size else "both" if size == 200 else "two"
        ] += 1
        order = np.argsort(example.position_ids[0])
        places = np.flatnonzero(example.labels[order] != IGNORE_INDEX)
        assert len(places) == 10
        np.testing.assert_array_equal(example.labels[order][places], text[places])
        assert special.cls not in text[places]
        runs.update(map(len, np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)))
    for kind, share in {"both": 1 / 3, "two": 1 / 3, "left": 1 / 6, "right": 1 / 6}.items():
        assert abs(kinds[kind] / total - share) < 5 * (share * (1 - share) / total) ** 0.5
    # 80 % are drawn alone; few neighbours meet by chance where 5 % are hidden.
    assert runs[1] / sum(runs.values()) == pytest.approx(0.76, abs=0.05)
    assert runs[2] > 2 * sum(runs[length] for length in (4, 5, 6))


def naive_middle(text, start, end, mask, sop, eop):
    """Return what is read and what is predicted, written as one list that moves on by one."""
    whole = [*text[:start], mask, *text[end:], sop, *text[start:end], eop]
    read, following = whole[:-1], whole[1:]
    return read, [IGNORE_INDEX if token in (mask, sop) else token for token in following]


def test_the_middle_of_a_text_is_read_last_and_all_of_it_is_predicted() -> None:
    text = list(range(10, 17))
    for start, end in combinations(range(1, 8), 2):
        example = middle_layout(np.array(text), start, end, mask=70, sop=80, eop=90)
        read, predicted = naive_middle(text, start, end, 70, 80, 90)
        assert example.input_ids.tolist() == read
        assert example.labels.tolist() == predicted
        assert example.prefix_length == 0


def test_both_ends_of_the_middle_are_uniform(draw, special) -> None:
    text = np.array([special.cls, 11, 12, 13, special.eos])
    middles = Counter()
    for seed in range(600):
        example = draw("fill_in_the_middle", text, seed)
        ids = example.input_ids.tolist()
        middles[tuple(ids[ids.index(special.sop) + 1 :])] += 1
    wanted = [(11,), (12,), (13,), (11, 12), (12, 13), (11, 12, 13)]
    assert set(middles) == set(wanted)
    assert all(abs(count / 600 - 1 / 6) < 5 * (5 / 36 / 600) ** 0.5 for count in middles.values())


def test_a_middle_is_scored_as_it_was_trained() -> None:
    model = toy_model().eval()
    text = np.array([1, 21, 22, 23, 24, 25, 0])
    example = middle_layout(text, 2, 4, mask=4, sop=7, eop=8)
    with torch.no_grad():
        logits = model(
            torch.tensor(example.input_ids)[None],
            position_ids=torch.tensor(example.position_ids)[:, None],
            prefix_lengths=torch.tensor([0]),
            use_cache=False,
        ).logits[0]
        labels = torch.tensor(example.labels[-3:])
        trained = logits[-3:].log_softmax(-1)[range(3), labels].sum()
        cloze = Cloze((1, 21, 4, 24, 25, 0), 2, [(22, 23)])
        (scored,) = score_batch(model, [cloze], sop_id=7, end_id=8, context="uni")
    assert float(scored) == pytest.approx(float(trained), abs=1e-5)


def test_diffusion_is_the_loss_of_llada_in_the_mean(draw, special) -> None:
    # Any made-up loss of a hidden token that depends on all that is hidden.
    def loss(place, hidden):
        return math.sin(place + 1) + 0.3 * len(hidden) ** 2 + (1.0 if 2 in hidden else 0.0)

    size = 5
    subsets = [
        hidden for count in range(1, size + 1) for hidden in combinations(range(size), count)
    ]
    times = (np.arange(2000) + 0.5) / 2000
    expected = (
        sum(
            (times ** (len(hidden) - 1) * (1 - times) ** (size - len(hidden))).mean()
            * sum(loss(place, hidden) for place in hidden)
            for hidden in subsets
        )
        / size
    )
    text = np.array([special.cls, 11, 12, 13, 14, 15, special.eos])
    total = scored = 0.0
    for seed in range(3000):
        example = draw("diffusion", text, seed)
        hidden = tuple((np.flatnonzero(example.labels != IGNORE_INDEX) - 1).tolist())
        total += sum(loss(place, hidden) for place in hidden)
        scored += len(hidden)
        assert example.prefix_length == 7
        assert (example.input_ids[example.labels != IGNORE_INDEX] == special.mask).all()
    assert total / scored == pytest.approx(expected, rel=0.02)


def test_the_number_of_hidden_tokens_falls_as_its_inverse() -> None:
    rng, total = np.random.default_rng(0), 4000
    counts = Counter(num_hidden(40, rng) for _ in range(total))
    harmonic = sum(1 / k for k in range(1, 41))
    for k in (1, 2, 10, 40):
        share = 1 / k / harmonic
        assert abs(counts[k] / total - share) < 5 * (share * (1 - share) / total) ** 0.5
    assert num_hidden(1, rng) == 1
