"""Memory and speed of converting a published checkpoint, on one made up of random weights.

The checkpoint is a GLM in two model-parallel pieces, deeper than the size it is named after, so
that it is many shards long; merging has to copy every tensor. The peer reads all weights before it
writes them, as conversion scripts usually do.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from unblank.bench.race import Contestant, Log, paired_ratio, race
from unblank.bench.report import ReportRow, Section, Target, at_most
from unblank.bench.sizes import Size
from unblank.bench.worker import Workload
from unblank.conversion.convert import plan_conversion, write_conversion
from unblank.conversion.options import ConvertOptions

__all__ = ["measure_conversion"]

_RANKS = 2
_DEPTH = 3
"""Layers, as a multiple of the size's own: a base checkpoint is then 1.1 GB."""
_SHARDS = 8
"""Most shards of a checkpoint."""
_TARGETS: dict[str, Target] = {"base": at_most(1), "small": at_most(1)}


def measure_conversion(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows of memory and speed of a conversion."""
    with _checkpoint(size, log) as folder:
        total = sum(path.stat().st_size for path in folder.rglob("*.pt"))
        largest = 4 * size.width * max(size.vocabulary, 4 * size.width)
        shard = max(total // _SHARDS, largest)  # a shard holds at least one tensor
        arguments = {"folder": str(folder), "heads": size.heads}
        here = "unblank.bench.conversion"
        contestants = {
            "ours": Contestant(
                workload=f"{here}:conversion", arguments=arguments | {"shard_bytes": shard}
            ),
            "load and save": Contestant(
                workload=f"{here}:load_and_save", arguments={"folder": str(folder)}
            ),
        }
        results = race(contestants, repeats, log, warmups=0)
    limit = (1.3 * shard + largest) / 1e6
    mine = results["ours"]
    memory = (mine.peak_bytes - mine.imports_bytes) / 1e6
    rows = [
        ReportRow(
            name=f"conversion of {total / 1e6:,.0f} MB, {size.name}: memory beyond the libraries",
            unit="MB",
            ours=memory,
            peer_name="1.3 shards + a tensor",
            peer=limit,
            ratio=memory / limit,
            target=_TARGETS.get(size.name),
            floor=f"{shard / 1e6:,.0f} MB: one shard",
        ),
        ReportRow(
            name=f"conversion, {size.name}, against loading and saving",
            unit="MB/s",
            ours=mine.rate / 1e6,
            peer_name="load and save",
            peer=results["load and save"].rate / 1e6,
            ratio=paired_ratio(mine, results["load and save"]),
        ),
    ]
    return [Section(name="conversion", size=size.name, rows=rows, results=results)]


def conversion(folder: str, heads: int, shard_bytes: int) -> Workload:
    """Return the conversion of a checkpoint folder; unit: bytes of the source."""
    source = Path(folder)

    def step() -> float:
        with tempfile.TemporaryDirectory(dir=source.parent) as output:
            prepared = plan_conversion(source, ConvertOptions(num_attention_heads=heads))
            write_conversion(prepared, Path(output) / "out", shard_bytes=shard_bytes)
        return _source_bytes(source)

    return step


def load_and_save(folder: str) -> Workload:
    """Return reading all pieces and writing their tensors as one file; unit: bytes read."""
    source = Path(folder)

    def step() -> float:
        tensors: dict[str, torch.Tensor] = {}
        for rank, path in enumerate(sorted(source.rglob("*.pt"))):
            module = torch.load(path, weights_only=True)["module"]
            tensors |= {f"{rank}.{key}": tensor for key, tensor in module.items()}
        with tempfile.TemporaryDirectory(dir=source.parent) as output:
            save_file(tensors, Path(output) / "model.safetensors")
        return _source_bytes(source)

    return step


def save_pieces(folder: Path, size: Size) -> None:
    """Write the model-parallel pieces of a random GLM under the names of the original program."""
    generator = torch.Generator().manual_seed(0)
    width, inner = size.width, 4 * size.width
    weights = {
        "attention.query_key_value": (3 * width // _RANKS, width),
        "attention.dense": (width, width // _RANKS),
        "mlp.dense_h_to_4h": (inner // _RANKS, width),
        "mlp.dense_4h_to_h": (width, inner // _RANKS),
    }
    folder.mkdir(parents=True)
    for rank in range(_RANKS):
        module = {
            "word_embeddings.weight": (size.vocabulary // _RANKS, width),
            "transformer.position_embeddings.weight": (513, width),
            "transformer.block_position_embeddings.weight": (513, width),
            "transformer.final_layernorm.weight": (width,),
            "transformer.final_layernorm.bias": (width,),
        }
        for layer in range(_DEPTH * size.layers):
            prefix = f"transformer.layers.{layer}."
            for name, shape in weights.items():
                module |= {f"{prefix}{name}.weight": shape, f"{prefix}{name}.bias": shape[:1]}
            for name in ("input_layernorm", "post_attention_layernorm"):
                module |= {f"{prefix}{name}.{part}": (width,) for part in ("weight", "bias")}
        # What is not cut is the same in all pieces.
        tensors = {
            key: torch.randn(shape, generator=generator)
            if len(shape) == 2 and "position" not in key
            else torch.ones(shape)
            for key, shape in module.items()
        }
        path = folder / f"mp_rank_{rank:02d}_model_states.pt"
        torch.save({"module": tensors, "iteration": 1}, path)


@contextmanager
def _checkpoint(size: Size, log: Log) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="unblank-bench-"))
    try:
        log("making a checkpoint")
        save_pieces(root / "checkpoint" / "1", size)
        (root / "checkpoint" / "latest").write_text("1")
        yield root / "checkpoint"
    finally:
        shutil.rmtree(root)


def _source_bytes(source: Path) -> float:
    return float(sum(path.stat().st_size for path in source.rglob("*.pt")))
