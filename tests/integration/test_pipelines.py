"""transformers' pipelines on our folders: which answer as the model does, and which refuse."""

import pytest
import torch
from tiny_glms import tiny_glm, write_folder
from tiny_models import CORPUS, encoder_decoder, tiny_unblank
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)
from transformers.pipelines.base import PipelineException

import unblank
from unblank.models import (
    ElectraInfillConfig,
    ElectraInfillForMaskedLM,
    ElectraInfillForPreTraining,
    GanLMForSequenceClassification,
    GlmInfillForCausalLM,
    GlmInfillForMaskedLM,
    GlmInfillForSequenceClassification,
)
from unblank.tokenization import special_ids

TEXTS = ["the cat sat", "the old grey dog ran to some far house and saw one small mat"]


@pytest.fixture(scope="module")
def glm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glm")
    tiny = tiny_unblank("bpe")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def ganlm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ganlm")
    model, tokenizer = encoder_decoder("ganlm")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["glm", "ganlm"])
def classifier(request, tmp_path):
    source = request.getfixturevalue(request.param)
    kinds = {"glm": GlmInfillForSequenceClassification, "ganlm": GanLMForSequenceClassification}
    labels = {"id2label": {0: "no", 1: "yes", 2: "perhaps"}, "num_labels": 3}
    kinds[request.param].from_pretrained(source, **labels).save_pretrained(tmp_path)
    pipeline("text-classification", model=source).tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def test_classification_answers_as_the_model_does_in_batches_too(classifier):
    classify = pipeline("text-classification", model=classifier, device="cpu")
    found = classify(TEXTS, batch_size=2, top_k=None)
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    for text, scores in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            logits = model(**classify.tokenizer(text, return_tensors="pt")).logits[0]
        wanted = logits.softmax(-1)
        assert {one["label"]: one["score"] for one in scores} == pytest.approx(
            dict(zip(["no", "yes", "perhaps"], wanted.tolist(), strict=True)), rel=1e-5
        )


def test_features_of_a_glm_are_its_hidden_states(glm):
    extract = pipeline("feature-extraction", model=glm, device="cpu")
    found = extract(TEXTS[0], return_tensors=True)
    with torch.inference_mode():
        read = extract.tokenizer(TEXTS[0], return_tensors="pt")
        wanted = AutoModel.from_pretrained(glm).eval()(**read).last_hidden_state
    torch.testing.assert_close(found, wanted)


def test_features_of_an_encoder_decoder_are_those_of_its_encoder(ganlm):
    """The pipeline gives no target; the message names what has features without one."""
    extract = pipeline("feature-extraction", model=ganlm, device="cpu")
    with pytest.raises(ValueError, match="get_encoder"):
        extract(TEXTS[0])
    read = extract.tokenizer(TEXTS[0], return_tensors="pt")
    assert extract.model.get_encoder()(**read).last_hidden_state.dim() == 3


KINDS = ["wordpiece", "bpe", "unigram"]
BLANKED = [
    "the old [MASK] sat on a mat",
    "[MASK] cat and one small [MASK] and the [MASK]",
    "the cat[MASK]",
    "one small dog [MASK].",
]


@pytest.fixture(scope="module", params=KINDS)
def folder_of_each_kind(request, tmp_path_factory) -> str:
    """A GLM whose tokens that are never written have no chance, as those of a trained one."""
    given = tiny_glm(
        CORPUS, kind=request.param, vocab_size=600, num_unused=4, initializer_range=0.4,
        max_position_embeddings=40,
    )  # fmt: skip
    model, tokenizer = given.model, given.tokenizer
    never = set(tokenizer.all_special_ids) - {model.config.eop_token_id}
    never |= set(range(len(tokenizer), model.config.vocab_size))
    with torch.no_grad():
        model.model.embed_tokens.weight[sorted(never)] *= 0.2
    return str(write_folder(given, tmp_path_factory.mktemp(request.param)))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_masks_are_filled_as_the_first_token_of_each_blank_is(folder_of_each_kind, batch_size):
    """Each blank as if it were filled first: by its token and probability, the first five."""
    ours = unblank.load(folder_of_each_kind)
    fill = pipeline("fill-mask", model=folder_of_each_kind, device="cpu")
    assert isinstance(fill.model, GlmInfillForMaskedLM)
    for text, found in zip(BLANKED, fill(BLANKED, batch_size=batch_size, top_k=6), strict=True):
        num_blanks = text.count("[MASK]")
        for blank, answers in enumerate([found] if num_blanks == 1 else found):
            order = [blank, *(other for other in range(num_blanks) if other != blank)]
            filled = ours.fill(text, order=order, min_tokens=1, max_tokens=1, num_alternatives=5)
            tokens, chances = zip(*filled.blanks[blank].alternatives[0], strict=True)
            ids = ours.tokenizer.convert_tokens_to_ids(list(tokens))
            words = [one for one in answers if one["token"] != fill.model.config.eop_token_id][:5]
            assert [one["token"] for one in words] == ids
            assert [one["score"] for one in words] == pytest.approx(chances, rel=1e-4)


