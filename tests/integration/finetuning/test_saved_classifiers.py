"""transformers alone reads a saved classifier's texts as `predict` does."""

import json
from pathlib import Path

import pytest
import torch
from labelled_toys import labelled_config, labelled_glm, toys
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import unblank
from unblank.engine.logging import Display
from unblank.engine.parallel import World
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.families.table import FAMILIES
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.tuned import open_label_model
from unblank.finetuning.run import run_finetune
from unblank.models import GanLMConfig, GanLMForPreTraining
from unblank.prompting.examples import TaskExample
from unblank.starting.tokenizer import open_tokenizer
from unblank.tokenization.special import encoder_decoder_ids
from unblank.trimming.trim import trim_model

__all__ = ["toys"]

WORDS = "the play was fine a poor song we saw dull"
LONG = " ".join([WORDS] * 9)
TEXTS = [WORDS, "awful", "", "was [MASK] great <|endoftext|> or [CLS]", LONG, f"{LONG} lovely"]
PAIR = """
verbalizer: {good: Yes, bad: No}
patterns: ['{about}: {story} [MASK].']
shorten: {story: end, about: end}
metrics: [accuracy]
classifier: ['{about}', '{story}']
"""


@pytest.fixture(scope="module")
def ganlm(toys):
    folder, tokenizer = toys["model"].with_name("ganlm"), labelled_glm().tokenizer
    ids = encoder_decoder_ids(tokenizer)
    torch.manual_seed(0)
    config = GanLMConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, decoder_layers=2,
        discriminator_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=48, bos_token_id=ids.cls, pad_token_id=ids.pad,
        eos_token_id=ids.eos, mask_token_id=ids.mask, decoder_start_token_id=ids.sop,
    )  # fmt: skip
    GanLMForPreTraining(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained(files, output, **changes) -> Path:
    """Return the folder of a short run of a classifier."""
    train = {"max_steps": 2, "validate_every": 2, "final": "last"}
    return run_finetune(labelled_config(files, output, train=train, method="classifier", **changes))


def given_files(request, family, **others):
    """Return the files of the toys, with a model of the family."""
    files = {**request.getfixturevalue("toys"), **others}
    return files if family == "glm" else {**files, "model": request.getfixturevalue("ganlm")}


def of_library(folder: Path, records) -> torch.Tensor:
    """Return the logits by which `predict` answers."""
    head = open_label_model(folder, device="cpu").head
    examples = [TaskExample("here", fields, candidates=("good", "bad")) for fields in records]
    with torch.inference_mode():
        rows = [head.scorer.encode(one, None)[0] for one in examples]
        return torch.stack(head.scorer.scores(head.model, rows, torch.device("cpu")))


def of_transformers(folder: Path, *texts, **options) -> torch.Tensor:
    """Return the logits that the Auto classes give."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**tokenizer(*texts, return_tensors="pt", padding=True, **options)).logits


@pytest.mark.parametrize(
    ("family", "cloze"),
    [
        ("glm", ClozeSettings()),
        ("glm", ClozeSettings(pooled="end", max_length=20)),
        ("ganlm", ClozeSettings(branch="generator")),
        ("ganlm", ClozeSettings(branch="discriminator", max_length=20)),
    ],
)
def test_a_classifier_answers_transformers_as_it_does_predict(family, cloze, request, tmp_path):
    folder = trained(given_files(request, family), tmp_path / "run", cloze=cloze)
    wanted = of_library(folder, [{"text": text} for text in TEXTS])
    found = of_transformers(folder, TEXTS, truncation="only_first")
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    texts = [text for text in TEXTS if text]  # a file of examples has no empty ones
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "in.jsonl").write_text(lines)
    rows = unblank.predict_file(folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    for text, row in zip(texts, rows, strict=True):
        scores = classify(text, top_k=None, truncation="only_first")
        found = {one["label"]: one["score"] for one in scores}
        assert found == pytest.approx(row["probabilities"], abs=1e-6)
    card = (folder / "README.md").read_text()
    assert "text-classification" in card
    assert "only_first" in card
    assert "unblank.load" not in card


@pytest.mark.parametrize("family", ["glm", "ganlm"])
def test_a_pair_is_read_as_predict_reads_it(family, request, tmp_path):
    task, data = tmp_path / "pair.yaml", tmp_path / "pairs.jsonl"
    task.write_text(PAIR)
    labels = ["good", "bad"] * 8
    records = [{"about": "the film", "story": WORDS, "label": label} for label in labels]
    data.write_text("".join(json.dumps(one) + "\n" for one in records))
    files = given_files(request, family, task=task, train=data, validation=data)
    folder = trained(files, tmp_path / "run")
    abouts, stories = ["the film", "a song"], [WORDS, LONG]
    fields = [
        {"about": about, "story": story} for about, story in zip(abouts, stories, strict=True)
    ]
    wanted = of_library(folder, fields)
    found = of_transformers(folder, abouts, stories, truncation="only_second")
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    asked = {"text": abouts[0], "text_pair": stories[0]}
    found = {one["label"]: one["score"] for one in classify(asked, top_k=None)}
    shares = wanted[0].softmax(0).tolist()
    assert found == pytest.approx({"good": shares[0], "bad": shares[1]}, abs=1e-6)
    card = (folder / "README.md").read_text()
    assert "text_pair" in card
    assert "only_second" in card
    assert "`{about}` and `{story}`" in card


def test_a_classifier_that_is_trained_again_frames_its_texts_once(toys, tmp_path):
    first = trained(toys, tmp_path / "first", cloze=ClozeSettings(max_length=20))
    again = trained({**toys, "model": first}, tmp_path / "again")
    tokenizer = AutoTokenizer.from_pretrained(again)
    assert tokenizer.model_max_length == 48
    one = AutoTokenizer.from_pretrained(first)
    assert tokenizer(WORDS)["input_ids"] == one(WORDS)["input_ids"]
    wanted = of_library(again, [{"text": LONG}])
    found = of_transformers(again, [LONG], truncation=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_another_model_with_the_tokenizer_of_a_classifier_frames_nothing(toys, tmp_path):
    folder = trained(toys, tmp_path / "run")
    tokenizer = open_tokenizer(
        ModelSettings(), TokenizerSettings(path=folder), FAMILIES["glm"], lambda: (),
        folder=tmp_path / "none", world=World(0, 1, torch.device("cpu")), checkpoint=None,
        display=Display(total_steps=0, is_main=False),
    )  # fmt: skip
    plain = AutoTokenizer.from_pretrained(toys["model"])
    for one in (tokenizer, plain):
        one.save_pretrained(tmp_path / f"saved-{one is plain}")
    text = "the [MASK] was fine"
    again = AutoTokenizer.from_pretrained(tmp_path / "saved-False")
    assert again(text)["input_ids"] == plain(text)["input_ids"]
    assert again.model_max_length == plain.model_max_length


def test_a_trimmed_classifier_frames_its_texts(toys, tmp_path):
    folder = trained(toys, tmp_path / "run", cloze=ClozeSettings(max_length=20))
    trim_model(folder, tmp_path / "small", [WORDS], coverage=1.0)
    wanted = of_transformers(folder, [WORDS, LONG], truncation=True)
    found = of_transformers(tmp_path / "small", [WORDS, LONG], truncation=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
