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
    return [check.name for check in verification.checks if check.holds is False]


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
    with pytest.raises(ValueError, match="'first'"):
        print_verification(verification)


def test_padding_is_not_compared(folder, recorded, tmp_path):
    """By a mask that hides a token even from itself, or by a run of padding behind the text."""
    model = GlmInfillForConditionalGeneration.from_pretrained(folder).eval()
    pad, size = model.config.pad_token_id, recorded["tokens"].shape[1]
    columns = torch.arange(size)
    sees = (columns < recorded["attention_mask"][:, None, None]) | (columns <= columns[:, None])
    masked = recorded | {"attention_mask": sees[:, None].long()}
    masked["attention_mask"][1, :, :, 4] = 0
    with torch.no_grad():
        masked["logits"] = model(
            masked["tokens"],
            position_ids=masked["position_ids"].transpose(0, 1),
            attention_mask=masked["attention_mask"],
        ).logits.clone()
    assert verify(folder, save(masked, tmp_path / "right.npz")).holds
    masked["logits"][1, 4] += 1.0
    assert verify(folder, save(masked, tmp_path / "padded.npz")).holds
    masked["logits"][1, 3] += 1.0
    assert failed(verify(folder, save(masked, tmp_path / "wrong.npz"))) == ["first"]

    recorded["tokens"][1, 3:] = pad
    with torch.no_grad():
        recorded["logits"] = model(
            recorded["tokens"],
            position_ids=recorded["position_ids"].transpose(0, 1),
            prefix_lengths=recorded["attention_mask"],
        ).logits.clone()
    recorded["logits"][1, 4] += 1.0
    assert verify(folder, save(recorded, tmp_path / "run.npz")).holds
    recorded["logits"][1, 3] += 1.0  # the end of the text
    assert failed(verify(folder, save(recorded, tmp_path / "end.npz"))) == ["first"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tokens", lambda values: values + 10**6),
        ("tokens", lambda values: values - 10**6),
        ("tokens", lambda values: values.double()),
        ("position_ids", lambda values: values + 10**6),
        ("position_ids", lambda values: values[:1].repeat(3, 1, 1)),
    ],
)
def test_inputs_that_the_model_cannot_read_fail_by_name(folder, recorded, tmp_path, name, change):
    recorded[name] = change(recorded[name])
    assert failed(verify(folder, save(recorded, tmp_path / "r.npz"))) == ["first"]


def test_a_mask_of_other_rows_is_not_compared(folder, recorded, tmp_path):
    recorded["attention_mask"] = torch.tensor([4, 3, 2])
    with pytest.raises(ValueError, match="first"):
        verify(folder, save(recorded, tmp_path / "r.npz"))


@torch.no_grad()
def test_every_output_of_a_recorded_ganlm_is_compared(tmp_path):
    torch.manual_seed(0)
    config = models.GanLMConfig(**STACKS, pad_token_id=1, decoder_start_token_id=2)
    model = models.GanLMForPreTraining(config).eval()
    model.save_pretrained(tmp_path / "model")
    source, target = torch.tensor([[5, 6, 7, 2, 1]]), torch.tensor([[2, 8, 9, 1]])
    noisy, sampled = torch.tensor([[2, 11, 9, 1]]), torch.tensor([[8, 12, 2, 1]])
    tensors = {
        "pretrain.src_tokens": source,
        "pretrain.tgt_tokens": target,
        "generator.logits": model(source, decoder_input_ids=target).logits,
        "pretrain_run0.generator_logits": model(source, decoder_input_ids=target).logits,
        "pretrain_run0.denoising_decoder_input": noisy,
        "pretrain_run0.denoising_logits": model(source, decoder_input_ids=noisy).logits,
        "pretrain_run0.input_tokens": sampled,
        "pretrain_run0.discriminator_logits": model.discriminator_logits(source, sampled),
    }
    names = {
        "generator": "generator.logits",
        "pretrain_run0": "pretrain_run0.generator_logits",
        "pretrain_run0: denoising_logits": "pretrain_run0.denoising_logits",
        "pretrain_run0: discriminator_logits": "pretrain_run0.discriminator_logits",
    }
    for number, (name, key) in enumerate([("", ""), *names.items()]):
        changed = {k: v.clone() for k, v in tensors.items()}
        if key:
            changed[key][0, -1] += 1.0  # padding
            changed[key][0, 0] += 0.01
        save_file(changed, tmp_path / f"{number}.safetensors")
        found = verify(tmp_path / "model", tmp_path / f"{number}.safetensors")
        assert failed(found) == ([name] if name else [])
        assert set(names) <= {check.name for check in found.checks}


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
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        verify(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        verify(folder, tmp_path / "nowhere.npz")
    (tmp_path / "r.json").write_text(json.dumps({"a": {"b": [1.0]}}))
    with pytest.raises(ValueError, match=r"r\.json .*only a;"):
        verify(folder, tmp_path / "r.json")
    np.savez(tmp_path / "hostile.npz", **{"a.tokens": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match=r"hostile\.npz cannot be read"):
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
