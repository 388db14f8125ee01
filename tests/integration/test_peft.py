"""PEFT's own calls on our families, without naming layers."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import encoder_decoder, tiny_unblank

from unblank.models import (
    ElectraInfillConfig,
    ElectraInfillForPreTraining,
    GanLMForSequenceClassification,
    GlmInfillForSequenceClassification,
)
from unblank.untrusted.adapter import with_adapter

peft = pytest.importorskip("peft", reason="needs the extra peft")

# PEFT asks models for an attribute by a name that newer transformers warn about.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

IDS = torch.tensor([[11, 12, 13, 14]])


def electra():
    config = ElectraInfillConfig(
        vocab_size=60, hidden_size=32, num_attention_heads=4, num_hidden_layers=2,
        generator_layers=1, max_position_embeddings=24,
    )  # fmt: skip
    return ElectraInfillForPreTraining(config)


FAMILIES = {
    "glm": (lambda: tiny_unblank("bpe").model, "CAUSAL_LM"),
    "deltalm": (lambda: encoder_decoder("deltalm")[0], "SEQ_2_SEQ_LM"),
    "ganlm": (lambda: encoder_decoder("ganlm")[0], "SEQ_2_SEQ_LM"),
    "electra": (electra, None),
}


def layers_of(model):
    """Return the last names of the adapted layers, and of those that train."""
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert all(".lora_" in name for name in trained)
    return {name.split(".lora_")[0].rpartition(".")[2] for name in trained}


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_finds_the_layers_of_attention(name):
    make, _ = FAMILIES[name]
    is_split = name in ("deltalm", "ganlm")
    wanted = {"q_proj", "k_proj", "v_proj", "o_proj"} if is_split else {"qkv_proj", "o_proj"}
    assert layers_of(peft.get_peft_model(make(), peft.LoraConfig(r=2))) == wanted


@pytest.mark.parametrize("name", ["glm", "deltalm", "ganlm"])
def test_a_task_type_trains_and_generates_the_same(name):
    make, task_type = FAMILIES[name]
    model = make().eval()
    ids = torch.tensor([[11, 12, model.config.mask_token_id, 13]])
    wanted = model.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, task_type=task_type)).eval()
    found = adapted.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
    assert found.tolist() == wanted.tolist()  # untrained adapters add nothing
    adapted.train()(input_ids=ids, labels=ids).loss.backward()
    trained = {n: w for n, w in adapted.named_parameters() if w.requires_grad}
    assert all(weight.grad is not None for weight in trained.values())
    assert any(weight.grad.abs().sum() > 0 for weight in trained.values())


def glm_classifier():
    return GlmInfillForSequenceClassification(tiny_unblank("bpe").model.config)


def ganlm_classifier():
    return GanLMForSequenceClassification(encoder_decoder("ganlm")[0].config)


@pytest.mark.parametrize("make", [glm_classifier, ganlm_classifier])
@pytest.mark.parametrize("second", [False, True])
def test_a_classifiers_new_head_is_trained_and_saved_without_naming_it(make, second, tmp_path):
    base = make()
    base.save_pretrained(tmp_path / "base")
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, task_type="SEQ_CLS"))
    if second:
        adapted.add_adapter("other", peft.LoraConfig(r=2, task_type="SEQ_CLS"))
        adapted.set_adapter("other")
    before = {name: weight.clone() for name, weight in adapted.named_parameters()}
    optimizer = torch.optim.SGD([w for w in adapted.parameters() if w.requires_grad], lr=0.5)
    adapted.train()(input_ids=IDS, labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    changed = {n for n, w in adapted.named_parameters() if not torch.equal(w, before[n])}
    assert sum(".dense." in name or ".out_proj." in name for name in changed) == 4
    assert not any("original_module" in name for name in changed)
    expected = adapted.eval()(input_ids=IDS).logits
    adapted.save_pretrained(tmp_path / "adapter")
    folder = tmp_path / "adapter" / ("other" if second else "")
    opened = peft.PeftModel.from_pretrained(type(base).from_pretrained(tmp_path / "base"), folder)
    assert torch.equal(opened.eval()(input_ids=IDS).logits, expected)


def test_an_adapter_of_another_size_is_named(tmp_path):
    make, _ = FAMILIES["glm"]
    peft.get_peft_model(make(), peft.LoraConfig(r=2)).save_pretrained(str(tmp_path))
    path = tmp_path / "adapter_model.safetensors"
    narrower = {name: one[:, :1].contiguous() for name, one in load_file(path).items()}
    save_file(narrower, path)
    with pytest.raises(ValueError, match=f"{tmp_path}: .*size mismatch"):
        with_adapter(make(), tmp_path, is_trainable=False)


def test_classifiers_of_others_are_as_peft_has_them():
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32,
        vocab_size=60,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, task_type="SEQ_CLS"))
    assert adapted.peft_config["default"].modules_to_save == ["classifier", "score"]


def test_the_auto_class_of_peft_opens_a_classifier(tmp_path):
    base = glm_classifier()
    base.save_pretrained(tmp_path / "base")
    base = type(base).from_pretrained(tmp_path / "base")
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, task_type="SEQ_CLS")).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    opened = peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter")
    assert torch.equal(opened.eval()(input_ids=IDS).logits, adapted(input_ids=IDS).logits)
