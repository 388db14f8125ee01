"""Print the table of docs/scaling.md: memory, exchange and checkpoints by formulas, no model built.

python benchmarks/scaling_table.py
"""

import torch

from unblank.engine.memory_plan import (
    ProcessLayout,
    checkpoint_bytes,
    count_sizes,
    exchanged_bytes,
    plan_memory,
)
from unblank.models import GlmInfillForConditionalGeneration
from unblank.models.glm.presets import glm_config

POSITIONS = 4 * 1024
"""Of a micro-batch: 4 rows."""
SCORED = POSITIONS // 5
LAYOUTS = {
    "base": [ProcessLayout("ddp", 1), ProcessLayout("ddp", 8), ProcessLayout("fsdp", 8)],
    "large": [ProcessLayout("ddp", 1), ProcessLayout("ddp", 8), ProcessLayout("fsdp", 8)],
    "2b": [ProcessLayout("fsdp", 8), ProcessLayout("fsdp", 16)],
    "10b": [
        ProcessLayout("fsdp", 8),
        ProcessLayout("fsdp", 16),
        ProcessLayout("fsdp", 64),
        ProcessLayout("fsdp", 64, shard_group=8),
    ],
}


def main() -> None:
    """Print a line for each preset and layout, in 10^9 bytes."""
    print("| preset | processes | memory each | sent in a step, each | a checkpoint | its part |")
    print("|---|---|---|---|---|---|")
    for preset, layouts in LAYOUTS.items():
        with torch.device("meta"):
            model = GlmInfillForConditionalGeneration(glm_config(preset))
        sizes = count_sizes(
            model,
            saves_all=True,
            has_average=False,
            positions=POSITIONS,
            scored=SCORED,
            micro_batches=1,
            passes=1.0,
            activation_bytes=2,
            recomputes=True,
        )
        for layout in layouts:
            needs = plan_memory(sizes, layout, on_cpu=False).values()
            group = f", groups of {layout.shard_group}" if layout.shard_group else ""
            saved = checkpoint_bytes(sizes)
            numbers = (sum(need.num_bytes for need in needs), exchanged_bytes(sizes, layout), saved)
            shown = " | ".join(f"{number / 1e9:,.1f} GB" for number in numbers)
            part = f"{saved / layout.shards / 1e9:,.1f} GB"
            print(f"| {preset} | {layout.size} {layout.parallel}{group} | {shown} | {part} |")


if __name__ == "__main__":
    main()
