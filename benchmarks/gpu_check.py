"""What a GPU does with Unblank, in at most eight minutes: speed, agreement with the CPU, shards.

    benchmarks/gpu_check.sh [--toy] [--minutes 8] [--json gpu_check.json]

Without a GPU, or with --toy, all parts run with tiny models, which says only that they run. A part
that fails, or that the time does not suffice for, is one line of the table; the others go on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import nn

import unblank
from unblank.bench.flops import ganlm_step_flops, training_step_flops
from unblank.bench.ganlm import build_ganlm, ganlm_batch
from unblank.bench.machine import machine
from unblank.bench.models import build_glm, glm_batch
from unblank.bench.sizes import SIZES, Size
from unblank.engine.optimizers import build_optimizers
from unblank.engine.parallel import shard_model
from unblank.engine.precision import choose_precision
from unblank.engine.settings import OptimSettings
from unblank.engine.units import InfillUnit, UnitModule
from unblank.families.ganlm_unit import GanLMUnit
from unblank.families.settings import GanLMSettings
from unblank.models import DeltaLMForConditionalGeneration
from unblank.models.deltalm.presets import deltalm_config
from unblank.tokenization.train import train_tokenizer

LARGE = Size(
    name="base", layers=24, width=1024, heads=16, vocabulary=30592, large_vocabulary=250112,
    text=464, part_a=396, part_b=116, batch=16,
)  # fmt: skip
"""GLM-Large in rows of 512."""
PEAKS = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L4": 121e12,
    "V100": 125e12,
}
"""FLOP/s of dense bf16 products (V100: fp16), as the makers give them."""
NUM_LOSSES = 50


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    value: float | None
    unit: str
    note: str = ""


@dataclass
class Check:
    """The device, the sizes that suit it, and what was found so far."""

    device: torch.device
    is_toy: bool
    ends: float
    rows: list[Row] = field(default_factory=list)

    @property
    def is_gpu(self) -> bool:
        """Whether there is a GPU."""
        return self.device.type == "cuda"

    def size(self, size: Size) -> Size:
        """Return the size, or a tiny one."""
        return SIZES["toy"] if self.is_toy else size

    def add(self, what: str, value: float | None, unit: str, note: str = "") -> None:
        """Keep a line, and print it at once: a machine that is lent may be taken away."""
        self.rows.append(Row(what, value, unit, note))
        shown = "-" if value is None else f"{value:,.4g}"
        print(f"{what:<52} {shown:>12} {unit:<12} {note}", flush=True)

    def seconds(self, work: Callable[[], object]) -> float:
        """Return the median time of a call, after two that are not counted."""
        times = []
        for number in range(4 if self.is_toy else 12):
            self._wait()
            start = time.perf_counter()
            work()
            self._wait()
            if number > 1:
                times.append(time.perf_counter() - start)
        return sorted(times)[len(times) // 2]

    def _wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize()


def main() -> None:
    """Run every part, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="tiny models, as without a GPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins after them")
    parser.add_argument("--json", type=Path, default=Path("gpu_check.json"))
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_toy = given.toy or device.type == "cpu"
    check = Check(device, is_toy, time.monotonic() + 60 * given.minutes)
    name = torch.cuda.get_device_name() if check.is_gpu else "CPU"
    print(f"unblank {unblank.__version__}, torch {torch.__version__}, {name}, toy: {check.is_toy}")
    with tempfile.TemporaryDirectory() as folder:
        attempt(check, "agreement with the CPU", lambda: agreement(check))
        attempt(check, "shards", lambda: shards(check))
        for kernel in ["sdpa"] + ["flex_attention"] * check.is_gpu:
            attempt(check, kernel, partial(glm_step, check, kernel, is_compiled=False))
        attempt(check, "encoder-decoders", lambda: encoder_decoder_steps(check))
        attempt(check, "commands", lambda: commands(check, Path(folder)))
        # Last, as compiling takes longest.
        for kernel in ["sdpa"] + ["flex_attention"] * check.is_gpu:
            attempt(
                check, f"{kernel}, compiled", partial(glm_step, check, kernel, is_compiled=True)
            )
    about = {**machine(), "device": name, "is_toy": check.is_toy}
    found = {"machine": about, "rows": [asdict(row) for row in check.rows]}
    given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written to {given.json}")
    failed = [row.what for row in check.rows if row.note.startswith("failed")]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def attempt(check: Check, what: str, part: Callable[[], None]) -> None:
    """Do a part; note that it failed or came too late, so that the others go on."""
    if time.monotonic() > check.ends:
        check.add(what, None, "", "left out: the time is over")
        return
    try:
        part()
    except Exception as error:  # whatever fails on a machine that is seen once
        check.add(what, None, "", f"failed: {type(error).__name__}: {str(error)[:300]}")
    if check.is_gpu:
        torch.cuda.empty_cache()


