"""The card of a model says where it comes from; what a person has touched is never replaced."""

import json

import pytest
from tiny_models import encoder_decoder

from unblank.adapters.record import AdapterRecord
from unblank.engine.finished import published_model
from unblank.integrity import PROVENANCE_NAME, find_damage
from unblank.model_card import write_card
from unblank.version import __version__

CONFIG = {"architectures": ["SomeModel"], "max_position_embeddings": 2048}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def card_of(folder):
    return (folder / "README.md").read_text()


def test_a_card_says_what_the_model_was_made_of(folder):
    write_card(
        folder,
        {"made_by": "unblank 1 finetune", "steps": 1500, "tokens": 7,
         "settings": {"model": {"init_from": "/home/me/models/big"}}},
    )  # fmt: skip
    card = card_of(folder)
    for fact in ("# SomeModel", "unblank 1 finetune", "`big`", "1,500 steps and 7 tokens", "2,048"):
        assert fact in card
    assert "unblank info" in card
    assert "/home/me" not in card
    write_card(folder, {"program": "unblank convert", "source": {"path": "/x/old"}})
    assert "Made from `old`" in card_of(folder)
    assert "finetune" not in card_of(folder)


@pytest.mark.parametrize("edited", ["mine", "", "{card}more", "more{card}", "{card}\n"])
def test_what_a_person_wrote_stays(folder, edited):
    write_card(folder, {"made_by": "first"})
    text = edited.replace("{card}", card_of(folder))
    (folder / "README.md").write_text(text)
    write_card(folder, {"made_by": "second"})
    assert card_of(folder) == text


def test_a_published_model_has_a_card_and_may_have_another(tmp_path):
    def publish(version):
        with published_model(tmp_path, {"made_by": f"unblank {version} pretrain"}) as folder:
            (folder / "config.json").write_text(json.dumps(CONFIG))

    publish(1)
    assert "unblank 1 pretrain" in card_of(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    assert find_damage(tmp_path, PROVENANCE_NAME) is None
    publish(2)
    assert card_of(tmp_path) == "mine"


def test_every_saved_model_has_a_card(tmp_path):
    model, _ = encoder_decoder("deltalm")
    model.save_pretrained(tmp_path / "first")
    card = card_of(tmp_path / "first")
    for fact in ("# DeltaLMForConditionalGeneration", f"Saved by unblank {__version__}", "at most"):
        assert fact in card
    assert "Made from" not in card
    assert PROVENANCE_NAME not in card
    again = type(model).from_pretrained(tmp_path / "first")
    again.save_pretrained(tmp_path / "second")
    assert "Made from `first`" in card_of(tmp_path / "second")
    (tmp_path / "second" / "README.md").write_text("mine")
    again.save_pretrained(tmp_path / "second")
    assert card_of(tmp_path / "second") == "mine"


def test_the_card_of_a_classifier_says_what_its_tokenizer_does(tmp_path):
    def written(**settings):
        config = {**CONFIG, "architectures": ["GlmInfillForSequenceClassification"], "id2label": {}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        if settings:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        write_card(tmp_path, {})
        return card_of(tmp_path)

    assert "tokenizer of its training" in written()
    assert "does not make the rows" in written(model_max_length=9)
    frame = {"texts": ["{a}", "{b|bare}"], "truncation": None, "side": "right"}
    card = written(text_frame=frame)
    for fact in ("text_pair", "`{a}` and `{b|bare}`", "refused", "reads at most 2,048"):
        assert fact in card
    assert "unblank.load" not in card
    assert "does not make the rows" in written(text_frame={"texts": 5})


def test_the_card_of_an_adapter_names_its_base(tmp_path):
    record = {"base_model": "/home/me/models/base", "base_fingerprint": None}
    AdapterRecord(kind="lora", num_parameters=4096, **record).write(tmp_path)
    write_card(tmp_path, {"made_by": "unblank 1 finetune", "steps": 1, "tokens": 1})
    assert "1 step and 1 token." in (tmp_path / "README.md").read_text()
    write_card(tmp_path, {"made_by": "unblank 1 finetune", "steps": 20})
    card = card_of(tmp_path)
    for fact in ("# lora of base", "unblank 1 finetune", "4,096 numbers", "20 steps"):
        assert fact in card
    assert "/home/me" not in card


def test_a_folder_without_a_model_gets_no_card(tmp_path):
    write_card(tmp_path, {"made_by": "unblank"})
    assert not list(tmp_path.iterdir())
