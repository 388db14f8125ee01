"""A checkpoint larger than memory is converted: no more than a shard and a tensor is held."""

import pytest
from launched import run_program

PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
from unblank.bench.conversion import save_pieces
from unblank.bench.sizes import SIZES
from unblank.conversion.convert import plan_conversion, write_conversion
from unblank.conversion.options import ConvertOptions

def memory(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024

def converted(name, layers):
    folder = root / name
    size = replace(SIZES["toy"], layers=layers, width=512, heads=8, vocabulary=4096)
    save_pieces(folder / "1", size)
    (folder / "latest").write_text("1")
    total = sum(path.stat().st_size for path in folder.rglob("*.pt"))
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
    prepared = plan_conversion(folder, ConvertOptions(num_attention_heads=8))
    write_conversion(prepared, root / f"{name}-converted", shard_bytes=SHARD)
    return memory("VmHWM") - before, total

root, SHARD = Path(sys.argv[1]), 32 * 2**20
converted("first", 1)  # what is imported is no part of its memory
taken, total = converted("large", 10)
print("RESULT", json.dumps({"taken": taken, "shard": SHARD, "total": total}))
"""
LARGEST_TENSOR = 4 * 4096 * 512


@pytest.mark.slow
def test_conversion_takes_the_memory_of_a_shard_and_a_tensor(tmp_path):
    found = run_program(PROGRAM, str(tmp_path))
    assert found["total"] > 10 * found["shard"]
    assert found["taken"] < 1.3 * found["shard"] + LARGEST_TENSOR
    written = sorted((tmp_path / "large-converted").glob("model-*.safetensors"))
    assert len(written) > 10
