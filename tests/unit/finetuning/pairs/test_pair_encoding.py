"""Pairs as token ids: layouts, cuts, and the stream of examples."""

from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer

from unblank.data.mixing import TemperatureSchedule
from unblank.data.sampling import SamplingSettings
from unblank.finetuning.pairs.encoded import PairSampler
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.settings import PairSettings
from unblank.objectives.source_target import encoder_decoder_pair
from unblank.tokenization.special import encoder_decoder_ids, special_ids

PAIRS = [
    TextPair("f, line 1", "the red dog", ("der rot hund",)),
    TextPair("f, line 2", "a cat sees a tree", ("ein katze", "katze sieht")),
]


@pytest.fixture
def tokenizer(pair_folder):
    return AutoTokenizer.from_pretrained(pair_folder / "tokenizer")


def encoder(tokenizer, *, is_glm=False, **settings):
    ids = special_ids(tokenizer) if is_glm else encoder_decoder_ids(tokenizer)
    return PairEncoder(tokenizer, ids, PairSettings(**settings), is_glm, show_progress=False)


def plain(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_an_encoder_reads_tag_source_and_end(tokenizer):
    pairs = encoder(tokenizer).encode(PAIRS, 77, "f")
    end = encoder_decoder_ids(tokenizer).eos
    assert pairs.sources[0].tolist() == [77, *plain(tokenizer, "the red dog"), end]
    assert pairs.targets[2].tolist() == plain(tokenizer, "katze sieht")
    assert pairs.owners.tolist() == [0, 1, 1]
    assert pairs.references[1] == ("ein katze", "katze sieht")


def test_a_glm_reads_start_source_blank_and_end(tokenizer):
    made = encoder(tokenizer, is_glm=True)
    pairs = made.encode(PAIRS, None, "f")
    special = special_ids(tokenizer)
    source = [special.cls, *plain(tokenizer, "the red dog"), special.smask, special.eos]
    assert pairs.sources[0].tolist() == source
    assert made.blanks_of(source) == (len(source) - 2,)


def test_a_blank_in_the_source_stays_where_it_is_and_survives_a_cut(tokenizer):
    text = "the red dog sees [MASK] a cat a tree a book a car"
    pair = TextPair("f, line 1", text, ("x",))
    made = encoder(tokenizer, is_glm=True, max_source_length=9)
    source = made.encode([pair], None, "f").sources[0].tolist()
    special = special_ids(tokenizer)
    assert len(source) == 9
    assert [source[place] for place in made.blanks_of(source)] == [special.mask]
    assert source[0] == special.cls
    with pytest.raises(ValueError, match=r"line 1: .*2 blanks.*1 text"):
        made.encode([TextPair("f, line 1", "a [MASK] b [MASK]", ("x",))], None, "f")


@pytest.mark.parametrize("is_glm", [False, True])
def test_long_sides_are_cut_and_counted(tokenizer, is_glm):
    longest = 7 if is_glm else 5
    made = encoder(tokenizer, is_glm=is_glm, max_source_length=longest, max_target_length=3)
    pairs = made.encode(PAIRS, None, "f")
    assert max(pairs.sources.lengths) == longest
    assert max(pairs.targets.lengths) == 2
    assert pairs.num_cut_sources == 1
    assert pairs.num_cut_targets == 1
    assert pairs.sources[1][-1] == pairs.sources[0][-1]


def test_long_pairs_are_skipped_or_refused_if_asked(tokenizer):
    skipped = encoder(tokenizer, too_long="skip", max_source_length=5).encode(PAIRS, None, "f")
    assert (len(skipped), skipped.num_skipped, skipped.places) == (1, 1, ("f, line 1",))
    with pytest.raises(ValueError, match=r"line 2: .*\b6 tokens.*seq2seq\.max_source_length"):
        encoder(tokenizer, too_long="refuse", max_source_length=5).encode(PAIRS, None, "f")
    with pytest.raises(ValueError, match=r"\bf\b"):
        encoder(tokenizer, too_long="skip", max_source_length=2).encode(PAIRS, None, "f")


def sampler(tokenizer, sizes, **settings):
    made = encoder(tokenizer)
    special = encoder_decoder_ids(tokenizer)
    entries = [
        made.encode([TextPair("", "the dog", ("hund",))] * size, 70 + number, "f")
        for number, size in enumerate(sizes)
    ]
    return PairSampler(
        entries,
        lambda source, target: encoder_decoder_pair(source, target, special),
        special,
        SamplingSettings(max_length=32, **settings),
    )


def test_every_example_comes_once_an_epoch_in_another_order(tokenizer):
    drawn = sampler(tokenizer, [50])
    epochs = [[drawn.locate(50 * epoch + n)[1] for n in range(50)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_temperature_makes_small_entries_grow_as_training_goes_on(tokenizer):
    schedule = TemperatureSchedule(start=1.0, end=5.0, epochs=5)
    drawn = sampler(tokenizer, [9000, 1000], temperature=schedule)
    first = Counter(drawn.locate(n)[0] for n in range(8192))
    later = Counter(drawn.locate(n)[0] for n in range(70000, 78192))
    assert first[1] / 8192 == pytest.approx(0.1, abs=0.001)
    assert later[1] / 8192 == pytest.approx(1 / (1 + 9**0.2), abs=0.001)


def test_tags_of_entries_stand_before_their_sources(tokenizer):
    drawn = sampler(tokenizer, [3, 3], alpha=0.0)
    tags = Counter(int(drawn.draw_example(n).input_ids[0]) for n in range(8192))
    assert tags == {70: 4096, 71: 4096}
    assert drawn.draw_example(5).labels.dtype == np.int64
