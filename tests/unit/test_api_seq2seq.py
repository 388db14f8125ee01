"""`unblank.load` on encoder-decoders: they write and score, and say what they cannot do."""

import pytest
import torch
from tokenizers import AddedToken
from torch.testing import assert_close
from transformers import AutoConfig, BertConfig, BertModel

import unblank
from unblank.models import (
    DeltaLMConfig,
    DeltaLMForConditionalGeneration,
    ElectraInfillConfig,
    ElectraInfillForPreTraining,
    GanLMConfig,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
    GlmInfillConfig,
    GlmInfillForSequenceClassification,
)
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import encoder_decoder_ids
from unblank.tokenization.train import train_tokenizer

CORPUS = ["the old cat sat on a warm mat and saw one small dog run far. " * 5] * 4
MODELS = {
    "deltalm": (DeltaLMForConditionalGeneration, DeltaLMConfig),
    "ganlm": (GanLMForPreTraining, GanLMConfig),
}


def save(folder, family, **saving):
    with pytest.warns(UserWarning, match="too small"):
        tokenizer = train_tokenizer(CORPUS, kind="bpe", vocab_size=400, show_progress=False)
    tokenizer.add_tokens([AddedToken(tag, special=True) for tag in ("__de__", "__fr__")])
    ids = encoder_decoder_ids(tokenizer)
    model_class, config_class = MODELS[family]
    config = config_class(
        vocab_size=448, tokenizer_size=len(tokenizer), hidden_size=16, encoder_layers=2,
        decoder_layers=1, num_attention_heads=2, max_position_embeddings=32, pad_token_id=ids.pad,
        eos_token_id=ids.eos, decoder_start_token_id=ids.sop, bos_token_id=ids.cls,
        unk_token_id=ids.unk, mask_token_id=ids.mask, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder, **saving)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=list(MODELS))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"), family)


@pytest.fixture(scope="module")
def model(folder):
    return unblank.load(folder, device="cpu")


def test_a_folder_writes_to_one_source_and_to_several(model, family):
    assert model.model.config.model_type == family
    assert not model.model.training
    alone = model.generate("the old cat", max_tokens=5)
    several = model.generate(["the old cat", "a dog"], max_tokens=5)
    assert several[0].token_ids == alone.token_ids
    assert str(alone) == alone.text
    *events, streamed = model.generate_stream("the old cat", max_tokens=5)
    assert streamed == alone
    assert len(events) == len(alone.token_ids) + alone.finished


def test_options_reach_the_search_and_unknown_ones_are_named(model):
    answer = model.generate("the old cat", num_beams=3, num_return=3, max_tokens=4)
    assert len(answer.alternatives) == 2
    assert answer.to_dict()["alternatives"][0]["token_ids"]
    with pytest.raises(TypeError, match=r"'max_token'.*\bmax_tokens\b"):
        model.generate("the old cat", max_token=4)


def test_only_the_generator_of_a_ganlm_is_opened(tmp_path):
    opened = unblank.load(save(tmp_path / "ganlm", "ganlm"), device="cpu").model
    assert type(opened) is GanLMForConditionalGeneration
    assert not [name for name, _ in opened.named_parameters() if "discriminator" in name]


@pytest.mark.parametrize("normalization", ["sum", "mean"])
@pytest.mark.parametrize("include_end", [True, False])
@torch.no_grad()
def test_candidates_score_as_in_a_forward_of_their_own(model, normalization, include_end):
    text, candidates = "the old cat sat", ["a dog", "one small dog run far", "mat", "a dog run"]
    scores = model.score(text, candidates, normalization=normalization, include_end=include_end)
    config, tokenizer = model.model.config, model.tokenizer
    source = [*encode_texts(tokenizer, [text])[0], config.eos_token_id]
    for candidate, score in zip(candidates, scores.candidates, strict=True):
        target = encode_texts(tokenizer, [candidate])[0]
        predicted = [*target, config.eos_token_id][: len(target) + include_end]
        logits = model.model(
            torch.tensor([source]),
            decoder_input_ids=torch.tensor([[config.decoder_start_token_id, *predicted[:-1]]]),
            use_cache=False,
        ).logits[0]
        log_p = torch.log_softmax(logits, -1)[range(len(predicted)), predicted]
        expected = log_p.sum() if normalization == "sum" else log_p.mean()
        assert_close(score.score, float(expected), atol=1e-5, rtol=1e-5)
        assert list(score.token_ids) == target
    assert_close(sum(c.share for c in scores.candidates), 1.0)


