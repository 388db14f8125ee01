"""Muon against singular value decompositions, against torch's own, and its choice of weights."""

import pytest
import torch
from torch import nn
from training_toys import toy_model

from unblank.engine.muon import Muon, orthogonalize
from unblank.engine.optimizers import build_optimizers, layer_matrices
from unblank.engine.settings import OptimSettings

MUON = OptimSettings(name="muon", learning_rate=1e-3)


def matrices(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 24), (2, 16, 64), (2, 64, 16)])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape, scale):
    given = matrices(*shape) * scale
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    found = left.mT @ orthogonalize(given) @ right.mT
    diagonal = found.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(found, torch.diag_embed(diagonal), atol=2e-3, rtol=0)
    is_large = values > 0.05 * values.amax(dim=1, keepdim=True)
    assert ((diagonal[is_large] > 0.6) & (diagonal[is_large] < 1.25)).all()
    assert (diagonal > 0).all()


def test_the_factor_of_wide_matrices_is_the_iteration_itself():
    wide = matrices(2, 16, 64)
    # Columns of zeros change no product, but make a matrix too narrow for the factor a wide one.
    narrow = wide[:, :, :31]
    padded = nn.functional.pad(narrow, (0, 33))
    torch.testing.assert_close(orthogonalize(padded)[:, :, :31], orthogonalize(narrow))


def test_a_matrix_of_zeros_stays_zero():
    assert not orthogonalize(torch.zeros(1, 8, 8)).any()


def test_bfloat16_comes_near_float32():
    given = matrices(2, 32, 48)
    rough = orthogonalize(given, torch.bfloat16)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - orthogonalize(given)).abs().mean() < 0.02


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_steps_are_those_of_torch(shape):
    theirs, ours = (nn.Parameter(matrices(*shape)) for _ in range(2))
    reference = torch.optim.Muon(
        [theirs], lr=0.1, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    # bfloat16 on both sides, as torch knows no other.
    optimizer = Muon([{"params": [ours]}], lr=0.1, weight_decay=0.1, dtype=torch.bfloat16)
    for step in range(5):
        for parameter in (theirs, ours):
            parameter.grad = matrices(*shape, seed=step + 1)
        reference.step()
        optimizer.step()
    moved = (theirs - matrices(*shape)).norm()
    assert (theirs - ours).norm() < 0.03 * moved


def test_fused_projections_are_made_orthogonal_apart():
    fused, apart = nn.Parameter(matrices(24, 8)), [nn.Parameter(matrices(24, 8)[:8].clone())]
    apart += [nn.Parameter(matrices(24, 8)[start : start + 8].clone()) for start in (8, 16)]
    fused.grad = matrices(24, 8, seed=1)
    for number, part in enumerate(apart):
        part.grad = fused.grad[8 * number : 8 * number + 8].clone()
    Muon([{"params": [fused], "num_parts": 3}], lr=0.1).step()
    Muon([{"params": apart}], lr=0.1).step()
    torch.testing.assert_close(fused, torch.cat(apart))


def test_muon_takes_the_matrices_of_layers_and_adamw_all_else():
    model = toy_model()
    names = {parameter: name for name, parameter in model.named_parameters()}
    chosen = {names[one]: parts for one, parts in layer_matrices(model).items()}
    assert chosen == {
        f"model.layers.{layer}.{name}.weight": parts
        for layer in range(2)
        for name, parts in {
            "self_attn.qkv_proj": 6,
            "self_attn.o_proj": 1,
            "mlp.up_proj": 1,
            "mlp.down_proj": 1,
        }.items()
    }
    optimizers = build_optimizers(model, MUON, 1e-3)
    taken = [one for two in optimizers for group in two.param_groups for one in group["params"]]
    assert sorted(map(id, taken)) == sorted(map(id, model.parameters()))


def test_a_model_without_trained_matrices_in_layers_is_refused():
    model = toy_model()
    for parameter in layer_matrices(model):
        parameter.requires_grad_(False)
    with pytest.raises(ValueError, match="muon"):
        build_optimizers(model, MUON, 1e-3)
