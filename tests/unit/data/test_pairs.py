import io
import json
import pickle

import numpy as np
import pytest
from rich.console import Console

from unblank.data.pairs import pair_texts, prepare_pairs
from unblank.data.report import documents_table
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.shards import CorpusCache, prepare_corpus
from unblank.examples import Seq2SeqExample
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import encoder_decoder_ids
from unblank.tokenization.train import train_tokenizer

ENGLISH = ["a dog runs", "two men sit in the old house by the river", "rain"]
GERMAN = ["ein Hund rennt", "zwei Leute sitzen", "Regen faellt auf das alte Haus am Fluss"]


@pytest.fixture(scope="module")
def tokenizer():
    with pytest.warns(UserWarning, match="the text is too small"):
        return train_tokenizer(
            ENGLISH + GERMAN, kind="wordpiece", vocab_size=600, num_sentinels=20,
            show_progress=False,
        )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(ENGLISH) + "\n")
    (tmp_path / "b.txt").write_text("\n".join(GERMAN) + "\n")
    records = [json.dumps({"en": en, "de": de}) for en, de in zip(ENGLISH, GERMAN, strict=True)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(records))
    return tmp_path


def prepared(entry, tokenizer, folder, max_length=64, refuse_long=False):
    return prepare_pairs(
        entry,
        tokenizer,
        cache=CorpusCache(folder / "shards", show_progress=False),
        eos=encoder_decoder_ids(tokenizer).eos,
        max_length=max_length,
        refuse_long=refuse_long,
    )


def ids_of(tokenizer, texts):
    return [list(ids) for ids in encode_texts(tokenizer, texts)]


@pytest.mark.parametrize("entry", ["{0}/a.txt:{0}/b.txt", "{0}/pairs.jsonl:en:de"])
def test_a_pair_is_one_document_with_the_end_between(files, tokenizer, entry):
    corpus = pickle.loads(pickle.dumps(prepared(entry.format(files), tokenizer, files)))
    eos = encoder_decoder_ids(tokenizer).eos
    sides = zip(ids_of(tokenizer, ENGLISH), ids_of(tokenizer, GERMAN), strict=True)
    for number, (first, second) in enumerate(sides):
        length = corpus.document_length(number)
        assert corpus.tokens(number, 0, length).tolist() == [*first, eos, *second]
        assert corpus.tokens(number, 1, 3).tolist() == [*first, eos, *second][1:3]
    assert corpus.num_cut == 0
    texts = [list(side) for side in pair_texts(entry.format(files))]
    assert texts == [ENGLISH, GERMAN]


def test_files_named_after_their_languages_are_lines_of_text(files, tokenizer):
    entry = f"{files}/train.en:{files}/train.de"
    (files / "a.txt").rename(files / "train.en")
    (files / "b.txt").rename(files / "train.de")
    corpus = prepared(entry, tokenizer, files)
    assert [len(corpus), *(list(side) for side in pair_texts(entry))] == [3, ENGLISH, GERMAN]
    (files / "train.de").write_text("ein Hund\n \nRegen\n")
    with pytest.raises(ValueError, match=r"train\.de, line 2"):
        prepared(entry, tokenizer, files)
    faults = {"train.tsv": "there is no field 'text'", "train.json": "not valid JSON"}
    for name, message in faults.items():
        (files / name).write_text("x")
        with pytest.raises(ValueError, match=f"{name}, line 1: {message}"):
            prepared(entry.replace("train.de", name), tokenizer, files)


def test_a_sampled_pair_has_both_ends_and_is_whole(files, tokenizer):
    special = encoder_decoder_ids(tokenizer)
    corpus = prepared(f"{files}/pairs.jsonl:en:de", tokenizer, files)
    objective = lambda ids, rng: Seq2SeqExample(ids, ids, ids, "copy")  # noqa: E731
    sampler = Sampler([corpus], objective, special, SamplingSettings(max_length=64))
    seen = {tuple(sampler.draw_example(number).labels.tolist()) for number in range(3)}
    first, second = ids_of(tokenizer, ENGLISH), ids_of(tokenizer, GERMAN)
    assert seen == {
        (special.cls, *a, special.eos, *b, special.eos) for a, b in zip(first, second, strict=True)
    }


def test_a_long_pair_is_refused_by_name_if_asked_for(files, tokenizer):
    entry = f"{files}/a.txt:{files}/b.txt"
    lengths = [
        len(first) + len(second) + 3
        for first, second in zip(ids_of(tokenizer, ENGLISH), ids_of(tokenizer, GERMAN), strict=True)
    ]
    fitting = prepared(entry, tokenizer, files, max_length=max(lengths), refuse_long=True)
    assert fitting.num_cut == 0
    message = rf"a\.txt, line 2: .*\b{lengths[1]} tokens.* 2 of 3"
    with pytest.raises(ValueError, match=message):
        prepared(entry, tokenizer, files, max_length=min(lengths[1:]) - 1, refuse_long=True)


