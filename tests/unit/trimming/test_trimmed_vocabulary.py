"""What a `tokenizer.json` keeps when tokens go: merges, fallback, ids everywhere in the file."""

import json

import numpy as np
from tokenizers import Tokenizer, models, processors

from unblank.trimming.selection import choose_by_number
from unblank.trimming.vocabulary import fallback_ids, merges_of, unknown_id, without_tokens


def bpe(merges: list[tuple[str, str]], **options) -> dict:
    joined = [left + right for left, right in merges]
    letters = sorted({letter for pair in merges for letter in "".join(pair)})
    tokens = dict.fromkeys(["<s>", "</s>", *letters, *joined])
    ids = {token: number for number, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(ids, merges, **options))
    core.add_special_tokens(["<s>", "</s>"])
    core.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return json.loads(core.to_str())


def parts_of(token: str, merges: list[tuple[str, str]]) -> set[str]:
    """Every token that any merge on the way to `token` joins, found by the strings alone."""
    found = {token}
    for left, right in merges:
        if left + right == token:
            found |= parts_of(left, merges) | parts_of(right, merges)
    return found


def test_a_kept_token_brings_the_parts_of_all_its_merges():
    merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc"), ("abc", "d"), ("c", "d")]
    content = bpe(merges)
    names = {token_id: token for token, token_id in content["model"]["vocab"].items()}
    ids = content["model"]["vocab"]
    counts = [0] * len(ids)
    counts[ids["abcd"]] = 9

    always = fallback_ids(content)
    kept = choose_by_number(np.array(counts), always, merges_of(content), len(ids))
    assert {names[i] for i in kept - always} == {
        part for part in parts_of("abcd", merges) if len(part) > 1
    }
    core = Tokenizer.from_str(json.dumps(without_tokens(content, kept)))
    assert core.encode("abcd").tokens[1:-1] == ["abcd"]
    assert core.encode("cd").tokens[1:-1] == ["c", "d"]


def test_merges_of_older_files_are_read():
    content = bpe([("a", "b"), ("ab", "c")])
    content["model"]["merges"] = ["a b", "ab c"]
    ids = content["model"]["vocab"]
    assert merges_of(content) == {
        ids["ab"]: [(ids["a"], ids["b"])],
        ids["abc"]: [(ids["ab"], ids["c"])],
    }
    kept = [token_id for token, token_id in ids.items() if token != "abc"]
    core = Tokenizer.from_str(json.dumps(without_tokens(content, kept)))
    assert core.encode("abc").tokens[1:-1] == ["ab", "c"]


def test_marks_of_a_word_end_do_not_hide_single_characters():
    content = bpe([("a", "b")], end_of_word_suffix="</w>")
    ids = content["model"]["vocab"]
    for token in ("b</w>", "ab</w>"):
        ids[token] = len(ids)
    assert ids.keys() - {"ab", "ab</w>"} == {
        t for t, i in ids.items() if i in fallback_ids(content)
    }


def test_ids_are_renumbered_in_every_part_of_the_file():
    core = Tokenizer(
        models.Unigram([("x", -1.0), ("long", -2.0), ("<unk>", 0.0), ("y", -3.0)], 2, False)
    )
    core.add_special_tokens(["[CLS]", "<unk>", "[SEP]"])
    template = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 4), ("[SEP]", 5)]
    )
    core.post_processor = processors.Sequence([template, processors.ByteLevel()])
    core.enable_padding(pad_id=5, pad_token="[SEP]")
    content = json.loads(core.to_str())
    trimmed = Tokenizer.from_str(json.dumps(without_tokens(content, {0, 2, 3, 4, 5})))
    assert trimmed.encode("x").ids == [3, 0, 4]
    assert trimmed.encode("long").ids[1:-1] == [1]
    assert trimmed.token_to_id("[SEP]") == 4
    assert trimmed.padding["pad_id"] == 4


def test_a_unigram_with_bytes_keeps_bytes_and_one_without_keeps_characters():
    pieces = [("<unk>", 0.0), ("\u2581", -2.0), ("q", -9.0), ("qu", -3.0), ("\u2581the", -1.0)]
    plain = json.loads(Tokenizer(models.Unigram(pieces, 0, False)).to_str())
    assert fallback_ids(plain) == {0, 1, 2}
    raw = [(f"<0x{byte:02X}>", -5.0) for byte in range(256)]
    spelt = json.loads(Tokenizer(models.Unigram([*pieces, *raw], 0, True)).to_str())
    assert fallback_ids(spelt) == {0, 1, 2, *range(5, 261)}  # "q" has the lowest score
    spelt["model"]["vocab"][2][1] = -2.5
    assert 2 not in fallback_ids(spelt)


def test_what_cannot_be_spelt_is_the_vocabularys_own_unknown_piece():
    added = [{"id": 3, "content": "[UNK]", "special": True}]
    unigram = {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.0]], "unk_id": 0}
    assert unknown_id({"model": unigram, "added_tokens": added}) == 0
    bpe = {"type": "BPE", "vocab": {"a": 0, "<unk>": 1}, "unk_token": "<unk>", "merges": []}
    assert unknown_id({"model": bpe, "added_tokens": added}) == 1
    assert unknown_id({"model": bpe | {"unk_token": None}, "added_tokens": added}) is None
