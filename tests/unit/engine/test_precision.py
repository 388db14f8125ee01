import pytest
import torch

from unblank.engine.precision import (
    Precision,
    choose_device,
    choose_precision,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(("has_bf16", "has_amx"), [(True, False), (False, True), (False, False)])
def test_auto_takes_bf16_only_where_the_processor_multiplies_it(monkeypatch, has_bf16, has_amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    chosen = choose_precision("auto", CPU)
    assert chosen.name == ("bf16" if has_bf16 or has_amx else "fp32")
    assert "this CPU has" in chosen.reason
    assert choose_precision("fp32", CPU).name == "fp32"
    asked = choose_precision("bf16", CPU)
    assert asked.name == "bf16"
    assert ("although" in asked.reason) is not (has_bf16 or has_amx)


def test_bf16_products_run_in_bf16_and_fp32_ones_do_not():
    linear = torch.nn.Linear(4, 4)
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with Precision(name, "test").autocast(CPU):
            assert linear(torch.ones(2, 4)).dtype == dtype
    assert linear.weight.dtype == torch.float32


def test_auto_takes_the_processor_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == CPU
    with pytest.raises(ValueError, match="CUDA"):
        choose_device("cuda")


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert choose_device("auto", local_rank=3) == torch.device("cuda", 3)
    assert choose_device("cuda", local_rank=2) == torch.device("cuda", 2)
    assert choose_device("cuda:1", local_rank=0) == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("setting", "advice"), [("auto", "at most 2 processes"), ("cuda:5", "cuda:1 or less")]
)
def test_a_gpu_that_is_not_there_is_named_with_what_to_do(monkeypatch, setting, advice):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=rf"{setting}.*{advice}"):
        choose_device(setting, local_rank=2)
