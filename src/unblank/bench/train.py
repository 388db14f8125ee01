"""The training step beside BERT, T5 and BART; what a large vocabulary costs; the time to start.

And GanLM's step beside the T5 objective on the same encoder-decoder.
"""

from dataclasses import replace

from unblank.bench.flops import (
    BYTES_PER_PARAMETER,
    ganlm_step_flops,
    num_parameters,
    t5_objective_flops,
    training_step_flops,
)
from unblank.bench.race import Contestant, Log, Result, paired_ratio, race
from unblank.bench.report import (
    ReportRow,
    Section,
    Target,
    at_least,
    at_most,
    compare_rates,
    compare_times,
)
from unblank.bench.sizes import Size

__all__ = [
    "measure_ganlm",
    "measure_muon",
    "measure_start",
    "measure_steps",
    "measure_vocabulary",
    "ours",
]

_PEERS = {"BERT": "bert_training", "T5": "t5_training", "BART": "bart_training"}

_TARGETS: dict[tuple[str, str], Target] = {
    ("small", "BERT"): at_least(4.5),
    ("small", "T5"): at_least(3),
    ("small", "BART"): at_least(8),
    ("small", "ceiling"): at_least(0.45),
    ("small", "memory"): at_most(0.6),
    ("small", "vocabulary"): at_most(1.6),
    ("small", "start"): at_most(12, of="ours"),
    ("small", "GanLM"): at_most(1.5),
    ("base", "GanLM"): at_most(1.5),
    ("tiny", "Muon"): at_most(0.08),
    ("small", "Muon"): at_most(0.08),
    ("base", "BERT"): at_least(3),
    ("base", "T5"): at_least(3),
    ("base", "BART"): at_least(6),
    ("base", "ceiling"): at_least(0.55),
}