def test_candidates_have_the_sum_over_passages(model):
    source, passages = "a dog", ["the old cat sat", "one small dog"]
    scores = model.score(source, ["the cat", "run far"], passages=passages)
    for found in scores.candidates:
        each = [
            model.score(f"{one} {source}", [found.text]).candidates[0].score for one in passages
        ]
        expected = torch.tensor(each).logsumexp(0) - torch.tensor(2.0).log()
        assert_close(found.score, float(expected), atol=1e-5, rtol=1e-5)


def test_a_source_is_encoded_once_for_all_its_candidates(model, monkeypatch):
    rows = []
    encoder = model.model.get_encoder()
    handle = encoder.register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[0]))
    try:
        model.score("the old cat", ["a dog", "mat", "one small dog"])
        model.generate(["the old cat", "a mat"], num_beams=3, max_tokens=4)
    finally:
        handle.remove()
    assert rows == [1, 2]


def test_several_sources_are_scored_each_with_its_candidates(model):
    found = model.score(["the cat", "a dog"], [["mat", "far"], ["cat"]])
    assert [len(scores.candidates) for scores in found] == [2, 1]
    assert_close(found[0].candidates[0].score, model.score("the cat", ["mat"]).candidates[0].score)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a cat", [""]), "empty"),
        (("a cat", []), "no candidates"),
        (("a cat", ["dog", "dog"]), "same tokens"),
        (("a cat", ["dog " * 40]), "at most 31"),
        (("cat " * 40, ["dog"]), "positions for 31"),
    ],
)
def test_what_cannot_be_scored_is_named(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.score(*arguments)
    with pytest.raises(ValueError, match="blank and context"):
        model.score("a cat", ["dog"], context="uni")


@torch.no_grad()
def test_a_tag_stands_before_the_source_that_is_scored(model):
    config, tokenizer = model.model.config, model.tokenizer
    (target,) = encode_texts(tokenizer, ["a dog"])
    target = [*target, config.eos_token_id]
    decoder_ids = torch.tensor([[config.decoder_start_token_id, *target[:-1]]])
    for tag in ("__de__", "__fr__"):
        (source,) = encode_texts(tokenizer, ["the old cat"])
        source = [tokenizer.convert_tokens_to_ids(tag), *source, config.eos_token_id]
        logits = model.model(torch.tensor([source]), decoder_input_ids=decoder_ids).logits[0]
        expected = logits.log_softmax(-1)[range(len(target)), target].sum()
        found = model.score("the old cat", ["a dog"], source_tag=tag)
        assert_close(found.candidates[0].score, float(expected), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"__dee__.*__de__"):
        model.score("the old cat", ["a dog"], source_tag="__dee__")


@pytest.mark.parametrize("is_glm", [True, False])
def test_a_classifier_is_refused_with_the_command_that_measures_it(folder, tmp_path, is_glm):
    glm = GlmInfillConfig(
        vocab_size=448, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    ganlm = AutoConfig.from_pretrained(folder).to_dict() | {"model_type": "ganlm"}
    if is_glm:
        classifier = GlmInfillForSequenceClassification(glm)
    else:
        classifier = GanLMForSequenceClassification(GanLMConfig(**ganlm))
    classifier.save_pretrained(tmp_path)
    unblank.load(folder).tokenizer.save_pretrained(tmp_path)
    name = type(classifier).__name__
    with pytest.raises(ValueError, match=rf"{name}.*evaluate --suite classifier"):
        unblank.load(tmp_path)


def test_filling_is_refused_and_the_right_door_named(model, family):
    for fill in (model.fill, model.fill_stream):
        with pytest.raises(ValueError, match=rf"{family} .*\bgenerate\b"):
            fill("the [MASK] cat")


def test_other_models_are_named_with_what_can_be_opened(folder, tmp_path):
    config = ElectraInfillConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    ElectraInfillForPreTraining(config).save_pretrained(tmp_path)
    unblank.load(folder).tokenizer.save_pretrained(tmp_path)
    opened_by = r"unblank\.models\.ElectraInfillForPreTraining.*init-from-encoder"
    with pytest.raises(ValueError, match=rf"opens glm_infill, deltalm, ganlm.*{opened_by}"):
        unblank.load(tmp_path)
    BertModel(
        BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"'bert'.*transformers\.AutoModel"):
        unblank.load(tmp_path)


def test_a_model_in_several_files_opens_whole_or_not_at_all(tmp_path):
    folder = save(tmp_path / "sharded", "deltalm", max_shard_size="20KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert unblank.load(folder).generate("the cat", max_tokens=2).token_ids
    shards[0].unlink()
    with pytest.raises((OSError, ValueError), match=shards[0].name):
        unblank.load(folder)
