"""Trimming drops rows and tokens and nothing else: tokens, outputs and ids stay what they were."""

import json
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.testing import assert_close
from transformers import AutoTokenizer

from unblank import models
from unblank.cli import main
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import encoder_decoder_ids, special_ids
from unblank.tokenization.train import train_tokenizer
from unblank.trimming.trim import trim_model

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

SENTENCE = """harbour morning the a of and light quiet letter answer river stone window children
winter bread silver garden under over between running walked \u00e9t\u00e9 stra\u00dfe
\u5c71\u5ddd"""
WORDS = SENTENCE.split()
SHAPE = {"hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64}
STACKS = SHAPE | {"encoder_layers": 2, "decoder_layers": 1}


@pytest.fixture(scope="module", autouse=True)
def few_compared():
    """Compare the outputs on a few texts, at the end of each trimming: the models are tiny."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unblank.trimming.trim.NUM_COMPARED", 4)
        yield


def texts_of(words: list[str], seed: int, count: int = 40) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=draw.randint(3, 12))) + "." for _ in range(count)]


TRAINING_TEXTS = texts_of(WORDS, seed=0, count=300)
CORPUS = texts_of(WORDS[:12], seed=1)


@pytest.fixture(scope="module", params=["wordpiece", "unigram", "bpe"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizers() -> dict:
    sizes = {"wordpiece": 420, "unigram": 700, "bpe": 460}
    return {
        kind: train_tokenizer(
            TRAINING_TEXTS, kind=kind, vocab_size=size, num_sentinels=3, show_progress=False
        )
        for kind, size in sizes.items()
    }


def build(family: str, tokenizer):
    torch.manual_seed(1)
    size = len(tokenizer)
    rows = {"vocab_size": size + 5, "tokenizer_size": size}
    if family in ("glm", "electra"):
        ids = special_ids(tokenizer)
        roles = ("pad", "eos", "cls", "sep", "unk", "mask", "smask", "gmask", "sop", "eop")
        fields = rows | {f"{role}_token_id": getattr(ids, role) for role in roles}
        fields |= SHAPE | {"num_hidden_layers": 2, "initializer_range": 0.2}
        if family == "glm":
            config = models.GlmInfillConfig(**fields, dblock_token_id=ids.dblock)
            return models.GlmInfillForConditionalGeneration(config)
        return models.ElectraInfillForPreTraining(
            models.ElectraInfillConfig(**fields, generator_layers=1)
        )
    ids = encoder_decoder_ids(tokenizer)
    fields = rows | STACKS | {
        "pad_token_id": ids.pad, "bos_token_id": ids.cls, "eos_token_id": ids.eos,
        "decoder_start_token_id": ids.sop, "mask_token_id": ids.mask, "unk_token_id": ids.unk,
        "initializer_range": 0.2,
    }  # fmt: skip
    if family == "deltalm":
        return models.DeltaLMForConditionalGeneration(
            models.DeltaLMConfig(**fields, interleaved_decoder=True)
        )
    return models.GanLMForPreTraining(
        models.GanLMConfig(
            **fields, discriminator_layers=1, relative_bias_buckets=8, first_special_id=size,
            sentinel_token_ids=[ids.mask, *ids.sentinels],
        )
    )  # fmt: skip


def save(family: str, tokenizer, folder, **options):
    build(family, tokenizer).save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    return folder


def opened(folder):
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(models, name).from_pretrained(folder).eval()


def outputs(model, family: str, ids: list[int]) -> list[torch.Tensor]:
    row = torch.tensor([ids])
    with torch.no_grad():
        if family == "glm":
            return [model(row).logits]
        if family == "electra":
            guessed = model.lm_head(model.generator(row).last_hidden_state)
            return [guessed, model.head(model.model(row).last_hidden_state)]
        return [model(row, decoder_input_ids=row).logits]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        *((family, "bpe") for family in ("glm", "electra", "deltalm", "ganlm")),
        ("glm", "wordpiece"),
        ("deltalm", "unigram"),
    ],
)
def test_outputs_over_kept_tokens_stay_equal_on_kept_text(family, kind, tokenizers, tmp_path):
    source = save(family, tokenizers[kind], tmp_path / "before")
    report = trim_model(source, tmp_path / "after", CORPUS, coverage=1.0)
    before = AutoTokenizer.from_pretrained(source)
    after = AutoTokenizer.from_pretrained(tmp_path / "after")
    assert len(after) == report.tokens[1] < report.tokens[0] == len(before)
    assert report.coverage == 1
    assert report.passages_changed == 0
    kept = before.convert_tokens_to_ids(after.convert_ids_to_tokens(list(range(len(after)))))
    large, small = opened(source), opened(tmp_path / "after")
    for text in CORPUS[:5]:
        old, new = encode_texts(before, [text])[0], encode_texts(after, [text])[0]
        assert [kept[token_id] for token_id in new] == old
        expected = outputs(large, family, old)
        for ours, theirs in zip(outputs(small, family, new), expected, strict=True):
            if theirs.shape[-1] > 2:
                ours, theirs = ours[..., : len(after)], theirs[..., kept]
            assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["glm", "ganlm"])
def test_special_tokens_and_their_ids_in_the_configuration_survive(
    family, kind, tokenizers, tmp_path
):
    source = save(family, tokenizers[kind], tmp_path / "before")
    trim_model(source, tmp_path / "after", CORPUS, coverage=0.5)
    before = AutoTokenizer.from_pretrained(source)
    after = AutoTokenizer.from_pretrained(tmp_path / "after")
    old = json.loads((source / "config.json").read_text())
    new = json.loads((tmp_path / "after" / "config.json").read_text())
    assert new["tokenizer_size"] == len(after)
    assert new["vocab_size"] % 64 == 0
    named = [name for name in old if name.endswith("_token_id") and old[name] is not None]
    assert len(named) >= 6
    for name in named:
        assert after.convert_ids_to_tokens(new[name]) == before.convert_ids_to_tokens(old[name])
    ids, expected = special_ids(after), special_ids(before)
    for role in ("pad", "sop", "eop", "gmask", "dblock"):
        assert after.convert_ids_to_tokens(getattr(ids, role)) == before.convert_ids_to_tokens(
            getattr(expected, role)
        )
    assert len(ids.sentinels) == len(expected.sentinels) == 3
    if family == "ganlm":
        assert new["first_special_id"] == len(after)
        assert new["sentinel_token_ids"] == [ids.mask, *ids.sentinels]
    generation = json.loads((tmp_path / "after" / "generation_config.json").read_text())
    assert generation["pad_token_id"] == ids.pad


@given(data=st.data())
def test_any_text_of_kept_tokens_is_cut_as_before(data, tokenizers):
    kind = data.draw(st.sampled_from(["wordpiece", "unigram", "bpe"]))
    before, after, kept = trimmed_tokenizers(kind, tokenizers)
    words = st.sampled_from(WORDS) | st.text("abehrotuy ", max_size=6)
    text = " ".join(data.draw(st.lists(words, max_size=8)))
    old = encode_texts(before, [text])[0]
    if before.unk_token_id in old or not set(old) <= set(kept):
        return
    assert [kept[token_id] for token_id in encode_texts(after, [text])[0]] == old


TRIMMED: dict = {}


def trimmed_tokenizers(kind: str, tokenizers: dict):
    """Trim once a kind: the tokenizer before, the one after, and the old id of each new one."""
    if kind not in TRIMMED:
        from transformers import PreTrainedTokenizerFast

        from unblank.tokenization.encoding import text_encoder
        from unblank.trimming.selection import choose_by_coverage, count_tokens
        from unblank.trimming.vocabulary import fallback_ids, merges_of, without_tokens

        before = tokenizers[kind]
        content = json.loads(before.backend_tokenizer.to_str())
        counts = count_tokens(CORPUS[:10], text_encoder(before), len(before)).counts
        merges = merges_of(content)
        kept = sorted(choose_by_coverage(counts, fallback_ids(content), merges, 0.7))
        core = before.backend_tokenizer.from_str(json.dumps(without_tokens(content, kept)))
        after = PreTrainedTokenizerFast(tokenizer_object=core)
        TRIMMED[kind] = before, after, kept
    return TRIMMED[kind]


def test_every_character_of_the_old_vocabulary_is_still_spelt(kind, tokenizers):
    before, after, _ = trimmed_tokenizers(kind, tokenizers)
    text = " ".join(WORDS)
    expected = encode_texts(before, [text])[0]
    assert before.unk_token_id not in expected
    ids = encode_texts(after, [text])[0]
    assert len(ids) > len(expected)
    assert after.convert_tokens_to_ids(before.unk_token) not in ids
    decode = before.backend_tokenizer.decoder.decode
    assert decode(after.convert_ids_to_tokens(ids)) == decode(
        before.convert_ids_to_tokens(expected)
    )


def test_coverage_takes_the_fewest_tokens_that_reach_the_share(tokenizers, tmp_path):
    source = save("glm", tokenizers["wordpiece"], tmp_path / "before")
    report = trim_model(source, tmp_path / "after", CORPUS, coverage=0.8)
    assert report.coverage >= 0.8
    with pytest.raises(ValueError, match="at least"):
        trim_model(source, tmp_path / "none", CORPUS, keep=10)
    one_less = trim_model(source, tmp_path / "less", CORPUS, keep=report.tokens[1] - 1)
    assert one_less.tokens[1] == report.tokens[1] - 1
    assert one_less.coverage < 0.8


@pytest.mark.parametrize("has_head", [True, False])
def test_classifiers_give_the_same_scores(has_head, tokenizers, tmp_path):
    source = save("ganlm", tokenizers["unigram"], tmp_path / "before")
    classifier = models.GanLMForSequenceClassification.from_pretrained(source)
    kept = {k: v for k, v in classifier.state_dict().items() if has_head or k.count(".") > 1}
    classifier.save_pretrained(source, state_dict=kept)
    trim_model(source, tmp_path / "after", CORPUS, coverage=1.0)
    if not has_head:
        return  # the comparison inside did not take fresh heads for a difference
    scores = []
    for folder in (source, tmp_path / "after"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = models.GanLMForSequenceClassification.from_pretrained(folder).eval()
        ids = torch.tensor(encode_texts(tokenizer, CORPUS[:1]))
        scores.append(model(ids).logits)
    assert_close(*scores)


def test_shards_stay_shards_and_add_up(tokenizers, tmp_path):
    source = save("deltalm", tokenizers["bpe"], tmp_path / "before", max_shard_size="40KB")
    names = sorted(path.name for path in source.glob("*.safetensors"))
    assert len(names) > 1
    report = trim_model(source, tmp_path / "after", CORPUS, keep=350)
    assert sorted(path.name for path in (tmp_path / "after").glob("*.safetensors")) == names
    model = models.DeltaLMForConditionalGeneration.from_pretrained(tmp_path / "after")
    assert sum(p.numel() for p in model.parameters()) == report.parameters[1]
    index = json.loads((tmp_path / "after" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == report.bytes[1] == 4 * report.parameters[1]


def test_the_state_of_an_optimiser_is_left_behind(tokenizers, tmp_path):
    source = save("glm", tokenizers["bpe"], tmp_path / "step-00000010")
    plain = trim_model(source, tmp_path / "plain", CORPUS, keep=350)
    tables = {"exp_avg.model.embed_tokens.weight": torch.ones(plain.rows[0], 4)}
    save_file(tables, source / "optimizer.safetensors")
    report = trim_model(source, tmp_path / "after", CORPUS, keep=350)
    assert report.parameters == plain.parameters
    assert not (tmp_path / "after" / "optimizer.safetensors").exists()
    record = json.loads((tmp_path / "after" / "provenance.json").read_text())
    assert list(record["source"]["files"]) == ["model.safetensors"]


def test_new_rows_are_all_old_rows(tokenizers, tmp_path):
    source = save("glm", tokenizers["unigram"], tmp_path / "before")
    report = trim_model(source, tmp_path / "after", CORPUS, coverage=0.9)
    kind = models.GlmInfillForConditionalGeneration
    old = kind.from_pretrained(source).model.embed_tokens.weight
    new = kind.from_pretrained(tmp_path / "after").model.embed_tokens.weight
    matches = (new[:, None] == old[None]).all(dim=-1)
    assert matches.sum(dim=1).min() == 1
    assert len(set(matches.long().argmax(dim=1).tolist())) == len(new)
    size = report.tokens[1]
    padding = matches.long().argmax(dim=1)[size : size + 5].tolist()
    assert padding == list(range(len(old) - 5, len(old)))


def test_a_model_that_would_come_out_different_is_not_written(tokenizers, tmp_path, monkeypatch):
    from unblank.trimming import trim

    source = save("glm", tokenizers["bpe"], tmp_path / "before")
    right = trim.row_order
    monkeypatch.setattr(trim, "row_order", lambda *given: right(*given)[::-1])
    with pytest.raises(ValueError, match=r"differ by up to \d"):
        trim_model(source, tmp_path / "after", CORPUS, coverage=0.9)
    assert [path.name for path in tmp_path.iterdir()] == ["before"]


def test_command_prints_what_changed_and_leaves_a_record(tokenizers, tmp_path, capsys):
    source = save("glm", tokenizers["bpe"], tmp_path / "before")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(CORPUS), encoding="utf-8")
    output = str(tmp_path / "after")
    main(["trim", str(source), output, "--corpus", str(corpus), "--coverage", "0.95"])
    shown = capsys.readouterr().out
    for part in ("parameters", "MiB", "kept tokens are 9", "split into other tokens", "at most"):
        assert part in shown
    record = json.loads((tmp_path / "after" / "provenance.json").read_text())
    assert record["kept"] == {"keep": None, "coverage": 0.95}
    assert record["report"]["largest_difference"] < 1e-4
    assert record["files"]["model.safetensors"]["sha256"]
    with pytest.raises(SystemExit):
        main(["trim", str(source), output, "--corpus", str(corpus), "--coverage", "0.95"])
    assert "after exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "--corpus is missing"),
        (["--corpus", "x.txt"], "give either --keep"),
        (["--corpus", "x.txt", "--keep", "9", "--coverage", "0.9"], "give either --keep"),
        (["--corpus", "x.txt", "--coverage", "99"], "coverage is 99"),
        (["--corpus", "x.txt", "--keep", "9"], "no file matches"),
    ],
)
def test_wrong_settings_are_refused_and_named(options, named, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["trim", str(tmp_path / "model"), str(tmp_path / "out"), *options])
    printed = " ".join(capsys.readouterr().err.split())
    assert all(name in printed for name in named), printed


def test_a_folder_without_model_and_a_damaged_one_are_refused(tokenizers, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        trim_model(tmp_path, tmp_path / "after", CORPUS, keep=400)
    source = save("glm", tokenizers["bpe"], tmp_path / "before")
    path = source / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        trim_model(source, tmp_path / "after", CORPUS, keep=400)
