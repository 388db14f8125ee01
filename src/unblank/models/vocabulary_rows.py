"""A model's tables of the vocabulary: more rows, or the rows of another vocabulary.

Every table with a row for each token is found by its name, tied ones once; heads that are not tied,
and their biases, change as the embeddings do. Shapes: `V` old rows, `W` new rows, `D` width.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["VOCABULARY_TABLES", "replace_rows"]

VOCABULARY_TABLES = ("embed_tokens.weight", "lm_head.weight", "lm_head.bias")
"""Endings of the names of tensors with one row per token, in every model of the library."""


@torch.no_grad()
def replace_rows(
    model: nn.Module, sources: Sequence[Sequence[int]], num_rows: int, num_tokens: int
) -> None:
    """Give a model the rows of another vocabulary, and set the sizes that its parts know.

    Args:
        model: with tables of `config.vocab_size` rows; its `vocab_size` becomes W.
        sources: for every new row the old rows whose mean it becomes; none is the mean of all.
        num_rows: W; rows beyond the sources become the mean of all.
        num_tokens: old rows that belong to tokens, which that mean is taken over.
    """
    config: Any = model.config
    old_size = config.vocab_size
    new_tables: dict[int, nn.Parameter] = {}
    for module, name, table in list(_tables(model, old_size)):
        if id(table) not in new_tables:
            rows = _mean_rows(table, sources, num_rows, num_tokens)
            new_tables[id(table)] = nn.Parameter(rows, requires_grad=table.requires_grad)
        setattr(module, name, new_tables[id(table)])
        if isinstance(module, nn.Embedding):
            module.num_embeddings = num_rows
        if isinstance(module, nn.Linear):
            module.out_features = num_rows
    for one in _configs(model):
        one.vocab_size = num_rows


def _tables(model: nn.Module, num_rows: int) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_table = f"{path}.{name}".endswith(VOCABULARY_TABLES)
            if is_table and parameter.shape[0] == num_rows:
                yield module, name, parameter


def _configs(model: nn.Module) -> list[Any]:
    """Return the configurations of a model and its parts, each once."""
    found = {id(one): one for part in model.modules() if (one := getattr(part, "config", None))}
    return list(found.values())


def _mean_rows(
    table_VD: Tensor, sources: Sequence[Sequence[int]], num_rows: int, num_tokens: int
) -> Tensor:
    """Return float[W, D], the means of old rows, summed in float64 so that single rows stay."""
    counts = torch.tensor([len(source) for source in sources])
    flat = torch.tensor([row for source in sources for row in source], dtype=torch.long)
    places = torch.repeat_interleave(torch.arange(len(sources)), counts)
    single = counts[places] == 1
    trailing = [1] * (table_VD.dim() - 1)
    mean_D = table_VD[:num_tokens].double().mean(dim=0).to(table_VD.dtype)
    rows_WD = mean_D.repeat(num_rows, *trailing)
    rows_WD[places[single]] = table_VD[flat[single]]
    many = (counts > 1).nonzero()[:, 0]
    sums = torch.zeros(len(sources), *table_VD.shape[1:], dtype=torch.float64)
    sums.index_add_(0, places[~single], table_VD[flat[~single]].double())
    rows_WD[many] = (sums[many] / counts[many].reshape(-1, *trailing)).to(table_VD.dtype)
    return rows_WD
