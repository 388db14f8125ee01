"""Which variant of a vocabulary a checkpoint was trained with, told by rows of its table."""

import json
from types import SimpleNamespace

import pytest
import torch
from tokenizers import pre_tokenizers

from unblank.conversion import sentencepiece as spm
from unblank.conversion.glm_vocabulary import fit_tokenizer
from unblank.conversion.plan import copied

PIECES = 100


def source_of(folder, settings=None):
    return SimpleNamespace(path=folder, folder=folder, settings=settings, state_dicts=[{}])


def table_of(rows, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((rows, width), generator=generator)


@pytest.fixture
def chinese(tmp_path, monkeypatch):
    """A SentencePiece vocabulary of a hundred pieces, without training one."""
    pieces = [("<unk>", 0.0, spm.UNKNOWN), ("\u2581", -1.0, spm.NORMAL)]
    pieces += [(chr(0x4E00 + number), -2.0, spm.NORMAL) for number in range(PIECES - 2)]
    read = spm.SentencePieces(pieces, False, b"", True, True, " ? ", False)
    for module in ("glm_tokenizer", "glm_vocabulary"):
        monkeypatch.setattr(f"unblank.conversion.{module}.read_sentencepiece", lambda _: read)
    (tmp_path / "cog-pretrain.model").touch()
    return tmp_path


def fitted(folder, table, settings=None):
    planned = copied("model.embed_tokens.weight", "word_embeddings.weight", table)
    return fit_tokenizer(source_of(folder, settings), None, planned)


def test_the_ten_billion_chinese_model_shares_one_id_as_trained(chinese):
    fit = fitted(chinese, table_of(128, 4096))
    assert fit.fields["gmask_token_id"] == fit.fields["eop_token_id"] == PIECES + 7
    assert any("are both 107" in trap for trap in fit.traps)


def test_a_row_copied_by_the_port_is_its_own_id(chinese):
    table = table_of(128, 4096)
    table[PIECES + 9] = table[PIECES + 7]
    fit = fitted(chinese, table)
    assert fit.fields["gmask_token_id"] == PIECES + 9
    assert fit.fields["eop_token_id"] == PIECES + 7


def test_the_smaller_chinese_model_has_an_id_for_each(chinese):
    fit = fitted(chinese, table_of(128, 1024))
    assert fit.fields["gmask_token_id"] == PIECES + 9


@pytest.mark.parametrize(("is_copied", "word"), [(True, "a copy of it"), (False, "never trained")])
def test_the_mask_row_of_the_roberta_port_is_looked_at(tmp_path, is_copied, word):
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    ids = {token: number for number, token in enumerate([*tokens, "<mask>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    table = table_of(384, 8)
    mask = ids["<mask>"]
    if is_copied:
        table[mask + 3] = table[mask]
    fit = fitted(tmp_path, table, settings={"num_layers": 2})
    assert fit.fields["mask_token_id"] == mask
    assert any(word in trap for trap in fit.traps)


def test_a_vocabulary_that_is_given_must_exist(tmp_path):
    planned = copied("t", "t", table_of(128, 8))
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt.*merges\.txt"):
        fit_tokenizer(source_of(tmp_path), tmp_path, planned)
    assert fit_tokenizer(source_of(tmp_path), None, planned) is None
