"""A converted folder is looked at again: what is sound holds, and every kind of damage is seen."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import unblank
from unblank import models
from unblank.commands.convert_printing import print_verification
from unblank.conversion.verify import verify
from unblank.models import GlmInfillForConditionalGeneration


@pytest.fixture
def folder(glm_module, save_ranks, bpe_files, tmp_path):
    unblank.convert(
        save_ranks(glm_module), tmp_path / "out", num_attention_heads=4, tokenizer=bpe_files
    )
    return tmp_path / "out"


@pytest.fixture
def recorded(folder):
    """A forward pass of the model, under the names of the original program."""
    tokens = torch.tensor([[5, 6, 303, 7, 301], [8, 303, 9, 299, 301]])
    positions = torch.tensor(
        [[[0, 1, 2, 3, 2], [0, 0, 0, 0, 1]], [[0, 1, 2, 3, 1], [0, 0, 0, 0, 1]]]
    )
    sep = torch.tensor([4, 3])
    model = GlmInfillForConditionalGeneration.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(tokens, position_ids=positions.transpose(0, 1), prefix_lengths=sep).logits
    return {"tokens": tokens, "position_ids": positions, "attention_mask": sep, "logits": logits}


def save(recorded, path):
    tensors = {f"first.{name}": tensor.contiguous() for name, tensor in recorded.items()}
    tensors["lm_loss.labels"] = torch.ones(2)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        lists = {name: tensor.tolist() for name, tensor in recorded.items()}
        path.write_text(json.dumps({"first": lists, "lm_loss": {"labels": [1.0]}}))
    return path


def failed(verification):
    return [check.name for check in verification.checks if not check.holds]


@pytest.mark.parametrize("name", ["r.safetensors", "r.npz", "r.json"])
def test_recorded_outputs_hold_in_every_format(folder, recorded, tmp_path, name):
    verification = verify(folder, save(recorded, tmp_path / name))
    assert verification.holds
    details = {check.name: check.detail for check in verification.checks}
    assert "first" in details
    assert "lm_loss" in details["not compared"]


def test_outputs_of_another_model_do_not_hold(folder, recorded, tmp_path):
    recorded["logits"] = recorded["logits"] + 0.01
    verification = verify(folder, save(recorded, tmp_path / "r.npz"))
    assert failed(verification) == ["first"]
    with pytest.raises(ValueError, match="'first': largest difference"):
        print_verification(verification)


def test_a_changed_file_is_noticed(folder):
    path = folder / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.02", "0.03"), encoding="utf-8")
    verification = verify(folder)
    assert failed(verification) == ["files"]


def change_weights(folder, change):
    """Change the weights of a folder that has no record of its files."""
    (folder / "provenance.json").unlink(missing_ok=True)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_are_not_finite_or_untied_or_gone_are_noticed(folder):
    name = "model.layers.1.mlp.up_proj.bias"
    change_weights(folder, lambda tensors: tensors[name].fill_(float("inf")))
    assert failed(verify(folder)) == ["weights"]
    change_weights(folder, lambda tensors: tensors[name].zero_())
    assert verify(folder).holds
    apart = {"lm_head.weight": torch.ones(384, 64)}
    change_weights(folder, lambda tensors: tensors.update(apart))
    assert "tied weights" in failed(verify(folder))
    change_weights(folder, lambda tensors: tensors.pop("lm_head.weight"))
    change_weights(folder, lambda tensors: tensors.pop(name))
    assert "reload" in failed(verify(folder))


def test_what_is_no_folder_or_no_reference_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        verify(folder, tmp_path / "nowhere.npz")
    (tmp_path / "r.json").write_text(json.dumps({"a": {"b": [1.0]}}))
    with pytest.raises(ValueError, match="only a;"):
        verify(folder, tmp_path / "r.json")
    np.savez(tmp_path / "hostile.npz", **{"a.tokens": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="cannot be read"):
        verify(folder, tmp_path / "hostile.npz")
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(ValueError, match="LlamaForCausalLM"):
        verify(folder)


SHAPE = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2}
STACKS = SHAPE | {"encoder_layers": 1, "decoder_layers": 1}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (models.ElectraInfillForPreTraining, models.ElectraInfillConfig(**SHAPE)),
        (models.GlmInfillForMultipleChoice, models.GlmInfillConfig(**SHAPE)),
        (models.GlmInfillForSequenceClassification, models.GlmInfillConfig(**SHAPE)),
        (models.GlmInfillModel, models.GlmInfillConfig(**SHAPE)),
        (models.DeltaLMForConditionalGeneration, models.DeltaLMConfig(**STACKS)),
        (models.DeltaLMModel, models.DeltaLMConfig(**STACKS)),
        (models.GanLMForPreTraining, models.GanLMConfig(**STACKS)),
        (models.GanLMForSequenceClassification, models.GanLMConfig(**STACKS)),
    ],
)
def test_a_model_of_every_kind_is_verified(kind, config, tmp_path):
    kind(config).save_pretrained(tmp_path)
    found = verify(tmp_path)
    assert found.holds, found.checks
    assert "forward" in {check.name for check in found.checks}