def glm_step(check: Check, kernel: str, *, is_compiled: bool) -> None:
    """Time a training step of GLM-Large by one attention kernel."""
    size = check.size(LARGE)
    model = build_glm(size).to(check.device).train()
    model.set_attn_implementation(kernel)
    if is_compiled:
        model.base_model.compile(dynamic=False)
    inputs = {key: one.to(check.device) for key, one in glm_batch(size).items()}
    seconds = check.seconds(training_step(check, model, lambda: model(**inputs).loss))
    what = f"GLM-{name_of(size)} step, {kernel}{', compiled' * is_compiled}"
    add_speed(check, what, size.text_tokens, training_step_flops(size), seconds)


def encoder_decoder_steps(check: Check) -> None:
    """Time a training step of GanLM and of DeltaLM, base, on the same corrupted texts."""
    size = check.size(replace(SIZES["base"], batch=16))
    batch = ganlm_batch(size)
    ganlm = build_ganlm(size).to(check.device).train()
    unit = GanLMUnit(ganlm.config, GanLMSettings(), seed=0)

    def ganlm_loss() -> torch.Tensor:
        losses = unit(ganlm, batch, check.device)
        terms = [one.loss_sum * unit.weights[name] / one.num_scored for name, one in losses.items()]
        return torch.stack(terms).sum()

    seconds = check.seconds(training_step(check, ganlm, ganlm_loss))
    what = f"GanLM-{name_of(size)} step"
    add_speed(check, what, size.text_tokens, ganlm_step_flops(size), seconds)
    preset = deltalm_config("deltalm-base", vocab_size=size.vocabulary)
    if check.is_toy:
        preset = deltalm_config("deltalm-tiny", vocab_size=size.vocabulary)
    deltalm = DeltaLMForConditionalGeneration(preset).to(check.device).train()
    inputs = batch.model_inputs(check.device)
    seconds = check.seconds(training_step(check, deltalm, lambda: deltalm(**inputs).loss))
    sides = {"encoder": batch.input_ids.numel(), "decoder": batch.labels.numel()}
    products = sum(
        positions * sum(part.weight.numel() for part in stack.modules() if is_linear(part))
        for side, positions in sides.items()
        for stack in [getattr(deltalm.base_model, side)]
    )
    table = batch.labels.numel() * deltalm.get_input_embeddings().weight.numel()
    what = f"DeltaLM-{name_of(size)} step"
    add_speed(check, what, size.text_tokens, 6 * (products + table), seconds)


def is_linear(part: nn.Module) -> bool:
    """Return whether a module multiplies by a matrix."""
    return isinstance(part, nn.Linear)


def name_of(size: Size) -> str:
    """Return the name of a size; LARGE has none among those of the benchmarks."""
    return "Large" if size is LARGE else size.name


def training_step(
    check: Check, model: nn.Module, loss: Callable[[], torch.Tensor]
) -> Callable[[], None]:
    """Return a step as a run takes it."""
    precision = choose_precision("auto", check.device)
    optimizers = build_optimizers(model, OptimSettings(), 1e-4, precision.dtype)

    def step() -> None:
        with precision.autocast(check.device):
            value = loss()
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def add_speed(check: Check, what: str, tokens: int, flops: int, seconds: float) -> None:
    """Add tokens of text a second, the share of the peak, and the memory of the largest moment."""
    note = f"{seconds:.3f} s a step"
    if check.is_gpu:
        note += f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
        torch.cuda.reset_peak_memory_stats()
    check.add(what, tokens / seconds, "tokens/s", note)
    name = torch.cuda.get_device_name() if check.is_gpu else ""
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    if peak is not None:
        check.add(f"{what}: MFU", 100 * flops / seconds / peak, "%", f"of {peak:.3g} FLOP/s")
    else:
        check.add(f"{what}: arithmetic", flops / seconds / 1e12, "TFLOP/s")


def agreement(check: Check) -> None:
    """Compare logits and 50 losses of the same small model on this device and on the CPU, fp32."""
    size = replace(SIZES["toy"], layers=4, width=128, batch=4)
    here, there = (build_glm(size).to(one) for one in (check.device, "cpu"))
    inputs = glm_batch(size)
    logits = []
    for model in (here, there):
        on = {key: one.to(model.device) for key, one in inputs.items() if key != "labels"}
        with torch.no_grad():
            logits.append(model.eval()(**on).logits.float().cpu())
    difference = float((logits[0] - logits[1]).abs().max() / logits[1].abs().max())
    check.add("logits against the CPU's, fp32", difference, "of the largest")
    losses = [fifty_losses(model, inputs) for model in (here, there)]
    worst = max(abs(one - two) / two for one, two in zip(*losses, strict=True))
    check.add(f"{NUM_LOSSES} losses against the CPU's, fp32", worst, "relative")
    if difference > 1e-3 or worst > 1e-2:
        raise ArithmeticError(f"logits differ by {difference:.2g}, losses by {worst:.2g}")


