"""DeltaLM equals what the original program recorded: states, losses, generation, initialisation.

Sizes and cases come from the folder `deltalm` itself; what a folder does not hold is skipped by
name.
"""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from conftest import recorded, require
from unblank.conversion.deltalm import read_deltalm_checkpoint
from unblank.models.deltalm import DeltaLMForConditionalGeneration

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
PADDINGS = ("left_padded", "right_padded")


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "deltalm")


@pytest.fixture(scope="module")
def sizes(folder: Path) -> dict:
    return json.loads(require(folder / "config.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return recorded(folder / "outputs.safetensors")


@pytest.fixture(scope="module")
def numbers(folder: Path) -> dict:
    return json.loads(require(folder / "outputs.json").read_text(encoding="utf-8"))


def load(config, state_dict) -> DeltaLMForConditionalGeneration:
    model = DeltaLMForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(state_dict, strict=False)
    assert missing == ["lm_head.weight"]
    assert not unexpected
    model.tie_weights()
    return model.float().eval()


def published(folder: Path, sizes: dict, **options):
    return read_deltalm_checkpoint(
        require(folder / "published_layout" / "deltalm.pt"),
        num_attention_heads=sizes["heads"],
        vocab_size=sizes["words"],
        max_position_embeddings=sizes["max_positions"],
        **options,
    )


@pytest.fixture(scope="module", params=["published", "fairseq"])
def model(request, folder: Path, sizes: dict):
    if request.param == "published":
        return load(*published(folder, sizes))
    files = sorted((folder / "fairseq_checkpoint").glob("*.pt"))
    if not files:
        pytest.skip("no fairseq checkpoint is recorded here")
    return load(*read_deltalm_checkpoint(files[0]))


@pytest.fixture(params=["sdpa", "eager"])
def kernel(request, model):
    model.set_attn_implementation(request.param)
    yield model
    model.set_attn_implementation("sdpa")


def case_of(tensors, name):
    return tensors.get(name) or pytest.skip(f"case {name} is not recorded here")


def at(is_real: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert_close(ours[is_real], theirs[is_real], **TOLERANCE)


@pytest.mark.parametrize("padding", PADDINGS)
@torch.no_grad()
def test_states_and_logits_equal_the_original(padding, kernel, tensors, sizes):
    case = case_of(tensors, padding)
    output = kernel(
        case["src_tokens"],
        decoder_input_ids=case["prev_output_tokens"],
        output_hidden_states=True,
    )
    in_source = case["src_tokens"] != sizes["pad"]
    in_target = case["prev_output_tokens"] != sizes["pad"]
    at(in_source, output.encoder_last_hidden_state, case["encoder_out"])
    assert len(output.encoder_hidden_states) == sizes["encoder_layers"] + 1
    assert len(output.decoder_hidden_states) == sizes["decoder_layers"] + 1
    for index, state in enumerate(output.encoder_hidden_states):
        at(in_source, state, case[f"encoder_state{index}"])
    for index, state in enumerate(output.decoder_hidden_states):
        at(in_target, state, case[f"decoder_state{index}"])
    at(in_target, output.logits, case["logits"])