def test_a_long_pair_is_cut_at_its_longer_side_and_counted(files, tokenizer):
    long = " ".join(ENGLISH * 4)
    (files / "long.jsonl").write_text(json.dumps({"en": long, "de": "rain"}) + "\n")
    corpus = prepared(f"{files}/long.jsonl:en:de", tokenizer, files, max_length=32)
    eos = encoder_decoder_ids(tokenizer).eos
    (first,), (second,) = ids_of(tokenizer, [long]), ids_of(tokenizer, ["rain"])
    room = 32 - 3 - len(second)
    assert corpus.num_cut == 1
    assert corpus.tokens(0, 0, 99).tolist() == [*first[:room], eos, *second]
    (files / "both.jsonl").write_text(json.dumps({"en": long, "de": long}) + "\n")
    corpus = prepared(f"{files}/both.jsonl:en:de", tokenizer, files, max_length=32)
    assert corpus.tokens(0, 0, 99).tolist() == [*first[:14], eos, *first[:15]]


def test_the_table_of_documents_has_a_row_for_pairs(files, tokenizer):
    corpus = prepared(f"{files}/pairs.jsonl:en:de", tokenizer, files, max_length=12)
    text = prepare_corpus(
        files / "a.txt", tokenizer, cache_dir=files / "shards", show_progress=False
    )
    for sources, num_rows in [([("both", [corpus])], 1), ([("both", [corpus]), ("a", [text])], 2)]:
        output = io.StringIO()
        Console(file=output, width=200).print(documents_table(sources, max_length=12))
        lines = [line for line in output.getvalue().splitlines() if line.strip()]
        counts = [3, 0, 0, 3, corpus.num_cut, corpus.num_tokens]
        assert lines[3].split() == ["both", *map(str, counts)]
        caption = " ".join(lines[3 + num_rows :])
        assert "cut to fit into 12 positions together" in caption
        assert ("into segments" in caption) == (num_rows == 2)
    assert corpus.num_cut == 1


def test_what_is_missing_is_named_with_file_and_line(files, tokenizer):
    (files / "b.txt").write_text("ein Hund\n\nRegen\n")
    with pytest.raises(ValueError, match=r"b\.txt, line 2"):
        prepared(f"{files}/a.txt:{files}/b.txt", tokenizer, files)
    (files / "b.txt").write_text("ein Hund\nRegen\n")
    with pytest.raises(ValueError, match=r"a\.txt has 3 texts .*b\.txt has 2"):
        prepared(f"{files}/a.txt:{files}/b.txt", tokenizer, files)
    (files / "pairs.jsonl").write_text('{"en": "rain", "de": "Regen"}\n{"en": "rain", "de": null}')
    with pytest.raises(ValueError, match=r"pairs\.jsonl, line 2 \(field 'de'\)"):
        prepared(f"{files}/pairs.jsonl:en:de", tokenizer, files)
    (files / "pairs.jsonl").write_text('{"en": "rain", "de": "Regen"}\n{"en": "rain"}')
    with pytest.raises(ValueError, match=r"pairs\.jsonl, line 2: .*'de'"):
        prepared(f"{files}/pairs.jsonl:en:de", tokenizer, files)


@pytest.mark.parametrize("entry", ["pairs.jsonl", "a:b:c:d", "a::de", "{}/a.txt:en:de"])
def test_an_entry_that_names_no_pair_is_refused(files, tokenizer, entry):
    with pytest.raises(ValueError, match="SOURCE_FILE:TARGET_FILE"):
        prepared(entry.format(files), tokenizer, files)


def test_weights_choose_between_texts_and_pairs(files, tokenizer):
    corpora = [prepared(f"{files}/pairs.jsonl:en:de", tokenizer, files)] * 2
    names = [lambda ids, rng, name=name: Seq2SeqExample(ids, ids, ids, name) for name in "ab"]
    sampler = Sampler(
        corpora,
        names,
        encoder_decoder_ids(tokenizer),
        SamplingSettings(max_length=64, weights=(3.0, 1.0)),
    )
    drawn = [sampler.draw_example(number).objective for number in range(400)]
    assert np.mean([name == "a" for name in drawn]) == pytest.approx(0.75, abs=0.02)
    with pytest.raises(ValueError, match="2 objectives for 1 corpora"):
        Sampler(corpora[:1], names, encoder_decoder_ids(tokenizer), SamplingSettings())
