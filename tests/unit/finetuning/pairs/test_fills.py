"""Texts with several blanks as pairs: laid out as they are filled, scored as whole texts."""

import json

import numpy as np
import pytest
import torch
from tiny_glms import tiny_glm

from unblank.engine.parallel import World
from unblank.families.table import FAMILIES
from unblank.finetuning.pairs import answers
from unblank.finetuning.pairs.answers import Answering, held_out_sources
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import GenerationSettings, PairSettings
from unblank.generation.infill import Filler
from unblank.tokenization import special_ids

WORDS = "the old grey cat sat on a warm mat and saw one small dog run to some far house"
PAIRS = [
    TextPair(
        "f, line 1", "the [MASK] cat sat on a [MASK] and saw [MASK].", ("old", "warm mat", "a")
    ),
    TextPair("f, line 2", "one [MASK] dog", ("small",)),
]


@pytest.fixture(scope="module")
def tiny():
    return tiny_glm([WORDS] * 40, vocab_size=320, max_position_embeddings=96, initializer_range=0.4)


def encoder(tiny, **settings):
    special = special_ids(tiny.tokenizer)
    return PairEncoder(tiny.tokenizer, special, PairSettings(**settings), True, show_progress=False)


def test_an_example_learns_what_filling_from_left_to_right_scores(tiny):
    pairs = encoder(tiny).encode(PAIRS, None, "f")
    make = FAMILIES["glm"].pair_example
    for number, pair in enumerate(PAIRS):
        example = make(pairs.sources[number], pairs.targets[number], special_ids(tiny.tokenizer))
        with torch.no_grad():
            logits = tiny.model(
                input_ids=torch.tensor(example.input_ids)[None],
                position_ids=torch.tensor(example.position_ids)[:, None],
                prefix_lengths=torch.tensor([example.prefix_length]),
            ).logits[0]
        labels = torch.tensor(example.labels)
        scored = labels >= 0
        found = logits[scored].log_softmax(dim=-1).gather(1, labels[scored][:, None]).sum()
        expected = tiny.score_orders(pair.source, list(pair.targets)).by_order[
            tuple(range(len(pair.targets)))
        ]
        assert float(found) == pytest.approx(expected, abs=1e-3)


def test_references_are_whole_texts(tiny):
    pairs = encoder(tiny).encode(PAIRS, None, "f")
    assert pairs.is_filled
    assert pairs.references[0] == ("the old cat sat on a warm mat and saw a.",)
    assert pairs.references[1] == ("one small dog",)
    assert np.array_equal(pairs.owners, [0, 1])


def test_held_out_blanks_are_filled_with_the_tokens_that_are_asked_for(tiny, monkeypatch):
    asked = []

    def filler(model, tokenizer, options):
        asked.append(options)
        return Filler(model, tokenizer, options)

    monkeypatch.setattr(answers, "Filler", filler)
    pairs = encoder(tiny).encode(PAIRS[:1], None, "f")
    (source,) = held_out_sources([pairs], encoder(tiny).blanks_of, [[0]])
    settings = GenerationSettings(min_tokens=2, max_tokens=3, no_repeat_ngram=4)
    world = World(0, 1, torch.device("cpu"))
    Answering.of(settings, 9).answer(tiny.model, tiny.tokenizer, [source], world)
    (options,) = asked
    assert (options.min_tokens, options.max_tokens, options.no_repeat_ngram) == (2, 3, 4)


def test_what_does_not_fit_is_refused_or_skipped_and_named(tiny):
    for targets in (("a",), ("a", "b", "c")):
        wrong = TextPair("f, line 3", "a [MASK] b [MASK]", targets)
        with pytest.raises(ValueError, match=r"f, line 3: .* 2 blanks"):
            encoder(tiny).encode([*PAIRS, wrong], None, "f")
    with pytest.raises(ValueError, match=r"f, line 1: .*\bmax_source_length\b.*\b9\b"):
        encoder(tiny, max_source_length=9).encode(PAIRS, None, "f")
    left = encoder(tiny, max_source_length=9, too_long="skip").encode(PAIRS, None, "f")
    assert (left.places, left.num_skipped) == (("f, line 2",), 1)
    with pytest.raises(ValueError, match=r"data\.languages"):
        encoder(tiny).encode(PAIRS, 7, "f")


def test_a_run_measures_filled_texts(tiny, pairs_config, pair_folder, tmp_path):
    records = [
        {"en": f"the [MASK] dog sees a {word} [MASK]", "de": ["red", "cat"]}
        for word in ("red", "old", "small")
    ]
    file = tmp_path / "blanks.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    config = pairs_config(
        model__preset="tiny",
        data__train=(str(file),),
        data__validation=(str(file),),
        train__metric="bleu",
        train__max_steps=1,
        train__validate_every=1,
        generation__max_tokens=3,
    )
    folder = run_finetune(config)
    (predictions,) = (folder / "predictions").glob("*1.jsonl")
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    assert lines[0]["references"] == ["the red dog sees a red cat"]
    assert all(line["prediction"].startswith("the") for line in lines)
    assert all("[MASK]" not in line["prediction"] for line in lines)
