"""Small files and texts that would cost hours or all memory: each is refused by name, at once."""

import json
import time
import warnings

import pytest
import torch
from tiny_models import small_tokenizer, tiny_unblank
from tokenizers import Regex, pre_tokenizers

from unblank.conversion.torch_files import read_torch_file
from unblank.data.records import read_records
from unblank.prompting.yaml_lines import build_from_yaml
from unblank.settings.recipes import read_mapping
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fewest import fewest_tokens
from unblank.tokenization.long_words import LONGEST_WORD, with_words_divided
from unblank.tokenization.train import train_tokenizer
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.opening import tokenizer_in
from unblank.untrusted.text_patterns import refuse_costly_patterns


def aliases(template: str, first: str) -> str:
    """Return YAML in which every anchor holds the one before it several times."""
    lines = [first]
    for before, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True):
        lines.append(template.format(before=before, name=name))
    return "\n".join(lines) + "\n"


COSTLY_YAML = {
    "aliases": aliases(
        "{name}: &{name} [*{before}, *{before}, *{before}, *{before}]", "a: &a [x, x]"
    ),
    "merges": aliases(
        "{name}: &{name} {{<<: [*{before}, *{before}, *{before}], z: 1}}", "a: &a {x: 1}"
    ),
    "itself": "a: &a [*a]",
    "brackets": "[" * 3000,
    "braces": "{a: " * 3000,
    "dashes": "- " * 3000 + "x",
    "keys": "? " * 3000 + "x",
    "indents": "\n".join(" " * level + "k:" for level in range(200)),
    "size": "a: x\n" + "#" * 2**20,
    "wide": "[" + "x, " * 200_000 + "]",
}


def task_file(path):
    return build_from_yaml(path, lambda _, content: content)


@pytest.mark.parametrize("read", [read_mapping, task_file])
@pytest.mark.parametrize("kind", COSTLY_YAML)
def test_costly_yaml_is_refused_at_once(tmp_path, kind, read):
    path = tmp_path / "costly.yaml"
    path.write_text(COSTLY_YAML[kind], encoding="utf-8")
    start = time.process_time()
    with pytest.raises(ValueError, match=r"costly\.yaml") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5


def test_a_number_in_base_60_that_would_take_minutes_is_a_text(tmp_path):
    path = tmp_path / "number.yaml"
    path.write_text("a: " + "1:" * 100_000 + "1", encoding="utf-8")
    assert isinstance(read_mapping(path)["a"], str)


def test_an_alias_that_is_not_a_bomb_is_read(tmp_path):
    path = tmp_path / "shared.yaml"
    path.write_text("base: &base {x: 1}\nmore: {<<: *base, y: 2}\n", encoding="utf-8")
    assert read_mapping(path) == {"base": {"x": 1}, "more": {"x": 1, "y": 2}}


