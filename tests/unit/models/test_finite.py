"""Which weights count as finite."""

import pytest
import torch

from unblank.models.finite import is_finite


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_only_nan_and_infinity_are_not_finite(dtype):
    largest = torch.finfo(dtype).max
    given = [0.0, -0.0, largest, -largest]
    assert is_finite(torch.tensor(given, dtype=dtype))
    for odd in (float("nan"), float("inf"), float("-inf")):
        assert not is_finite(torch.tensor([*given, odd], dtype=dtype))
        assert not is_finite(torch.tensor([odd], dtype=dtype))
