"""A folder of any kind as facts: what it is, what it was made of, what can be done with it next."""

from pathlib import Path

from unblank.adapters.calibration import calibration_of
from unblank.adapters.record import has_adapter
from unblank.describing.corpora import (
    corpora_in,
    describe_corpus,
    describe_prepared_text,
    is_corpus,
)
from unblank.describing.description import Description, Facts
from unblank.describing.models import describe_adapter, describe_model, describe_tokenizer_folder
from unblank.describing.weights import nonfinite_weights
from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.run_state import RunState, read_run_state
from unblank.integrity import (
    CALIBRATION_NAME,
    CHECKPOINTS_NAME,
    MANIFEST_NAME,
    PROVENANCE_NAME,
    find_damage,
)
from unblank.near_names import near_paths
from unblank.path_arguments import disk_path
from unblank.untrusted.links import refuse_links_out

__all__ = ["describe_folder"]

_PUBLISHED = (".pt", ".bin", ".pth", ".ckpt", ".th")


def describe_folder(path: Path, *, verify: bool = False) -> Description:
    """Return what a folder is.

    Args:
        path: of a model, adapter, prompt, tokenizer, checkpoint, prepared corpus or run.
        verify: compare its files with the sizes and hashes that were recorded, and look for weights
            that are not finite.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: a file that it must read is damaged, a link leads out of it or nowhere, or it is
            none of these.
    """
    if not path.exists():
        disk_path(path, "the folder")
        raise FileNotFoundError(f"there is nothing at {path}{near_paths(path)}")
    if not path.is_dir():
        raise ValueError(f"{path} is a file: give the folder of a model, tokenizer, corpus or run")
    refuse_links_out(path)
    state = read_run_state(path, verify=verify)
    if has_adapter(path):
        found = describe_adapter(path)
    elif (path / "config.json").is_file():
        found = describe_model(path)
    elif is_corpus(path):
        found = describe_corpus(path)
    elif state is not None:
        found = Description(kind="run", facts={})
    elif (path / "tokenizer.json").is_file():
        found = describe_tokenizer_folder(path)
    elif list_checkpoints(path):
        found = _checkpoints(path)
    elif corpora := corpora_in(path):
        found = describe_prepared_text(path, corpora)
    else:
        raise ValueError(_no_folder_of_ours(path))
    facts = {**({"run": _run_facts(state)} if state else {}), **found.facts}
    if (path / CALIBRATION_NAME).is_file():
        facts["calibrated"] = _calibrations(path)
    next_commands = [*(_run_next(state) if state else ()), *found.next_commands]
    records = (name for name in (MANIFEST_NAME, PROVENANCE_NAME) if (path / name).is_file())
    record, kind = next(records, ""), found.kind
    if record == MANIFEST_NAME and kind != "prepared corpus":
        kind = f"checkpoint of a {kind}"
    damage, is_verified = "", False
    if verify:
        damage, is_verified = _verified(path, record, found.kind)
        if not damage and "values" in facts.get(found.kind, {}):
            facts[found.kind]["values"] = "all finite"
    return Description(
        kind=kind, facts=facts, next_commands=next_commands, damage=damage, is_verified=is_verified
    )


def _verified(path: Path, record: str, kind: str) -> tuple[str, bool]:
    """Return what is wrong with the files of a folder, and whether it has a record to tell."""
    if kind == "prepared corpus":
        from unblank.data.prepared import PreparedCorpus

        try:
            PreparedCorpus(path, verify=True)
        except ValueError as error:
            return str(error), True
        return "", True
    if kind == "prepared text":
        of_each = [_verified(one, record, "prepared corpus")[0] for one in corpora_in(path)]
        return next(filter(None, of_each), ""), True
    if kind == "checkpoints":
        found = {one: find_damage(one) or nonfinite_weights(one) for one in list_checkpoints(path)}
        return next((f"{one}: {damage}" for one, damage in found.items() if damage), ""), True
    damage = (record and find_damage(path, record)) or nonfinite_weights(path)
    return damage, bool(record)


def _checkpoints(path: Path) -> Description:
    found = list_checkpoints(path)
    facts = {"checkpoints": ", ".join(one.name for one in found)}
    return Description(
        kind="checkpoints", facts={"run": facts}, next_commands=[f"unblank info {found[0]}"]
    )


def _calibrations(path: Path) -> Facts:
    """Return what a folder's calibration was learned from and keeps, or why it is of no use."""
    try:
        known = calibration_of(path)
    except (ValueError, OSError) as error:
        return {"refused": str(error)}
    assert known is not None
    found = {"fills": known.fills, "candidates": known.candidates, **known.labels}
    facts: Facts = {}
    for name, one in found.items():
        if one is not None:
            kept = "" if one.abstain_below is None else f"; abstains below {one.abstain_below:.3g}"
            facts[name] = f"{one.source}{kept}"
    for name, labels in known.labels.items():
        if labels.thresholds:
            each = [f"{label} {least:.3g}" for label, least in labels.thresholds.items()]
            facts[f"{name}, thresholds"] = ", ".join(each)
    return facts


def _run_facts(state: RunState) -> Facts:
    word = "running" if state.is_running else "finished" if state.is_finished else "interrupted"
    facts = {"state": word, "progress": str(state)}
    facts["last checkpoint"] = str(state.checkpoint) if state.checkpoint else "none yet"
    return facts


def _run_next(state: RunState) -> list[str]:
    if (state.folder / "config.json").is_file() or has_adapter(state.folder):
        return []
    commands = []
    if state.checkpoint is not None:
        commands.append(f"unblank info {state.checkpoint}")
    if not state.is_running:
        commands.append("the command that started it, again, to go on")
    return commands


def _no_folder_of_ours(path: Path) -> str:
    published = sorted(one.name for one in path.iterdir() if one.suffix in _PUBLISHED)
    if published:
        return (
            f"{path} has {', '.join(published[:3])}, as a published checkpoint has: convert it "
            f"first: unblank convert {path} OUTPUT"
        )
    runs = sorted(one.name for one in path.iterdir() if (one / "run.yaml").is_file())
    if (path / CHECKPOINTS_NAME).is_dir():
        folder = path / CHECKPOINTS_NAME
        return f"{path} has no model yet, only {CHECKPOINTS_NAME}: see unblank info {folder}"
    if runs:
        return (
            f"{path} holds runs: give one of them: {', '.join(str(path / one) for one in runs[:5])}"
        )
    names = ", ".join(sorted(one.name for one in path.iterdir())[:5]) or "nothing"
    return f"{path} is not the folder of a model, adapter, tokenizer, corpus or run: it has {names}"
