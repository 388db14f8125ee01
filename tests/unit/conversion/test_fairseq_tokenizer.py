"""dict.txt and spm.model become one tokenizer with the ids of the original programs."""

import unicodedata

import pytest
import sentencepiece
from fairseq_toys import train_pieces
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from unblank.conversion.fairseq_tokenizer import (
    VocabularyFiles,
    build_tokenizer,
    find_vocabulary_files,
    name_rows,
)
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import encoder_decoder_ids

TEXTS = """The old harbour was quiet in the morning light, and nobody answered the letter.
Der alte Hafen lag still im Morgenlicht, und niemand beantwortete den Brief.
\u00c0w\u1ecdn \u1ecdm\u1ecd \u1eb9gb\u1eb9\u0301 Plaid s\u1ecd pe in\u00fa
\u1021\u101c\u102f\u1015\u1039\u101e\u1019\u102c\u1038 \u1025\u102e\u1038 \u1021\u1006\u102d\u102f
\u5c71\u5ddd \u6e7e\u306e\u671d\u306e\u5149 caf\u00e9 na\u00efve \uff21\uff22\uff23 \u2460\u00bd
Markup like <b>mask_0123456789</b>, <s>, </s> or <pad> is text [and] stays text.
\u0628\u064e\u064a\u0652\u062a \u0915\u094d\u0937\u0947\u0924\u094d\u0930 \ud55c\uad6d\uc5b4
""".splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_pieces(tmp_path_factory.mktemp("vocabulary"), TEXTS * 20, 320)


@pytest.fixture(scope="module")
def original(folder):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    lines = (folder / "dict.txt").read_text(encoding="utf-8").split("\n")
    ids = {line.rpartition(" ")[0]: 4 + row for row, line in enumerate(lines) if line}
    # The original programs: SentencePiece cuts, the dictionary numbers, all else is <unk>.
    return lambda text: [ids.get(piece, 3) for piece in pieces.encode(text, out_type=str)]


