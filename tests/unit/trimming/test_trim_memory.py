"""A model larger than memory is trimmed, and compared, with no more than one file of it held."""

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


COMPARED = """
import json, sys
from pathlib import Path
import torch
from unblank.models.glm import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.trimming.equality import largest_difference
from unblank.trimming.folder import trimmed_config, write_weights

folder = Path(sys.argv[1])
source, output = folder / "source", folder / "output"
source.mkdir()
output.mkdir()
config = GlmInfillConfig(vocab_size=512, hidden_size=512, num_hidden_layers=16,
                         num_attention_heads=8, max_position_embeddings=64)
model = GlmInfillForConditionalGeneration(config)
size = sum(one.nbytes for one in model.parameters())
model.save_pretrained(source, max_shard_size="16MB")
del model
kept = {old: old for old in range(256)}
settings = json.loads((source / "config.json").read_text())
settings |= {name: None for name in settings if name.endswith("token_id")}
(source / "config.json").write_text(json.dumps(settings))
(output / "config.json").write_text(json.dumps(trimmed_config(settings, kept, 256)))
write_weights(source, output, list(kept), 512)
texts = [torch.randint(0, 256, (60,)).tolist() for _ in range(3)]
largest_difference(output, output, texts[:1], kept)  # what is loaded once
with torch.no_grad():
    before = int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) * 1024
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
    difference, _ = largest_difference(source, output, texts, kept)
    peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
largest = max(path.stat().st_size for path in source.glob("*.safetensors"))
print("RESULT", json.dumps({"taken": peak - before, "file": largest, "model": size,
                            "difference": difference}))
"""


@pytest.mark.slow
def test_comparing_takes_the_memory_of_a_file_of_each(tmp_path):
    found = run_program(COMPARED, str(tmp_path))
    assert found["model"] > 10 * found["file"]
    # A file of each model, some tensors of 4 MB, and what the models compute.
    assert found["taken"] < 2 * found["file"] + 32e6
    assert found["difference"] < 1e-4
