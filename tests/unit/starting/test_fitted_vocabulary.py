"""A model and a tokenizer that is not its own: told apart by content, rows that follow tokens."""

import json
import shutil
import warnings
from functools import cache
from pydoc_data.topics import topics

import pytest
import torch
from transformers import AutoTokenizer

from unblank.engine.logging import Display
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.families.table import family_of_run
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.vocabulary_rows import replace_rows
from unblank.starting.model import build_model
from unblank.starting.tokenizer import open_tokenizer
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.identity import vocabulary_differences
from unblank.tokenization.train import train_tokenizer

TEXTS = list(topics.values())[:12]
OWN, OTHER = TEXTS[:6], TEXTS[6:]
PRESETS = ("tiny", "electra-tiny", "deltalm-tiny", "ganlm-tiny")
KINDS = ("wordpiece", "bpe", "unigram")


def trained(corpus, kind, size):
    with warnings.catch_warnings(action="ignore"):  # the text is smaller than the vocabulary
        return train_tokenizer(
            corpus, kind=kind, vocab_size=size, num_sentinels=20, show_progress=False
        )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two tokenizers of each kind, of the same size and of different text."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for kind, size in zip(KINDS, (500, 500, 700), strict=True):
        for name, corpus in (("own", OWN), ("other", OTHER)):
            trained(corpus, kind, size).save_pretrained(folder / f"{name}-{kind}")
    return folder