def built(folder, extra_rows=None, **options):
    files = find_vocabulary_files(folder, folder)
    tokens = files.tokens()
    full = -(-(len(tokens) + 101) // 8) * 8
    rows = name_rows(tokens, full if extra_rows is None else len(tokens) + extra_rows, **options)
    return (*build_tokenizer(files, rows), rows)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return built(folder)[0]


def test_texts_in_many_scripts_get_the_original_ids(tokenizer, original):
    for text in TEXTS:
        assert encode_texts(tokenizer, [text])[0] == original(text)
    # Decomposed and doubly marked letters, and what the table replaces.
    for text in (unicodedata.normalize("NFD", TEXTS[0] + TEXTS[4]), "  a \t b  ", "\uff21\u00a0b"):
        assert encode_texts(tokenizer, [text])[0] == original(text)


@given(
    text=st.text(alphabet="".join(sorted(set("".join(TEXTS)))) + "<>/_[]0 \t\u3000", max_size=40)
)
def test_any_text_gets_the_original_ids(text, tokenizer, original):
    if any(unicodedata.combining(char) for char in text):
        return  # marks in any order: see the module `normalization`
    assert encode_texts(tokenizer, [text])[0] == original(text)


def test_special_tokens_have_their_published_places(folder, tokenizer):
    size = len((folder / "dict.txt").read_text(encoding="utf-8").split("\n")) - 1 + 4
    ids = encoder_decoder_ids(tokenizer)
    assert (ids.cls, ids.pad, ids.eos, ids.unk, ids.mask) == (0, 1, 2, 3, size)
    assert ids.sentinels == tuple(range(size + 1, size + 101))
    assert ids.sop == ids.eos
    assert len(tokenizer) % 8 == 0
    assert tokenizer("a").input_ids[-1] == 2
    assert 0 not in tokenizer("a").input_ids
    marked = tokenizer("<mask_5> harbour <mask>", add_special_tokens=False).input_ids
    assert marked[0] == size + 6
    assert marked[-1] == size
    for text in ("<s>", "<mask_5>", "<pad> </s>"):
        assert not {*range(3), *range(size, size + 101)} & set(encode_texts(tokenizer, [text])[0])


def test_a_saved_tokenizer_opens_with_the_same_ids(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert encode_texts(opened, TEXTS) == encode_texts(tokenizer, TEXTS)
    assert encoder_decoder_ids(opened) == encoder_decoder_ids(tokenizer)
    for text in TEXTS[:2]:
        assert opened.decode(encode_texts(opened, [text])[0]) == text
    again, _ = build_tokenizer(
        VocabularyFiles(ready=tmp_path / "tokenizer.json"),
        name_rows(VocabularyFiles(ready=tmp_path / "tokenizer.json").tokens(), len(tokenizer)),
    )
    assert encode_texts(again, TEXTS) == encode_texts(tokenizer, TEXTS)


def test_language_tags_stand_behind_the_sentinels(folder):
    tokenizer, facts, rows = built(folder, tags=("__de__", "__fr__"))
    before, _, _ = built(folder)
    assert rows.num_new == 2
    assert facts["ids"]["__de__"] == len(before)
    assert tokenizer.convert_tokens_to_ids(["__de__", "__fr__"]) == [len(before), len(before) + 1]
    assert tokenizer("__fr__ harbour").input_ids[0] == len(before) + 1


@pytest.mark.parametrize(
    ("extra_rows", "options", "tail", "num_new"),
    [
        (0, {}, [], 0),
        (1, {"has_mask": True}, ["<mask>"], 0),
        (2, {"tags": ("__de__", "__fr__")}, ["__de__", "__fr__"], 0),
        (101, {}, ["<mask_98>", "<mask_99>"], 0),
        (103, {"tags": ("__de__", "__fr__")}, ["<mask_99>", "__de__", "__fr__"], 0),
        (101, {"tags": ("__de__",)}, ["<mask_99>", "__de__"], 1),
    ],
)
def test_rows_behind_the_dictionary_are_understood(extra_rows, options, tail, num_new):
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c"]
    rows = name_rows(tokens, len(tokens) + extra_rows, **options)
    assert list(rows.names[len(rows.names) - len(tail) :]) == tail
    assert rows.num_new == num_new


def test_published_row_numbers():
    tokens = [f"piece{row}" for row in range(250001)]
    rows = name_rows(tokens, 250104, tags=("__de__",))
    assert rows.ids["<mask>"] == 250001
    assert rows.sentinel_ids == list(range(250002, 250102))
    assert rows.names[250102:] == ("madeupword0000", "madeupword0001", "__de__")


def test_a_dictionary_larger_than_the_table_is_refused():
    with pytest.raises(ValueError, match=r"\b7\b.*\b6\b"):
        name_rows(["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c"], 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 5\nb\n", "line 2: .*`token count`.*'b'"),
        ("a 5\nb x\n", "line 2: .*'b x'"),
        ("a 5\na 4\n", "line 2: 'a'"),
        ("<unk> 5\n", "line 1: '<unk>'"),
        ("\n", r"dict\.txt is empty"),
        (b"a 5\nb\xa8 4\n", r"dict\.txt is not UTF-8: byte 5 is 0xa8"),
    ],
)
def test_damaged_dictionaries_are_refused_with_the_line(content, message, tmp_path):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "dict.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        find_vocabulary_files(None, tmp_path).tokens()


def test_a_dictionary_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "dict.txt").write_bytes(b"caf\xe9 5\n")
    with pytest.raises(ValueError, match=r"dict\.txt .*UTF-8"):
        find_vocabulary_files(None, tmp_path).tokens()


def test_pieces_with_strange_line_ends_stay_one_line_each(tmp_path):
    (tmp_path / "dict.txt").write_text("a\u2028 5\nb\x85c 4\n", encoding="utf-8")
    assert find_vocabulary_files(None, tmp_path).tokens()[4:] == ["a\u2028", "b\x85c"]


def test_a_tokenizer_of_other_weights_is_refused(folder, tmp_path):
    files = find_vocabulary_files(folder, folder)
    tokens = files.tokens()
    (tmp_path / "dict.txt").write_text("unheard 2\n" + "".join(f"{t} 1\n" for t in tokens[4:]))
    tokenizer, _, _ = built(folder)
    tokenizer.save_pretrained(tmp_path / "ready")
    ready = VocabularyFiles(tmp_path / "dict.txt", None, tmp_path / "ready" / "tokenizer.json")
    with pytest.raises(ValueError, match=r"'unheard'.*\b4\b"):
        build_tokenizer(ready, name_rows(ready.tokens(), len(tokenizer)))


def test_a_folder_without_vocabulary_is_refused_if_it_was_given(tmp_path):
    assert find_vocabulary_files(None, tmp_path) == VocabularyFiles()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json.*spm\.model"):
        find_vocabulary_files(tmp_path, tmp_path)
