"""`unblank convert`: shows what a checkpoint is and why, converts it, or verifies a folder."""

import math
from collections import Counter

from rich.console import Console
from rich.table import Table

from unblank.conversion.config import ConvertSettings, VerifySettings, parse_size
from unblank.conversion.convert import Conversion, prepare, write
from unblank.conversion.verify import show_verification, verify
from unblank.progress_bars import progress_bar

__all__ = ["run_convert"]

SHOWN_DROPPED = 5


def run_convert(config: ConvertSettings | VerifySettings) -> None:
    """Convert or verify as the settings say.

    Raises:
        FileNotFoundError: nothing to read, or a piece is missing.
        FileExistsError: the output exists.
        ValueError: anything else that is wrong with the input.
    """
    if isinstance(config, VerifySettings):
        show_verification(verify(config.verify, config.reference, tolerance=config.tolerance))
        return
    shard_bytes = parse_size(config.shard_size)
    if config.output.exists():
        raise FileExistsError(f"{config.output} exists: choose another folder, or remove it first")
    conversion = prepare(config.source, config)
    console = Console()
    console.print(_what_was_found(conversion))
    total = sum(math.prod(tensor.shape) for tensor in conversion.plan.tensors)
    with progress_bar(show=True) as progress:
        task = progress.add_task("writing weights", total=total)
        write(
            conversion,
            config.output,
            shard_bytes=shard_bytes,
            advance=lambda weights: progress.advance(task, weights),
        )
    console.print(f"wrote {config.output}: every key is accounted for in provenance.json")


def _what_was_found(conversion: Conversion) -> Table:
    plan = conversion.plan
    table = Table(title="Checkpoint", show_header=False)
    weights = sum(math.prod(tensor.shape) for tensor in plan.tensors)
    table.add_row("family", conversion.detection.family)
    table.add_row("evidence", "\n".join([*conversion.detection.evidence, *plan.evidence]))
    table.add_row("becomes", f"{plan.model_class.__name__}, {weights:,} weights")
    counts = Counter(tensor.action for tensor in plan.tensors)
    table.add_row("tensors", ", ".join(f"{count} {action}" for action, count in counts.items()))
    for dropped in plan.dropped[:SHOWN_DROPPED]:
        table.add_row("left out", f"{dropped.key}: {dropped.reason}")
    if len(plan.dropped) > SHOWN_DROPPED:
        table.add_row("left out", f"{len(plan.dropped) - SHOWN_DROPPED} more, in provenance.json")
    table.add_row("tokenizer", _tokenizer_line(conversion))
    if plan.traps:
        table.add_row("note", "\n".join(plan.traps))
    return table


def _tokenizer_line(conversion: Conversion) -> str:
    facts = conversion.plan.tokenizer_facts
    if conversion.plan.tokenizer is None and facts:
        return f"{facts['kind']}, see the note"
    if conversion.plan.tokenizer is None:
        return (
            "none: no vocabulary lies beside the weights. from_pretrained opens the result, but "
            "fill and score need a tokenizer: convert again with --tokenizer VOCABULARY"
        )
    files = " + ".join(facts.get("files", {}))
    return f"{facts.get('kind', '')} from {files}: {len(conversion.plan.tokenizer):,} tokens"
