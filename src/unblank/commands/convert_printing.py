"""What `unblank convert` prints: what a checkpoint is and why, progress, and checks of a folder."""

import math
from collections import Counter

from rich.table import Table

from unblank.atomic_folders import require_new
from unblank.commands.convert_settings import CompleteSettings, ConvertSettings, VerifySettings
from unblank.consoles import TextConsole
from unblank.conversion.complete import complete
from unblank.conversion.convert import Conversion, plan_conversion, write_conversion
from unblank.conversion.options import parse_size
from unblank.conversion.verify import Verification, verify
from unblank.progress_bars import counting_bar
from unblank.terminal_text import print_result

__all__ = ["complete_and_print", "convert_and_print", "print_verification", "verify_and_print"]

_SHOWN_DROPPED = 5
_HOLDS = {True: "yes", False: "NO", None: "-"}


def convert_and_print(settings: ConvertSettings) -> None:
    """Convert, and print what was found; errors as for `unblank.convert`."""
    shard_bytes = parse_size(settings.shard_size)
    require_new(settings.output)
    conversion = plan_conversion(settings.source, settings)
    console = TextConsole()
    console.print(_what_was_found(conversion))
    total = sum(math.prod(tensor.shape) for tensor in conversion.plan.tensors)
    with counting_bar("writing weights", total) as advance:
        write_conversion(conversion, settings.output, shard_bytes=shard_bytes, advance=advance)
    console.print(f"wrote {settings.output}: every key is accounted for in provenance.json")


def complete_and_print(settings: CompleteSettings) -> None:
    """Give a folder its tokenizer, and print which; errors as for `complete`."""
    found = complete(settings.complete, settings.tokenizer, language_tags=settings.language_tags)
    files = " + ".join(found.facts.get("files", {}))
    kind = found.facts.get("kind", "")
    size = f"{len(found.tokenizer):,} tokens"
    print_result(f"{settings.complete} has its tokenizer: {kind} from {files}, {size}")
    for line in found.traps:
        print_result(f"note: {line}")


def verify_and_print(settings: VerifySettings) -> None:
    """Check a folder and print the checks; errors as for `verify` and `print_verification`."""
    found = verify(settings.verify, settings.reference, tolerance=settings.tolerance)
    print_verification(found)


def print_verification(verification: Verification) -> None:
    """Print a table of the checks.

    Raises:
        ValueError: a check does not hold.
    """
    table = Table("check", "holds", title=f"Verification of {verification.folder}")
    table.add_column("found", overflow="fold")
    for check in verification.checks:
        table.add_row(check.name, _HOLDS[check.holds], check.detail)
    TextConsole().print(table)
    failed = [check for check in verification.checks if check.holds is False]
    if failed:
        raise ValueError(
            f"{verification.folder} failed the check {failed[0].name!r}: {failed[0].detail}"
            + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else "")
        )


def _what_was_found(conversion: Conversion) -> Table:
    plan = conversion.plan
    table = Table(title="Checkpoint", show_header=False)
    weights = sum(math.prod(tensor.shape) for tensor in plan.tensors)
    table.add_row("family", conversion.detection.family)
    table.add_row("evidence", "\n".join([*conversion.detection.evidence, *plan.evidence]))
    table.add_row("becomes", f"{plan.model_class.__name__}, {weights:,} weights")
    counts = Counter(tensor.action for tensor in plan.tensors)
    table.add_row("tensors", ", ".join(f"{count} {action}" for action, count in counts.items()))
    for dropped in plan.dropped[:_SHOWN_DROPPED]:
        table.add_row("left out", f"{dropped.key}: {dropped.reason}")
    if len(plan.dropped) > _SHOWN_DROPPED:
        table.add_row("left out", f"{len(plan.dropped) - _SHOWN_DROPPED} more, in provenance.json")
    table.add_row("tokenizer", _tokenizer_line(conversion))
    if plan.traps:
        table.add_row("note", "\n".join(plan.traps))
    return table


def _tokenizer_line(conversion: Conversion) -> str:
    facts = conversion.plan.tokenizer_facts
    if conversion.plan.tokenizer is None and facts:
        return f"{facts['kind']}, see the notes"
    if conversion.plan.tokenizer is None:
        return (
            "none: no vocabulary was found beside the weights. from_pretrained opens the result, "
            "but fill and score need a tokenizer: give it with unblank convert --complete OUTPUT "
            "--tokenizer VOCABULARY"
        )
    files = " + ".join(facts.get("files", {}))
    return f"{facts.get('kind', '')} from {files}: {len(conversion.plan.tokenizer):,} tokens"
