"""Weights in float16 with float32 sums: rounded weights and nothing else, whatever the family."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file
from tiny_models import encoder_decoder, tiny_unblank
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

import unblank
from unblank.api import Unblank
from unblank.models.deltalm import DeltaLMForConditionalGeneration
from unblank.models.half_weights import HalfLinear, answering_model, weights_dtype

TEXTS = ["the old [MASK] cat sat", "one small dog [MASK] to some far [MASK]", "[MASK]"]


@pytest.fixture(autouse=True)
def _needs_fbgemm():
    if torch.backends.quantized.engine not in ("fbgemm", "x86"):
        pytest.skip("this processor has no FBGEMM")


@pytest.mark.parametrize("num_rows", [0, 1, 5, 40])
def test_a_layer_computes_with_rounded_weights_in_float32(num_rows):
    torch.manual_seed(0)
    layer, given = nn.Linear(96, 130), torch.randn(2, num_rows, 96)
    half = copy.deepcopy(layer).half()
    rounded = functional.linear(given.double(), half.weight.double(), half.bias.double())
    with torch.inference_mode():
        found = HalfLinear(half)(given)
    assert found.dtype == torch.float32
    assert_close(found, rounded.float(), rtol=1e-5, atol=1e-5)


def test_a_row_does_not_depend_on_the_rows_beside_it():
    torch.manual_seed(0)
    layer, given = HalfLinear(nn.Linear(64, 48)), torch.randn(9, 64)
    with torch.inference_mode():
        assert_close(layer(given)[4:5], layer(given[4:5]), rtol=1e-6, atol=1e-6)
        loud = given.clone()
        loud[0] *= 1e4
        assert_close(layer(loud)[4:5], layer(given)[4:5], rtol=1e-6, atol=1e-6)


def test_fills_are_those_of_rounded_weights_and_near_those_of_the_saved_ones():
    whole = tiny_unblank("bpe")
    rounded = Unblank(copy.deepcopy(whole.model).half().float(), whole.tokenizer)
    half = Unblank(answering_model(copy.deepcopy(whole.model).half()), whole.tokenizer)
    for num_beams in (1, 3):
        expected = rounded.fill(TEXTS, num_beams=num_beams, max_tokens=6)
        found = half.fill(TEXTS, num_beams=num_beams, max_tokens=6)
        assert [one.text for one in found] == [one.text for one in expected]
        for one, other in zip(found, expected, strict=True):
            pairs = zip(one.blanks, other.blanks, strict=True)
            for blank, wanted in pairs:
                assert blank.log_probability == pytest.approx(wanted.log_probability, abs=1e-4)
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        logits, saved = half.model(ids).logits, whole.model(ids).logits
    assert (logits - saved).abs().max() < 1e-2 * saved.abs().max()
    assert (logits - saved).abs().max() > 0


@pytest.mark.parametrize("family", ["deltalm", "ganlm"])
def test_an_encoder_decoder_answers_as_with_rounded_weights(family):
    model, tokenizer = encoder_decoder(family)
    half = Unblank(answering_model(copy.deepcopy(model).half()), tokenizer)
    rounded = Unblank(copy.deepcopy(model).half().float(), tokenizer)
    assert weights_dtype(half.model) == torch.float16
    sources = ["the old grey cat", "one small dog"]
    expected = [one.text for one in rounded.generate(sources, num_beams=2, max_tokens=8)]
    assert [one.text for one in half.generate(sources, num_beams=2, max_tokens=8)] == expected


def test_a_loss_under_an_untied_head_is_that_of_rounded_weights():
    config = copy.deepcopy(encoder_decoder("deltalm")[0].config)
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    half = DeltaLMForConditionalGeneration(config).eval().half()
    rounded = copy.deepcopy(half).float()
    assert half.lm_head.weight is not half.get_input_embeddings().weight
    ids = torch.arange(5, 15)[None]
    with torch.inference_mode():
        found = answering_model(half)(input_ids=ids, labels=ids).loss
        assert_close(found, rounded(input_ids=ids, labels=ids).loss, rtol=1e-4, atol=1e-4)


def test_a_folder_opens_in_fp16_and_is_saved_as_it_is(tmp_path):
    whole = tiny_unblank("bpe")
    whole.model.save_pretrained(tmp_path / "saved")
    whole.tokenizer.save_pretrained(tmp_path / "saved")
    half = unblank.load(tmp_path / "saved", dtype="fp16", device="cpu")
    assert "float16" in repr(half)
    assert half.model.lm_head.weight is half.model.model.embed_tokens.weight
    assert repr(half).split("dtype")[0] == repr(whole).split("dtype")[0]
    half.model.save_pretrained(tmp_path / "again")
    half.tokenizer.save_pretrained(tmp_path / "again")
    again = unblank.load(tmp_path / "again", dtype="fp16", device="cpu")
    assert again.fill(TEXTS[0]) == half.fill(TEXTS[0])


def test_models_of_other_dtypes_stay_as_they_are():
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny_unblank("bpe").model.to(dtype)
        assert answering_model(model) is model
        assert weights_dtype(model) == dtype
        assert not any(isinstance(part, HalfLinear) for part in model.modules())
        assert all(weight.requires_grad for weight in model.parameters())


def test_an_adapter_answers_as_before_it_was_packed():
    model = tiny_unblank("bpe").model
    settings = LoraConfig(r=4, target_modules=["qkv_proj", "up_proj"], init_lora_weights=False)
    adapted = inject_adapter_in_model(settings, model).half()
    rounded = copy.deepcopy(adapted).float().eval()
    packed = answering_model(adapted).eval()
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        assert_close(packed(ids).logits, rounded(ids).logits, rtol=1e-4, atol=1e-4)


def test_a_layer_takes_and_gives_bfloat16_under_autocast():
    torch.manual_seed(0)
    layer, given = HalfLinear(nn.Linear(64, 48)), torch.randn(3, 64).bfloat16()
    with torch.inference_mode():
        assert torch.equal(layer(given), layer(given.float()).bfloat16())


@pytest.mark.parametrize("family", ["glm", "deltalm", "ganlm"])
def test_a_model_that_answers_in_half_is_saved_in_the_one_data_type_that_it_declares(
    family, tmp_path
):
    saved = tiny_unblank("bpe").model if family == "glm" else encoder_decoder(family)[0]
    half = answering_model(copy.deepcopy(saved).half())
    half.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    declared = json.loads((tmp_path / "config.json").read_text())["dtype"]
    assert {str(one.dtype) for one in tensors.values()} == {f"torch.{declared}"}
    rounded = copy.deepcopy(saved).half().state_dict()
    for name, tensor in tensors.items():
        assert_close(tensor, rounded[name].float(), rtol=0, atol=0)
