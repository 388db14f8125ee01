"""Rebuilt tokenizers: which files are taken, which special tokens they get, what is refused."""

import json

import pytest
from transformers import AutoTokenizer

import unblank
from unblank.conversion.glm_tokenizer import build_glm_tokenizer
from unblank.conversion.vocabulary import find_vocabulary
from unblank.tokenization.encoding import decode_with_blanks, encode_with_blanks
from unblank.tokenization.special import special_ids

sentencepiece = pytest.importorskip("sentencepiece")


@pytest.fixture
def wordpiece_file(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", ".", "a"]
    path = tmp_path / "uncased-vocab.txt"
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def roberta_folder(bpe_files):
    ids = json.loads((bpe_files / "vocab.json").read_text(encoding="utf-8"))
    ids.pop("<|endoftext|>")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *ids, "<mask>"]
    (bpe_files / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    return bpe_files


@pytest.fixture
def piece_model(tmp_path):
    prefix = tmp_path / "cog-pretrain"
    corpus = ["the cat sat on the mat", "\u4e16\u754c\u4f60\u597d 123"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_prefix=str(prefix), vocab_size=60,
        hard_vocab_limit=False, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    return prefix.with_suffix(".model")


def rebuilt(path, **options):
    return build_glm_tokenizer(find_vocabulary(path), **options).tokenizer


def test_wordpiece_is_lower_case_and_has_one_mask_for_all(wordpiece_file):
    tokenizer = rebuilt(wordpiece_file)
    ids = special_ids(tokenizer)
    assert (ids.pad, ids.eos, ids.cls, ids.sep, ids.mask, ids.sop, ids.eop) == (
        0,
        0,
        2,
        3,
        4,
        11,
        12,
    )
    assert ids.smask == ids.gmask == ids.dblock == ids.mask
    encoded = tokenizer("The CATS [MASK].")["input_ids"]
    assert encoded == [5, 6, 7, 4, 9]
    assert tokenizer.decode(encoded) == "the cats [MASK] ."


def test_a_cased_vocabulary_keeps_capitals(wordpiece_file):
    with wordpiece_file.open("a", encoding="utf-8") as file:
        file.write("The\n")
    assert rebuilt(wordpiece_file)("The")["input_ids"] == [11]


def test_roberta_masks_are_the_trained_ones(roberta_folder):
    tokenizer = rebuilt(roberta_folder)
    ids = special_ids(tokenizer)
    last = len(tokenizer) - 3
    assert (ids.cls, ids.pad, ids.eos, ids.sep, ids.unk) == (0, 2, 2, 2, 3)
    assert (ids.mask, ids.sop, ids.eop, ids.gmask) == (last, last + 1, last + 2, last)
    assert tokenizer("a [MASK]")["input_ids"][-1] == last


def test_masks_take_the_space_before_them_and_text_restarts_behind(bpe_files):
    tokenizer = rebuilt(bpe_files)
    encoded = tokenizer("cat [gMASK] the")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(encoded) == ["cat", "[gMASK]", "\u0120the"]


@pytest.mark.parametrize("gmask_is_eop", [False, True])
def test_the_two_chinese_layouts(piece_model, gmask_is_eop):
    tokenizer = rebuilt(piece_model, gmask_is_eop=gmask_is_eop)
    first = len(tokenizer) - (10 if gmask_is_eop else 11)  # behind the pieces
    ids = special_ids(tokenizer)
    expected = (first, first, first + 1, first + 2, first + 3, first + 4, first + 6, first + 7)
    assert (ids.pad, ids.eos, ids.sep, ids.cls, ids.mask, ids.unk, ids.sop, ids.eop) == expected
    assert ids.smask == first + 8
    assert ids.gmask == (ids.eop if gmask_is_eop else first + 9)
    assert ids.dblock == (first + 9 if gmask_is_eop else first + 10)
    assert tokenizer("the cat [gMASK]")["input_ids"][-1] == ids.gmask
    assert tokenizer.decode([ids.gmask]) == "[gMASK]"


def test_text_behind_a_mask_is_a_text_of_its_own_in_a_chinese_model(piece_model):
    tokenizer = rebuilt(piece_model)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(piece_model))
    mask = special_ids(tokenizer).mask
    expected = [*processor.encode("\u4e16\u754c"), mask, *processor.encode("\u4f60")]
    assert tokenizer("\u4e16\u754c[MASK]\u4f60")["input_ids"] == expected
    assert encode_with_blanks(tokenizer, "\u4e16\u754c[MASK]\u4f60") == expected
    assert decode_with_blanks(tokenizer, expected) == "\u4e16\u754c [MASK]\u4f60"


def test_a_saved_tokenizer_keeps_its_ids(piece_model, wordpiece_file, bpe_files, tmp_path):
    for number, path in enumerate((piece_model, wordpiece_file, bpe_files)):
        tokenizer = rebuilt(path)
        tokenizer.save_pretrained(tmp_path / str(number))
        loaded = AutoTokenizer.from_pretrained(tmp_path / str(number))
        assert special_ids(loaded) == special_ids(tokenizer)
        text = "the cat [MASK] 12 [gMASK]"
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_a_vocabulary_beside_the_weights_is_found(glm_module, save_ranks, bpe_files, tmp_path):
    folder = save_ranks(glm_module)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((bpe_files / name).read_bytes())
    plan = unblank.convert(folder, tmp_path / "out", num_attention_heads=4).plan
    assert plan.config.eop_token_id == 301
    assert plan.config.tokenizer_size == 309


def test_a_vocabulary_of_another_size_is_refused(glm_module, save_ranks, wordpiece_file, tmp_path):
    with pytest.raises(ValueError, match=r"\b13\b.*\b128\b.*\b384\b"):
        unblank.convert(
            save_ranks(glm_module),
            tmp_path / "out",
            tokenizer=wordpiece_file,
            num_attention_heads=4,
        )
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_with_vocabulary_files_is_said(bpe_files, wordpiece_file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: .*vocab\.txt"):
        find_vocabulary(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"merges\.txt.*vocab\.txt"):
        find_vocabulary(bpe_files / "merges.txt")
    (bpe_files / "merges.txt").write_text("#version\none two three\n")
    with pytest.raises(ValueError, match=r"merge 1 .*'one two three'"):
        rebuilt(bpe_files)
    (bpe_files / "merges.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"vocab\.json.*merges\.txt"):
        find_vocabulary(bpe_files)
    (bpe_files / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="--tokenizer"):
        find_vocabulary(bpe_files)
    with pytest.raises(ValueError, match=r"\[PAD\]"):
        rebuilt(bpe_files / "vocab.txt")


@pytest.mark.parametrize("ids", ['{"a": 0, "b": "one"}', '{"a": [], "b": {}}', '{"a": 0', "[0]"])
def test_a_vocabulary_without_whole_numbers_is_named_once(bpe_files, ids):
    (bpe_files / "vocab.json").write_text(ids)
    with pytest.raises(ValueError, match=r"vocab\.json is damaged") as refused:
        rebuilt(bpe_files)
    assert str(refused.value).count("is damaged") == 1


def test_merges_that_are_not_utf8_are_named(bpe_files):
    (bpe_files / "merges.txt").write_bytes(b"caf \xe9\n")
    with pytest.raises(ValueError, match=r"merges\.txt .*UTF-8"):
        rebuilt(bpe_files)


def test_names_of_vocabulary_files_may_have_capitals(bpe_files):
    for name in ("vocab.json", "merges.txt"):
        (bpe_files / name).rename(bpe_files / name.capitalize())
    assert [path.name for path in find_vocabulary(bpe_files).files] == ["Vocab.json", "Merges.txt"]
