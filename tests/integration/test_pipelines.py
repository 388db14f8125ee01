"""transformers' pipelines on our folders: which answer as the model does, and which refuse."""

import pytest
import torch
from tiny_models import encoder_decoder, tiny_unblank
from transformers import AutoModel, AutoModelForSequenceClassification, pipeline

from unblank.models import GanLMForSequenceClassification, GlmInfillForSequenceClassification

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


@pytest.mark.parametrize("task", ["fill-mask", "text-generation"])
@pytest.mark.parametrize("family", ["glm", "ganlm"])
def test_what_would_be_wrong_is_refused(task, family, request):
    """A GLM writes an answer after the text, not one token in the place of `[MASK]`."""
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        pipeline(task, model=request.getfixturevalue(family), device="cpu")
