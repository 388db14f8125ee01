"""An index of passages: BM25 by hand, every word in a passage, damage that is named."""

import json
import math
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_indexes import index_of

from unblank.integrity import file_facts, seal
from unblank.metrics.words import split_words
from unblank.retrieval import cutting
from unblank.retrieval.cutting import cut_passages
from unblank.retrieval.index import PassageIndex
from unblank.retrieval.words import search_words

DOCUMENTS = [
    "the cat sat on the mat",
    "a dog saw the cat",
    "birds sing",
    "the the the dog",
    "東京タワーは東京にある",
]
QUERIES = ["the cat", "dog dog sing", "東京", "The Dog!", "mat [MASK] birds"]


@pytest.fixture(scope="module")
def index_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval") / "index"
    index_of(((f"line {n}", text) for n, text in enumerate(DOCUMENTS)), folder)
    return folder


@pytest.fixture(scope="module")
def index(index_folder):
    return PassageIndex(index_folder)


def bm25_by_hand(query, documents, k1=1.5, b=0.75):
    """Lucene's BM25, term by term; a word twice in a query counts twice."""
    words = [search_words(one) for one in documents]
    mean_length = sum(map(len, words)) / len(words)
    scores = []
    for own in words:
        counts, score = Counter(own), 0.0
        for word in search_words(query.replace("[MASK]", "")):
            num_with = sum(word in others for others in words)
            weight = math.log(1 + (len(words) - num_with + 0.5) / (num_with + 0.5))
            length = k1 * (1 - b + b * len(own) / mean_length)
            score += weight * counts[word] / (counts[word] + length)
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_bm25_by_hand(index, query):
    expected = bm25_by_hand(query, DOCUMENTS)
    found = index.search(query, 5)
    order = sorted(range(5), key=lambda number: -expected[number])
    best = [number for number in order if expected[number] > 0]
    assert [one.text for one in found] == [DOCUMENTS[number] for number in best]
    assert [one.place for one in found] == [f"line {number}" for number in best]
    assert [one.score for one in found] == pytest.approx([expected[n] for n in best], rel=1e-5)
    assert index.search(query, 1) == found[:1]


def test_what_has_no_word_in_common_finds_nothing(index):
    assert index.search("xylophone", 3) == index.search("[MASK] !", 3) == []


words = st.sampled_from(["one", "two", "don't", "東京", "ไทย", "हिन्दी", "3"])
marks = st.sampled_from([" ", ". ", "\n\n", "!\n", "。", ", "])
texts = st.lists(st.tuples(words, marks), max_size=40).map(
    lambda pairs: "".join(word + mark for word, mark in pairs)
)


@given(texts, st.integers(1, 9))
def test_passages_hold_every_character_and_not_too_many_words(text, max_words):
    passages = list(cut_passages(text, max_words))
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(len(split_words(passage)) <= max(max_words, 2) for passage in passages)


def test_passages_keep_sentences_whole_where_they_can():
    text = "One two three. Four five? Six seven eight nine ten eleven. Twelve."
    assert list(cut_passages(text, 5)) == [
        "One two three. Four five?",
        "Six seven eight nine ten",
        "eleven. Twelve.",
    ]


def test_a_full_stop_inside_a_word_or_number_ends_no_sentence():
    assert list(cut_passages("Pi is 3.14 here. See docs.example.org now.", 4)) == [
        "Pi is 3.14",
        "here.",
        "See docs.example.org",
        "now.",
    ]
    assert list(cut_passages("东京.大阪.", 2)) == ["东京.", "大阪."]


def test_a_run_of_full_stops_takes_linear_time():
    start = time.process_time()
    list(cut_passages("Contents " + "." * 60_000 + "a", 100))  # squared, some 15 seconds
    assert time.process_time() - start < 3


@pytest.mark.parametrize("text", ["漢" * 3000, "使用Python编程" * 500, "a,b;" * 1000])
def test_text_without_spaces_is_cut_between_words_in_one_pass(text, monkeypatch):
    num_read = 0

    def counting(part):
        nonlocal num_read
        num_read += len(part)
        return split_words(part)

    monkeypatch.setattr(cutting, "split_words", counting)
    passages = list(cut_passages(text, 7))
    assert "".join(passages) == text
    assert num_read < 8 * len(text)
    whole = split_words(text)
    assert [word for passage in passages for word in split_words(passage)] == whole