def test_a_key_of_a_recipe_occurs_once(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("model:\n  preset: a\nmodel:\n  preset: b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"twice\.yaml, line 3: 'model'"):
        read_mapping(path)


@pytest.mark.parametrize("opening", ["[", '{"a": '])
def test_json_of_brackets_alone_is_damaged(tmp_path, opening):
    path = tmp_path / "config.json"
    path.write_text(opening * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json"):
        read_json_object(path)


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "1" * 100_000])
def test_a_whole_number_without_end_is_refused_in_our_words(tmp_path, digits):
    for path in (tmp_path / "config.json", tmp_path / "a.jsonl"):
        path.write_text(f'{{"text": {digits}}}', encoding="utf-8")
        with pytest.raises(ValueError, match=rf"{path.name}.* more than 4,300 digits") as caught:
            read_json_object(path) if path.suffix == ".json" else list(read_records(path))
        assert "sys." not in str(caught.value)


@pytest.mark.parametrize("content", [b"[1]", b"\xff\xfe", b"{", b'{"a": 1} x'])
def test_json_that_is_no_object_is_damaged(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        read_json_object(path)


def test_an_object_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert read_json_object(path) == {"a": 1}


COSTLY_PICKLES = {
    "marks": b"(" * 5_000_000,
    "a key of tuples": b"\x80\x02}N" + b"\x85" * 500_000 + b"Ns.",
    "tuples between other things": b"\x80\x02}N" + b"\x85N0" * 200_000 + b"Ns.",
    "tuples from the memo": b"\x80\x02Nq\x00" + b"h\x00\x85q\x00" * 100_000 + b".",
    "lists in lists": b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".",
    "a text of 2**60 bytes": b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"x",
}


@pytest.mark.parametrize("kind", COSTLY_PICKLES)
def test_a_costly_pickle_is_refused_before_it_is_read(tmp_path, kind):
    path = tmp_path / "model.pt"
    path.write_bytes(COSTLY_PICKLES[kind])
    start = time.process_time()
    with pytest.raises(ValueError, match=r"model\.pt"):
        read_torch_file(path)
    assert time.process_time() - start < 15


@pytest.mark.parametrize("step", [b"]", b"K\x01"], ids=["lists", "numbers"])
def test_a_pickle_of_too_many_steps_is_read_no_further(tmp_path, monkeypatch, step):
    monkeypatch.setattr("unblank.untrusted.pickle_bounds._MOST_OPCODES", 50_000)
    path = tmp_path / "model.pt"
    path.write_bytes(step * 3_000_000)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"model\.pt .*50,000 steps"):
        read_torch_file(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_many_tensors_is_within_the_bounds(tmp_path, is_zip):
    path = tmp_path / "model.pt"
    tensors = {f"layers.{number}.weight": torch.zeros(3) for number in range(2000)}
    content = {"model": tensors, "args": {"a": [1, {"b": (2, 3)}]}}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert len(read_torch_file(path)["model"]) == 2000


@pytest.fixture(scope="module", params=["bpe", "unigram", "wordpiece"])
def tokenizer(request):
    words = "the old grey cat sat on a warm mat and saw one small dog run to some far house. "
    with warnings.catch_warnings(action="ignore"):
        return train_tokenizer(
            [words] * 20, kind=request.param, vocab_size=900, show_progress=False
        )


@pytest.mark.parametrize(
    "piece", ["the cat ", "x", " ", "\u00e9", "e\u0301", "\u4e2d", "\U0001f600", "\0", "\ufb01"]
)
def test_no_text_has_fewer_tokens_than_the_fewest(tokenizer, piece):
    text = piece * 60_000
    assert fewest_tokens(tokenizer, text) <= len(encode_texts(tokenizer, [text])[0])


@pytest.mark.parametrize("text", ["the [MASK] " + "word " * 400_000, "[MASK]" + "x" * 2_000_000])
def test_a_text_without_end_is_refused_before_it_is_tokenised(text, monkeypatch):
    given = tiny_unblank("bpe")
    called = []
    monkeypatch.setattr("unblank.generation.prompts.encode_with_blanks", called.append)
    with pytest.raises(ValueError, match=r"\b64\b"):
        given.fill(text)
    assert not called


def test_a_word_without_end_is_divided_for_training():
    text = "before " + "x" * (2 * LONGEST_WORD + 5) + " after"
    with pytest.warns(UserWarning, match="10,000"):
        pieces = list(with_words_divided(["short", text]))
    assert "".join(pieces) == "short" + text
    assert max(map(len, pieces)) == LONGEST_WORD


def test_a_pattern_that_explodes_is_an_error_that_says_so():
    tokenizer = tiny_unblank("bpe").tokenizer
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"(x+x+)+y"), behavior="isolated"
    )
    with pytest.raises(ValueError, match="the tokenizer cannot read this text"):
        encode_texts(tokenizer, ["x" * 60])


COSTLY_PATTERNS = [
    r"(x+x+)+y",
    r"(\w+)+\d",
    r"[a-z ]+foo",
    r"(a|aa)+$",
    r"\s+\s+\s+x",
    r"(\w|\s)+z",
]
USUAL_PATTERNS = [
    r"\s+",
    r" {2,}",
    r"\s+$",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]


def saved_with(tmp_path, part, value):
    tiny_unblank("bpe").tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}), encoding="utf-8")
    return path


def divided_by(pattern):
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


@pytest.mark.parametrize("pattern", COSTLY_PATTERNS)
def test_a_tokenizer_with_a_costly_pattern_is_not_opened(tmp_path, pattern, capfd):
    saved_with(tmp_path, "pre_tokenizer", divided_by(pattern))
    start = time.process_time()
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        tokenizer_in(tmp_path)
    assert time.process_time() - start < 30
    assert not capfd.readouterr().err  # of the library that panics


@pytest.mark.parametrize("pattern", USUAL_PATTERNS)
def test_usual_patterns_of_tokenizers_are_no_cost(tmp_path, pattern):
    refuse_costly_patterns(saved_with(tmp_path, "pre_tokenizer", divided_by(pattern)))


def test_a_tokenizer_that_lets_texts_grow_without_bound_is_not_opened(tmp_path):
    doubling = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    saved_with(tmp_path, "normalizer", {"type": "Sequence", "normalizers": [doubling] * 40})
    with pytest.raises(ValueError, match="1,099,511,627,776"):
        tokenizer_in(tmp_path)


@pytest.mark.parametrize("text", ["\u4e2d" * 60_000, "=-" * 30_000, "x y " * 20_000])
def test_a_long_text_is_known_to_be_long_where_words_may_be_unknown(text):
    tokenizer = small_tokenizer("wordpiece")
    known = fewest_tokens(tokenizer, text)
    assert 10_000 < known <= len(tokenizer.encode(text, add_special_tokens=False))
    assert fewest_tokens(tokenizer, "x" * 60_000) == 0  # a word, and one token