def opened(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_the_same_and_another_vocabulary_of_the_same_size_is_not(folders, kind, tmp_path):
    own, other = (opened(folders / f"{name}-{kind}") for name in ("own", "other"))
    assert len(own) == len(other)
    assert vocabulary_differences(own, own) == []
    own.save_pretrained(tmp_path)
    assert vocabulary_differences(opened(tmp_path), own) == []
    (first, *_) = vocabulary_differences(other, own)
    assert "tokens have another id" in first


@pytest.mark.parametrize(
    ("kind", "part", "change", "named"),
    [
        ("unigram", "normalizer", {"type": "NFC"}, "another normalizer"),
        ("bpe", "pre_tokenizer", {"type": "Whitespace"}, "another pre-tokenizer"),
        ("wordpiece", "decoder", None, "another decoder"),
        ("bpe", "model", "merges", "other merges or scores of tokens"),
        ("unigram", "model", "vocab", "other merges or scores of tokens"),
    ],
)
def test_every_part_that_decides_ids_is_compared(folders, tmp_path, kind, part, change, named):
    shutil.copytree(folders / f"own-{kind}", tmp_path / "changed")
    path = tmp_path / "changed" / "tokenizer.json"
    content = json.loads(path.read_text())
    if change == "merges":
        content[part][change] = content[part][change][:-1]
    elif change == "vocab":
        content[part][change][-1][1] -= 0.5
    else:
        content[part] = change
    path.write_text(json.dumps(content))
    found = vocabulary_differences(opened(tmp_path / "changed"), opened(folders / f"own-{kind}"))
    assert found == [named]


def test_another_special_token_is_a_difference(folders):
    own, changed = (opened(folders / "own-bpe") for _ in range(2))
    changed.mask_token = "[gMASK]"
    assert vocabulary_differences(changed, own) == ["other special tokens (mask_token)"]


class World:
    is_main = True


def tokenizer_of(model, settings, folder):
    return open_tokenizer(
        model,
        settings,
        family_of_run(model),
        lambda: OWN,
        folder=folder,
        world=World(),
        checkpoint=None,
        display=Display(total_steps=1, is_terminal=False),
    )


@pytest.fixture(scope="module")
def existing_of(folders, tmp_path_factory):
    """Return a function: preset -> the settings of a model that exists, its tokenizer beside it."""

    @cache
    def saved(preset):
        folder, own = tmp_path_factory.mktemp("model"), opened(folders / "own-wordpiece")
        layers = None if preset.startswith("ganlm") else 2
        new = ModelSettings(preset=preset, num_hidden_layers=layers)
        build_model(new, own, max_length=64, seed=0).save_pretrained(folder)
        own.save_pretrained(folder)
        return ModelSettings(init_from=folder)

    return saved


@pytest.fixture(params=PRESETS)
def existing(request, existing_of):
    return existing_of(request.param)


def tables(model):
    found = dict(model.named_parameters())
    return {name: found[name] for name in found if name.endswith("embed_tokens.weight")}


def test_a_foreign_tokenizer_of_the_same_size_is_refused(existing, folders, tmp_path):
    settings = TokenizerSettings(path=folders / "other-wordpiece")
    with pytest.raises(ValueError, match=r"--tokenizer\.transfer-rows"):
        tokenizer_of(existing, settings, tmp_path)
    copy = shutil.copytree(existing.init_from, tmp_path / "copy")
    assert tokenizer_of(existing, TokenizerSettings(path=copy), tmp_path)


@pytest.mark.parametrize(
    ("preset", "kind"),
    [*((preset, "wordpiece") for preset in PRESETS), ("tiny", "bpe"), ("deltalm-tiny", "unigram")],
)
def test_rows_follow_their_tokens_into_another_vocabulary(
    existing_of, folders, tmp_path, capsys, preset, kind
):
    existing = existing_of(preset)
    settings = TokenizerSettings(path=folders / f"other-{kind}", transfer_rows=True)
    tokenizer = tokenizer_of(existing, settings, tmp_path)
    shown = capsys.readouterr().out
    own = opened(existing.init_from)
    before = build_model(existing, own, max_length=64, seed=0)
    model = build_model(existing, tokenizer, max_length=64, seed=0)
    assert model.config.tokenizer_size == len(tokenizer)
    old, new = (one.get_input_embeddings().weight for one in (before, model))
    assert len(new) == model.config.vocab_size >= len(tokenizer)
    family = family_of_run(existing)
    ids, old_ids = family.special_ids(tokenizer), family.special_ids(own)
    for role in ("pad", "cls", "mask", "eop"):
        assert torch.equal(new[getattr(ids, role)], old[getattr(old_ids, role)])
    assert model.config.mask_token_id == ids.mask
    if kind != "unigram":  # it writes a space before "the", as wordpiece does, and others do not
        (the,), (own_the,) = (encode_texts(one, [" the"])[0] for one in (tokenizer, own))
        assert torch.equal(new[the], old[own_the])
    if kind == "wordpiece":
        word = next(t for t in tokenizer.get_vocab() if t.isalpha() and t not in own.get_vocab())
        pieces = encode_texts(own, [word])[0]
        assert len(pieces) > 1
        mean = old[pieces].double().mean(0).float()
        torch.testing.assert_close(new[tokenizer.get_vocab()[word]], mean)
    assert "the same token" in shown
    for parameter in model.parameters():
        assert torch.isfinite(parameter).all()
    model.save_pretrained(tmp_path / "after")
    tokenizer.save_pretrained(tmp_path / "after")
    again = build_model(
        ModelSettings(init_from=tmp_path / "after"), tokenizer, max_length=64, seed=1
    )
    assert all(map(torch.equal, model.parameters(), again.parameters()))


@pytest.mark.parametrize(("preset", "count"), [*((preset, 80) for preset in PRESETS), ("tiny", 1)])
def test_extra_tokens_of_an_existing_model_get_rows(existing_of, tmp_path, capsys, preset, count):
    existing = existing_of(preset)
    extra = tuple(f"__x{number}__" for number in range(count))
    tokenizer = tokenizer_of(existing, TokenizerSettings(extra_tokens=extra), tmp_path)
    assert f"added {count} extra token" in capsys.readouterr().out
    own = opened(existing.init_from)
    before = build_model(existing, own, max_length=64, seed=0)
    model = build_model(existing, tokenizer, max_length=64, seed=0)
    assert model.config.tokenizer_size == len(own) + count
    for name, table in tables(before).items():
        assert torch.equal(tables(model)[name][: len(own)], table[: len(own)])
    new = model.get_input_embeddings().weight[len(own) : len(own) + count]
    mean = before.get_input_embeddings().weight[: len(own)].mean(0)
    assert (new - mean).std() < 3 * model.config.initializer_range
    assert len(torch.unique(new, dim=0)) == count


@pytest.mark.parametrize("extra", [("",), (" ",), ("[A]", "[A]"), ("[A]", "the"), ("\ud83d",)])
def test_extra_tokens_that_are_none_are_refused(existing_of, tmp_path, extra):
    with pytest.raises(ValueError, match="token") as caught:
        tokenizer_of(existing_of("tiny"), TokenizerSettings(extra_tokens=extra), tmp_path)
    assert repr(extra[-1]) in str(caught.value)


def test_extra_tokens_that_are_special_already_stay_as_they_are(existing_of, tmp_path, capsys):
    settings = TokenizerSettings(extra_tokens=("[MASK]", "[A]"))
    tokenizer = tokenizer_of(existing_of("tiny"), settings, tmp_path)
    assert "added 1 extra token to" in capsys.readouterr().out
    assert tokenizer.convert_ids_to_tokens(len(tokenizer) - 1) == "[A]"
    own = opened(existing_of("tiny").init_from).added_tokens_decoder
    assert all(tokenizer.added_tokens_decoder[token_id] == token for token_id, token in own.items())


def test_a_transfer_without_two_vocabularies_is_refused(existing, tmp_path, folders):
    path = folders / "other-bpe"
    for model, settings in (
        (existing, TokenizerSettings(transfer_rows=True)),
        (ModelSettings(preset="tiny"), TokenizerSettings(path=path, transfer_rows=True)),
    ):
        with pytest.raises(ValueError, match=r"tokenizer\.transfer_rows.*tokenizer\.path"):
            tokenizer_of(model, settings, tmp_path)


def test_heads_that_are_not_tied_and_their_biases_change_with_the_embeddings():
    config = GlmInfillConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = GlmInfillForConditionalGeneration(config)
    model.lm_head.bias = torch.nn.Parameter(torch.randn(12))
    model.lm_head.weight = torch.nn.Parameter(torch.randn(12, 8))
    before = {name: value.clone() for name, value in model.named_parameters()}
    replace_rows(model, [(3,), (0, 1), ()], 4, 10)
    for name in ("model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"):
        old, new = before[name], dict(model.named_parameters())[name]
        mean = old[:10].mean(0)
        torch.testing.assert_close(new, torch.stack([old[3], old[:2].mean(0), mean, mean]))
    assert model.config.vocab_size == model.lm_head.out_features == 4
