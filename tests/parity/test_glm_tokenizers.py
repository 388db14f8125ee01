"""The ids of GLM's command tokens, as the original program printed them.

The published vocabularies are not in this repository. Vocabularies of the same size and order, made
here, show the ids of the commands; where `$UNBLANK_VOCABULARIES` names a folder with the published
files (their sums are in the fixture), the recorded texts are encoded and decoded with them as well.
"""

import hashlib
import json
import os
from pathlib import Path

import pytest
from recordings import read_json
from tokenizers import pre_tokenizers

from unblank.conversion import sentencepiece as spm
from unblank.conversion.glm_tokenizer import build_glm_tokenizer
from unblank.conversion.vocabulary import PublishedVocabulary, find_vocabulary
from unblank.tokenization.special import special_ids

ROLES = {
    "pad": "pad", "eos": "eos", "sep": "sep", "ENC": "cls", "MASK": "mask", "unk": "unk",
    "sop": "sop", "eop": "eop", "sMASK": "smask", "gMASK": "gmask", "dBLOCK": "dblock",
}  # fmt: skip
FILES = {
    "bert": ("vocab.txt",), "gpt2": ("gpt2-vocab.json", "gpt2-merges.txt"),
    "roberta": ("roberta-vocab.json", "roberta-merges.txt"), "chinese": (".model",),
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded(best_dir):
    return read_json(best_dir / "glm_tokenizers" / "tokenizers.json")


def kind_of(entry):
    """Which of the four vocabularies an entry is built on."""
    name = entry["name"].lower()
    signs = {"chinese": "chinese", "wordpiece": "bert", "roberta": "roberta", "gpt2": "gpt2"}
    for sign, kind in signs.items():  # RoBERTa's is named after both BPE vocabularies
        if sign in name:
            return kind
    return pytest.skip(f"a tokenizer of a kind not known here: {entry['name']}")


def gmask_is_eop(entry):
    commands = entry["commands"]
    return "gMASK" in commands and commands["gMASK"][1] == commands["eop"][1]


def made_up(entry, folder, monkeypatch):
    """A vocabulary whose special tokens stand where the published one has them."""
    kind, ids = kind_of(entry), {name: pair[1] for name, pair in entry["commands"].items()}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if kind == "chinese":
        pieces = [("<unk>", 0.0, spm.UNKNOWN)]
        pieces += [(f"piece{number}", -1.0, spm.NORMAL) for number in range(1, ids["pad"])]
        read = spm.SentencePieces(pieces, False, b"", True, True, " ? ", False)
        monkeypatch.setattr("unblank.conversion.glm_tokenizer.read_sentencepiece", lambda _: read)
        return PublishedVocabulary("sentencepiece", (folder / "made-up.model",))
    first = min(ids["sop"], ids["eop"])
    tokens = [f"filler{number}" for number in range(first)]
    if kind == "bert":
        for name in ("pad", "ENC", "sep", "MASK", "unk"):
            tokens[ids[name]] = entry["commands"][name][0]
        (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
        return find_vocabulary(folder / "vocab.txt")
    tokens[4 : 4 + len(alphabet)] = alphabet  # RoBERTa has four special tokens before
    named = {"gpt2": {"<|endoftext|>": "pad"}}.get(
        kind, {"<s>": "ENC", "</s>": "eos", "<unk>": "unk", "<mask>": "MASK"}
    )
    for token, name in named.items():
        tokens[ids[name]] = token
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return find_vocabulary(folder)


def test_command_tokens_have_the_recorded_ids(recorded, tmp_path, monkeypatch):
    for number, entry in enumerate(recorded["tokenizers"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        vocabulary = made_up(entry, folder, monkeypatch)
        tokenizer = build_glm_tokenizer(vocabulary, gmask_is_eop=gmask_is_eop(entry)).tokenizer
        ids = special_ids(tokenizer)
        for name, (token, token_id) in entry["commands"].items():
            assert getattr(ids, ROLES[name]) == token_id, (entry["name"], name)
            if name in ("MASK", "sMASK", "gMASK", "ENC", "sop", "eop"):
                assert tokenizer(token)["input_ids"] == [token_id], (entry["name"], token)
        without = 0 if "dBLOCK" in entry["commands"] or ids.dblock == ids.mask else 1
        assert len(tokenizer) - without == entry["num_tokens"], entry["name"]
        assert -(-len(tokenizer) // 128) * 128 == entry["padded_to_multiple_of_128"]


def published(recorded, kind):
    """The published files of a kind, by their sums; skip where the folder lacks them."""
    folder = os.environ.get("UNBLANK_VOCABULARIES")
    if folder is None:
        pytest.skip("UNBLANK_VOCABULARIES does not name a folder with the published vocabularies")
    sums = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path
        for path in Path(folder).rglob("*")
        if path.is_file()
    }
    wanted = {
        name: total
        for name, total in recorded["vocabulary_files_sha256"].items()
        if name.endswith(FILES[kind])
    }
    missing = [name for name, total in wanted.items() if total not in sums]
    if missing:
        pytest.skip(f"{folder} lacks {', '.join(missing)}")
    order = {name.rpartition(".")[2]: sums[total] for name, total in wanted.items()}
    if kind in ("gpt2", "roberta"):
        return PublishedVocabulary("bpe", (order["json"], order["txt"]))
    return find_vocabulary(next(iter(order.values())))


@pytest.mark.parametrize("kind", FILES)
def test_recorded_texts_have_the_recorded_ids(recorded, kind):
    entries = [entry for entry in recorded["tokenizers"] if kind_of(entry) == kind]
    if not entries:
        pytest.skip(f"no {kind} tokenizer is recorded here")
    vocabulary = published(recorded, kind)
    for entry in entries:
        tokenizer = build_glm_tokenizer(vocabulary, gmask_is_eop=gmask_is_eop(entry)).tokenizer
        for example in entry["examples"]:
            ids = tokenizer(example["text"], add_special_tokens=False)["input_ids"]
            assert ids == example["ids"], (entry["name"], example["text"])
            assert tokenizer.decode(ids) == example["decoded"], (entry["name"], example["text"])


def test_commands_of_the_recorded_models_follow_from_their_vocabulary(
    fixtures_dir, tmp_path, monkeypatch
):
    """The toy models have GPT-2's order (GLM) and the Chinese one (MultiGLM)."""
    for number, name in enumerate(("glm", "multiglm")):
        path = fixtures_dir / name / "config.json"
        if not path.is_file():
            continue
        sizes = read_json(path)
        special = sizes["special_tokens"]
        if special.keys() != ROLES.keys():
            continue  # no published vocabulary has these commands only
        kind = {"glm": "gpt2", "multiglm": "chinese"}[name]
        entry = {"name": kind, "commands": {role: ["", i] for role, i in special.items()}}
        folder = tmp_path / str(number)
        folder.mkdir()
        found = made_up(entry, folder, monkeypatch)
        tokenizer = build_glm_tokenizer(found).tokenizer
        ids = special_ids(tokenizer)
        assert {role: getattr(ids, ROLES[role]) for role in special} == special
        assert len(tokenizer) == sizes["vocab_unpadded"]