def measure_steps(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows of a whole training step: speed, share of the ceiling, memory."""
    contestants = {"ours": ours(size)}
    for name, builder in _PEERS.items():
        workload = f"unblank.bench.peers:{builder}"
        contestants[name] = Contestant(workload=workload, arguments={"size": size.name})
    contestants["ceiling"] = Contestant(
        workload="unblank.bench.models:matrix_ceiling", is_arranged=True
    )
    results = race(contestants, repeats, log)
    rows = [_speed_row(size, name, results) for name in _PEERS]
    rows += [_ceiling_row(size, results), _memory_row(size, results)]
    return [Section(name="training step", size=size.name, rows=rows, results=results)]


def measure_vocabulary(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows that compare our step with itself at a multilingual vocabulary.

    One loss is exact, the other estimated from as many rows as the usual vocabulary has.
    """
    contestants = {
        "exact": ours(size, size.large_vocabulary),
        "sampled": ours(size, size.large_vocabulary, sampled_softmax=size.vocabulary),
        "usual": ours(size),
    }
    results = race(contestants, repeats, log)
    large = replace(size, vocabulary=size.large_vocabulary)
    exact_floor = training_step_flops(large) / training_step_flops(size)
    floors = {"exact": f"{exact_floor:.2f} x the FLOP", "sampled": "the same FLOP"}
    rows = [
        compare_times(
            results[loss],
            results["usual"],
            name=f"training step, {size.name}: {size.large_vocabulary:,} rows, {loss} loss",
            peer_name=f"with {size.vocabulary:,} rows",
            target=_TARGETS.get((size.name, "vocabulary")) if loss == "sampled" else None,
            floor=floor,
        )
        for loss, floor in floors.items()
    ]
    return [Section(name="vocabulary", size=size.name, rows=rows, results=results)]


def measure_ganlm(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the row that compares GanLM's step with one of the T5 objective on the same model."""
    results = race({"ours": _ganlm(size), "T5": _ganlm(size, is_t5=True)}, repeats, log)
    row = compare_times(
        results["ours"],
        results["T5"],
        name=f"GanLM step, {size.name}: against the T5 objective",
        peer_name="generator alone",
        target=_TARGETS.get((size.name, "GanLM")),
        floor=f"{ganlm_step_flops(size) / t5_objective_flops(size):.2f} x the FLOP",
    )
    return [Section(name="GanLM step", size=size.name, rows=[row], results=results)]


def measure_muon(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the row of the share of a training step that Muon takes."""
    arguments = {"size": size.name}
    contestants = {
        "Muon": Contestant(
            workload="unblank.bench.models:muon_alone", arguments=arguments, is_arranged=True
        ),
        "step": Contestant(
            workload="unblank.bench.models:glm_training",
            arguments={**arguments, "optimizer": "muon"},
            is_arranged=True,
        ),
    }
    results = race(contestants, repeats, log)
    positions = size.batch * size.row_length
    row = compare_times(
        results["Muon"],
        results["step"],
        name=f"training step, {size.name}: Muon's share",
        peer_name=f"whole step, {positions:,} positions",
        target=_TARGETS.get((size.name, "Muon")),
    )
    return [Section(name="Muon", size=size.name, rows=[row], results=results)]


def measure_start(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the row of the time from the command to the first step, shards prepared before."""
    contestants = {
        "ours": Contestant(
            workload="unblank.bench.startup:pretrain_start", arguments={"size": size.name}
        ),
        "imports": Contestant(workload="unblank.bench.startup:imports_alone"),
    }
    results = race(contestants, repeats, log, warmups=1)
    row = compare_times(
        results["ours"],
        results["imports"],
        name=f"start of training, {size.name}: command to first step",
        unit="s",
        peer_name="imports alone",
        target=_TARGETS.get((size.name, "start")),
        floor="python, import torch and transformers",
    )
    return [Section(name="start of training", size=size.name, rows=[row], results=results)]


def ours(size: Size, vocabulary: int | None = None, sampled_softmax: int = 0) -> Contestant:
    """Return our training step as a contestant, with memory arranged as the command does."""
    return Contestant(
        workload="unblank.bench.models:glm_training",
        arguments={
            "size": size.name,
            "vocabulary": vocabulary,
            "sampled_softmax": sampled_softmax,
        },
        is_arranged=True,
    )


def _ganlm(size: Size, *, is_t5: bool = False) -> Contestant:
    return Contestant(
        workload="unblank.bench.ganlm:ganlm_training",
        arguments={"size": size.name, "is_t5": is_t5},
        is_arranged=True,
    )


def _speed_row(size: Size, peer: str, results: dict[str, Result]) -> ReportRow:
    # The paired ratio of the ceiling's FLOP/s to our texts/s is the floor in texts/s, per FLOP.
    flops_per_token = training_step_flops(size) / size.text_tokens
    ceiling = results["ceiling"].rate / flops_per_token
    return compare_rates(
        results["ours"],
        results[peer],
        name=f"training step, {size.name}, against {peer}",
        unit="text tokens/s",
        peer_name=peer,
        target=_TARGETS.get((size.name, peer)),
        floor=f"{ceiling:,.0f} text tokens/s at the ceiling",
    )


def _ceiling_row(size: Size, results: dict[str, Result]) -> ReportRow:
    flops = training_step_flops(size)
    per_token = flops / size.text_tokens
    return ReportRow(
        name=f"training step, {size.name}: share of the matrix-product ceiling",
        unit="GFLOP/s",
        ours=results["ours"].rate * per_token / 1e9,
        peer_name="2048^3 products",
        peer=results["ceiling"].rate / 1e9,
        ratio=paired_ratio(results["ours"], results["ceiling"]) * per_token,
        target=_TARGETS.get((size.name, "ceiling")),
        floor=f"{flops / 1e9:,.0f} GFLOP a step",
    )


def _memory_row(size: Size, results: dict[str, Result]) -> ReportRow:
    mine, theirs = results["ours"], results["BERT"]
    state = num_parameters(size) * BYTES_PER_PARAMETER
    return ReportRow(
        name=f"training step, {size.name}: peak memory",
        unit="MB",
        ours=mine.peak_bytes / 1e6,
        peer_name="BERT",
        peer=theirs.peak_bytes / 1e6,
        ratio=mine.peak_bytes / theirs.peak_bytes,
        target=_TARGETS.get((size.name, "memory")),
        floor=f"{(mine.imports_bytes + state) / 1e6:,.0f} MB: libraries, weights, Adam",
    )