def test_masks_are_filled_with_wanted_words_only(folder_of_each_kind):
    fill = pipeline("fill-mask", model=folder_of_each_kind, device="cpu")
    all_of_it = fill(BLANKED[2], top_k=9)
    wanted = [all_of_it[place] for place in (7, 2)]
    names = fill.tokenizer.convert_ids_to_tokens([one["token"] for one in wanted])
    found = fill(BLANKED[2], targets=names)
    assert [one["token"] for one in found] == [one["token"] for one in reversed(wanted)]
    assert [one["score"] for one in found] == [one["score"] for one in reversed(wanted)]
    with pytest.raises(PipelineException, match="No mask_token"):
        fill("no mask at all")


@pytest.fixture(scope="module")
def electra(glm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("electra")
    tokenizer = AutoTokenizer.from_pretrained(glm)
    fields = AutoConfig.from_pretrained(glm).to_dict() | {"generator_layers": 1}
    model = ElectraInfillForPreTraining(ElectraInfillConfig.from_dict(fields))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_masks_are_filled_by_the_generator_of_an_electra(electra, tmp_path):
    """Its logits at the mask of `[CLS] text end`, alone and beside a longer text."""
    fill = pipeline("fill-mask", model=electra, device="cpu")
    assert isinstance(fill.model, ElectraInfillForMaskedLM)
    whole = ElectraInfillForPreTraining.from_pretrained(electra).eval()
    special = special_ids(fill.tokenizer)
    texts = [BLANKED[2], BLANKED[0]]
    for text, found in zip(texts, fill(texts, batch_size=2), strict=True):
        ids = fill.tokenizer(text)["input_ids"]
        row = torch.tensor([[special.cls, *ids, special.eos]])
        logits = whole.text_outputs(row)["logits"][0, 1 + ids.index(special.mask)]
        scores, wanted = logits.softmax(-1).topk(5)
        assert [one["token"] for one in found] == wanted.tolist()
        assert [one["score"] for one in found] == pytest.approx(scores.tolist(), rel=1e-4)
    fill.model.save_pretrained(tmp_path)
    again = ElectraInfillForMaskedLM.from_pretrained(tmp_path)
    torch.testing.assert_close(again.state_dict(), fill.model.state_dict())


PROMPTS = ["the old grey cat", "a", "one [MASK] saw the mat", "the cat sat on [gMASK]"]


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("search", [{}, {"num_beams": 3, "length_penalty": 0.0}])
def test_text_goes_on_in_a_blank_behind_it(folder_of_each_kind, batch_size, search):
    ours = unblank.load(folder_of_each_kind)
    go_on = pipeline("text-generation", model=folder_of_each_kind, device="cpu")
    assert isinstance(go_on.model, GlmInfillForCausalLM)
    options = {"max_new_tokens": 6, "do_sample": False, **search}
    found = go_on(PROMPTS, batch_size=batch_size, return_tensors=True, **options)
    texts = go_on(PROMPTS, batch_size=batch_size, **options)
    for prompt, ((ids,), (text,)) in zip(PROMPTS, zip(found, texts, strict=True), strict=True):
        wanted = ours.generate(prompt, blank="[gMASK]", max_tokens=6, **search)
        ids = ids["generated_token_ids"]
        given = ours.tokenizer(prompt)["input_ids"]
        padding = next(place for place in range(len(ids)) if ids[place:][: len(given)] == given)
        written = ids[padding + len(given) :]
        ends = [ours.model.config.eop_token_id, ours.model.config.eos_token_id]
        written = written[: next((i for i, one in enumerate(written) if one in ends), None)]
        assert tuple(written) == wanted.token_ids
        assert text["generated_text"] == prompt + ours.tokenizer.decode(written)


def test_continuations_are_as_many_and_as_long_as_they_may_be(folder_of_each_kind):
    """The pipeline asks for 256 tokens; the model has 40 positions."""
    go_on = pipeline("text-generation", model=folder_of_each_kind, device="cpu")
    config = go_on.model.config
    with torch.no_grad():  # never an end
        for end in (config.eop_token_id, config.eos_token_id):
            go_on.model.model.embed_tokens.weight[end] = 0.0
    num_given = len(go_on.tokenizer("the cat")["input_ids"])
    found = go_on("the cat", num_return_sequences=3, return_tensors=True)
    assert [len(one["generated_token_ids"]) for one in found] == [num_given + 39] * 3
    (alone,) = go_on("", max_new_tokens=3, return_tensors=True)
    assert len(alone["generated_token_ids"]) == 3


def test_a_prompt_with_several_blanks_and_labels_are_refused(folder_of_each_kind):
    go_on = pipeline("text-generation", model=folder_of_each_kind, device="cpu")
    with pytest.raises(ValueError, match=r"3 blanks.*fill"):
        go_on(BLANKED[1])
    token_ids = torch.tensor([go_on.tokenizer("the cat")["input_ids"]])
    with pytest.raises(ValueError, match="labels"):
        go_on.model(token_ids, labels=token_ids)


@pytest.mark.parametrize("task", ["fill-mask", "text-generation"])
def test_an_encoder_decoder_has_no_place_for_an_answer_in_the_text(task, ganlm):
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        pipeline(task, model=ganlm, device="cpu")