def fifty_losses(model: nn.Module, inputs: dict[str, torch.Tensor]) -> list[float]:
    """Return the losses of a training on one batch."""
    device = next(model.parameters()).device
    batch = {key: one.to(device) for key, one in inputs.items()}
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    losses = []
    for _ in range(NUM_LOSSES):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


class _Batch:
    """What a unit asks of a batch."""

    def __init__(self, inputs: dict[str, torch.Tensor]) -> None:
        self.labels = inputs["labels"]
        self._inputs = inputs

    def model_inputs(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Return the inputs on a device."""
        return {key: one.to(device) for key, one in self._inputs.items()}


def shards(check: Check) -> None:
    """Train with FSDP2 in one process, which exchanges nothing, and compare the losses."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    size = SIZES["toy"]
    batch: Any = _Batch(glm_batch(size))
    backend = "nccl" if check.is_gpu else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        store = dist.FileStore(str(Path(folder) / "store"), 1)
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
        try:
            mesh = init_device_mesh(check.device.type, (1,))
            losses: list[list[float]] = []
            for is_sharded in (False, True):
                module = UnitModule(build_glm(size).to(check.device), InfillUnit(), check.device)
                if is_sharded:
                    shard_model(module, mesh)
                optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
                losses.append([])
                for _ in range(10):
                    loss = module(batch)["lm"].loss_sum / (size.batch * size.part_b)
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    losses[-1].append(float(loss.detach()))
        finally:
            dist.destroy_process_group()
    worst = max(abs(one - two) / two for one, two in zip(*losses, strict=True))
    check.add("10 losses of FSDP2 in one process, against none", worst, "relative")
    if worst > 1e-4:
        raise ArithmeticError(f"sharded losses differ by {worst:.2g}")


def commands(check: Check, folder: Path) -> None:
    """Train, save, continue and use a model by the commands and calls that people use."""
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:40]]
    (folder / "text.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=1000, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    preset = "tiny" if check.is_toy else "large"
    shape = ["--model.preset", preset] + ["--model.num-hidden-layers", "2"] * check.is_toy
    words = [
        *shape, "--tokenizer.path", str(folder / "tokenizer"), "--data.train",
        str(folder / "text.txt"), "--data.cache-dir", str(folder / "shards"),
        "--train.batch-size", "4", "--train.log-every", "1", "--optim.schedule", "constant",
        "--data.max-length", "64" if check.is_toy else "512",
    ]  # fmt: skip
    whole = pretrain(check, folder / "whole", 8, words)
    pretrain(check, folder / "parts", 4, words)
    parts = pretrain(check, folder / "parts", 8, words)
    worst = max(abs(one - two) / two for one, two in zip(parts, whole, strict=True))
    check.add("losses after a checkpoint round trip", worst, "relative", "0 is bit for bit")
    model = unblank.load(folder / "whole", device=check.device.type)
    blanks = [f"The first word is [MASK] and the last [MASK], number {i}." for i in range(16)]
    options: dict[str, Any] = {"min_tokens": 16, "max_tokens": 16}
    seconds = check.seconds(lambda: model.fill(blanks, **options))
    check.add(f"fill, GLM-{preset}, 16 texts, 2 blanks", 16 * 2 * 16 / seconds, "tokens/s")
    candidates = [f"the word number {number}" for number in range(8)]
    seconds = check.seconds(lambda: model.score("This is [MASK].", candidates))
    check.add(f"score, GLM-{preset}, 8 candidates", 8 / seconds, "candidates/s")
    sources = [f"Say something of the number {i}." for i in range(16)]
    seconds = check.seconds(lambda: model.generate(sources, **options))
    check.add(f"generate, GLM-{preset}, 16 sources", 16 * 16 / seconds, "tokens/s")


def pretrain(check: Check, output: Path, steps: int, words: list[str]) -> list[float]:
    """Run `unblank pretrain` up to a step, and return the losses of all its steps."""
    command = [sys.executable, "-m", "unblank", "pretrain", *words]
    command += ["--train.output-dir", str(output), "--train.max-steps", str(steps)]
    command += ["--train.device", check.device.type]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(done.stderr[-300:])
    lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [float(json.loads(line)["loss"]) for line in lines]


if __name__ == "__main__":
    main()
