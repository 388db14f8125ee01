"""A model larger than memory is trimmed file by file: no more than one of them is held."""

import pytest
from launched import run_program

PROGRAM = """
import json, resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from unblank.trimming.folder import write_weights

folder, result = Path(sys.argv[1]), {}
source, output = folder / "source", folder / "output"
source.mkdir()
output.mkdir()
index = {}
for number in range(8):
    name = f"model-{number + 1:05d}-of-00008.safetensors"
    layers = {f"layers.{number}.{one}.weight": torch.ones(1024, 1024) for one in range(8)}
    if not number:
        layers["embed_tokens.weight"] = torch.ones(1000, 1024)
    save_file(layers, source / name)
    index |= dict.fromkeys(layers, name)
    size = sum(4 * one.numel() for one in layers.values())
    del layers
weights = {"metadata": {}, "weight_map": index}
(source / "model.safetensors.index.json").write_text(json.dumps(weights))
before = int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
write_weights(source, output, list(range(500)), 1000)
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
print("RESULT", json.dumps({"taken": peak - before, "file": size}))
"""


@pytest.mark.slow
def test_trimming_takes_the_memory_of_one_file(tmp_path):
    found = run_program(PROGRAM, str(tmp_path))
    # A file, what is written of it, and a tensor.
    assert found["taken"] < 2.2 * found["file"]
    assert {path.name for path in (tmp_path / "output").iterdir()} == {
        path.name for path in (tmp_path / "source").iterdir()
    }