def test_pairs_stop_at_marks_and_other_words():
    assert search_words("北京,上海 A b日c") == ["北京", "上海", "a", "b", "日", "c"]


def test_passages_that_nothing_may_find_are_counted(tmp_path):
    documents = [("a", "the cat"), ("b", "!?"), ("c", "a [MASK] dog"), ("d", "")]
    report = index_of(documents, tmp_path / "index")
    assert (report.documents, report.passages) == (4, 1)
    assert (report.without_words, report.with_blanks) == (1, 1)
    with pytest.raises(ValueError, match="no passage"):
        index_of([("b", "!?")], tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with pytest.raises(FileExistsError, match=r"\bindex\b"):
        index_of(documents, tmp_path / "index")


def damage(name):
    def change(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-3])

    return change


def rewritten(folder, name, content):
    """Write a file that fits the record, as only a stranger would."""
    (folder / name).write_bytes(content)
    record = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    record.pop("checksum")
    record["files"][name] = file_facts(folder / name)
    (folder / "index.json").write_text(seal(record), encoding="utf-8")


def other_array(name, change):
    def write(folder):
        array = change(np.load(folder / name))
        np.save(folder / "new.npy", array, allow_pickle=True)
        content = (folder / "new.npy").read_bytes()
        (folder / "new.npy").unlink()
        rewritten(folder, name, content)

    return write


def huge(folder):
    name = "data.csc.index.npy"
    content = (folder / name).read_bytes()
    start = content.index(b"(")
    length = content.index(b")") - start + 1
    rewritten(folder, name, content.replace(content[start : start + length], b"(9999999,)", 1))


def other_words(folder):
    record = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    record.pop("checksum")
    (folder / "index.json").write_text(seal(record | {"divided_into": "pieces"}), encoding="utf-8")


def led_elsewhere(folder):
    shutil.move(folder / "passages.jsonl", folder.parent / "passages.jsonl")
    (folder / "passages.jsonl").symlink_to(folder.parent / "passages.jsonl")


ENDS, ROWS, SCORES = "indptr.csc.index.npy", "indices.csc.index.npy", "data.csc.index.npy"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (damage("passages.jsonl"), "passages.jsonl"),
        (damage(ROWS), "indices.csc.index.npy"),
        (lambda folder: (folder / "vocab.index.json").unlink(), "vocab.index.json"),
        (lambda folder: (folder / "index.json").write_text("{}"), r"index\.json.*\bdata\b"),
        (other_words, "'pieces'"),
        (huge, "describes|not the file"),
        (other_array(ROWS, lambda rows: rows + 100), "do not fit"),
        (other_array(ENDS, lambda ends: ends[::-1].copy()), "do not fit"),
        (other_array(ROWS, lambda rows: rows.astype(object)), "pickled"),
        (other_array(ENDS, lambda ends: ends[:0]), "out of bounds|do not fit"),
        (other_array(SCORES, lambda scores: scores * np.inf), "do not fit"),
        (led_elsewhere, "symbolic link"),
        (lambda folder: rewritten(folder, "vocab.index.json", b'{"the": [1]}'), "damaged"),
        (lambda folder: rewritten(folder, "vocab.index.json", b"{}"), "damaged"),
        (lambda folder: rewritten(folder, "passages.jsonl", b'{"place": 1}\n'), "line 1 holds"),
        (lambda folder: rewritten(folder, "params.index.json", b'{"k1": 9}'), "k1 9"),
        (lambda folder: rewritten(folder, "vocab.index.json", b'{"the": 7777}'), "do not fit"),
        (lambda folder: rewritten(folder, "vocab.index.json", b'{"the": "x"}'), "do not fit"),
    ],
)
def test_an_index_that_is_not_as_it_was_written_is_named(index_folder, tmp_path, change, named):
    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    change(folder)
    with pytest.raises(ValueError, match=named):
        PassageIndex(folder)


def test_a_folder_without_a_record_is_no_index(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} .*index"):
        PassageIndex(tmp_path)
