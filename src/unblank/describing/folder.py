"""A folder of any kind as facts: what it is, what it was made of, what can be done with it next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from os.path import isdir
from pathlib import Path
from typing import Any

from unblank.adapters.calibration import calibration_of
from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.describing.vocabulary import vocabulary_facts
from unblank.describing.weights import size_text, weights_facts
from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.run_state import RunState, read_run_state
from unblank.families.table import family_of_model_type
from unblank.finetuning.labels.tuned import has_label_head, tuned_on
from unblank.integrity import (
    CALIBRATION_NAME,
    CHECKPOINTS_NAME,
    MANIFEST_NAME,
    PROVENANCE_NAME,
    find_damage,
)
from unblank.untrusted.json_text import read_json_object

__all__ = ["describe_folder"]

_Facts = dict[str, str]

_PUBLISHED = (".pt", ".bin", ".pth", ".ckpt", ".th")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a folder is.

    Attributes:
        kind: such as "model", "adapter", "run", "tokenizer".
        facts: heading -> name -> fact, for people.
        next_commands: what can be done with it.
        damage: what is wrong with its files, if they were verified; empty if nothing is.
        is_verified: whether its files were compared with its record.
    """

    kind: str
    facts: dict[str, _Facts]
    next_commands: list[str] = field(default_factory=list)
    damage: str = ""
    is_verified: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.kind,
            "facts": self.facts,
            "next": self.next_commands,
            "verified": self.is_verified,
            "damage": self.damage,
        }


def describe_folder(path: Path, *, verify: bool = False) -> Description:
    """Return what a folder is.

    Args:
        path: of a model, adapter, prompt, tokenizer, checkpoint, prepared corpus or run.
        verify: compare its files with the sizes and hashes that were recorded.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: a file that it must read is damaged, or it is none of these.
    """
    if not path.exists():
        names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, names)
        hint = (
            f"; did you mean {', '.join(str(path.parent / name) for name in near)}?" if near else ""
        )
        raise FileNotFoundError(f"there is nothing at {path}{hint}")
    if not path.is_dir():
        raise ValueError(f"{path} is a file: give the folder of a model, tokenizer, corpus or run")
    state = read_run_state(path, verify=verify)
    if has_adapter(path):
        found = _adapter(path)
    elif (path / "config.json").is_file():
        found = _model(path)
    elif _is_corpus(path):
        found = _corpus(path)
    elif state is not None:
        found = Description(kind="run", facts={})
    elif (path / "tokenizer.json").is_file():
        found = _tokenizer(path)
    elif list_checkpoints(path):
        found = _checkpoints(path)
    elif corpora := _corpora_in(path):
        found = _prepared_text(path, corpora)
    else:
        raise ValueError(_no_folder_of_ours(path))
    facts = {**({"run": _run_facts(state)} if state else {}), **found.facts}
    if (path / CALIBRATION_NAME).is_file():
        facts["calibrated"] = _calibrations(path)
    next_commands = [*(_run_next(state) if state else ()), *found.next_commands]
    record = next(
        (name for name in (MANIFEST_NAME, PROVENANCE_NAME) if (path / name).is_file()), ""
    )
    kind = (
        f"checkpoint of a {found.kind}"
        if record == MANIFEST_NAME and found.kind != "prepared corpus"
        else found.kind
    )
    damage, is_verified = "", False
    if verify:
        damage, is_verified = _verified(path, record, found.kind)
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
        of_each = [_verified(one, record, "prepared corpus")[0] for one in _corpora_in(path)]
        return next(filter(None, of_each), ""), True
    if kind == "checkpoints":
        found = {one: find_damage(one) for one in list_checkpoints(path)}
        return next((f"{one}: {damage}" for one, damage in found.items() if damage), ""), True
    if not record:
        return "", False
    return find_damage(path, record) or "", True


def _model(path: Path) -> Description:
    config = read_json_object(path / "config.json")
    family = family_of_model_type(config.get("model_type"))
    names = config.get("architectures") or [str(config.get("model_type", "unknown"))]
    is_headed = family is not None and has_label_head(path)
    kind = "classifier" if is_headed else "model"
    facts: dict[str, _Facts] = {
        kind: {
            "class": str(names[0]),
            "family": "not of this library" if family is None else family.name,
            **_shape(config),
            **weights_facts(path),
        }
    }
    if is_headed:
        labels = config.get("id2label")
        if isinstance(labels, Mapping):
            facts[kind]["labels"] = ", ".join(map(str, labels.values()))
    if (path / "tokenizer.json").is_file():
        facts["vocabulary"] = vocabulary_facts(path)
    if trained := _provenance(path):
        facts["made"] = trained
    return Description(kind=kind, facts=facts, next_commands=_model_next(path, family, is_headed))


def _model_next(path: Path, family: Any, is_headed: bool) -> list[str]:
    if not (path / "tokenizer.json").is_file():
        return [f"unblank convert --complete {path} --tokenizer VOCABULARY"]
    if family is None:
        return []
    if is_headed:
        return [
            f"unblank predict {path} INPUT OUTPUT",
            f"unblank evaluate {path} --suite classifier --file FILE",
            f"unblank serve {path}",
        ]
    commands = []
    if family.writes == "blanks":
        commands += [
            f'unblank fill {path} "The cat [MASK] on the mat."',
            f'unblank score {path} "The cat [MASK] on the mat." --candidates sat slept',
        ]
        if tuned_on(path):  # what it was tuned for comes first
            commands.insert(0, f"unblank predict {path} INPUT OUTPUT")
        else:
            commands.append(f"unblank predict {path} INPUT OUTPUT --task NAME")
    if family.writes == "targets":
        commands.append(f'unblank generate {path} "A source."')
    if family.writes == "nothing":
        start = f"--model.init-from-encoder {path}"
        return [f"unblank finetune {start} --data.train FILE"] if family.gives_encoder else []
    commands.append(f"unblank serve {path}")
    commands.append(f"unblank finetune --model.init-from {path} --data.train FILE")
    return commands


def _adapter(path: Path) -> Description:
    record = AdapterRecord.read(path)
    base = Path(record.base_model)
    kind = {"lora": "LoRA adapter", "prompt": "prompt", "deep-prompt": "deep prompt"}[record.kind]
    facts: dict[str, _Facts] = {
        kind: {
            "parameters": f"{record.num_parameters:,}" if record.num_parameters else "unknown",
            "base model": f"{base}{'' if isdir(base) else ' (missing)'}",
            "classification head": "yes" if has_label_head(path) else "no",
            **{name: str(value) for name, value in record.settings.items()},
            "size on disk": size_text(path),
        }
    }
    if trained := _provenance(path):
        facts["made"] = trained
    if isdir(base):
        try:
            facts["base model"] = _model(base).facts.get("model", {})
        except ValueError as error:
            facts["base model"] = {"damaged": str(error)}
    commands = [f"unblank predict {path} INPUT OUTPUT"] if tuned_on(path) else []
    commands.append(f"unblank serve {path}")
    if not has_label_head(path):
        commands.append(f'unblank fill {path} "The cat [MASK] on the mat."')
        if record.kind == "lora":
            commands.append(f"unblank merge {path} OUTPUT")
    return Description(kind=kind, facts=facts, next_commands=commands)


def _tokenizer(path: Path) -> Description:
    return Description(
        kind="tokenizer",
        facts={"vocabulary": vocabulary_facts(path)},
        next_commands=[f"unblank pretrain --tokenizer.path {path} --data.train FILES"],
    )


def _corpus(path: Path) -> Description:
    manifest = read_json_object(path / MANIFEST_NAME)
    report = manifest.get("report")
    counts = report if isinstance(report, Mapping) else {}
    names = {
        "num_kept": "documents",
        "num_tokens": "tokens",
        "num_empty": "left out, empty",
        "num_short": "left out, too short",
    }
    facts = {shown: _number(counts[name]) for name, shown in names.items() if name in counts}
    unknown = counts.get("num_unknown")  # which earlier versions did not count
    facts["tokens unknown to the tokenizer"] = (
        "not counted" if unknown is None else _number(unknown)
    )
    if shards := _shards_of(path):
        facts["shards"] = f"{len(shards):,}, in folders beside this one"
    return Description(
        kind="prepared corpus", facts={"corpus": {**facts, "size on disk": size_text(path)}}
    )


def _corpora_in(path: Path) -> list[Path]:
    """Return the prepared corpora in a `data.cache_dir`, without the shards that they name."""
    folders = [one for one in sorted(path.iterdir()) if one.is_dir()]
    found = [one for one in folders if _is_corpus(one)]
    shards = {name for one in found for name in _shards_of(one) if name != one.name}
    return [one for one in found if one.name not in shards]


def _prepared_text(path: Path, corpora: Sequence[Path]) -> Description:
    facts: _Facts = {}
    for one in corpora:
        counts = _corpus(one).facts["corpus"]
        named = [f"{counts[name]} {name}" for name in ("documents", "tokens") if name in counts]
        facts[one.name] = ", ".join(named)
    return Description(
        kind="prepared text",
        facts={"corpora": facts},
        next_commands=[f"unblank pretrain --data.train FILES --data.cache-dir {path}"],
    )


def _is_corpus(path: Path) -> bool:
    """Whether a folder is a prepared corpus, or calls itself one."""
    return (path / "offsets.bin").is_file() or "shards" in _record_of_corpus(path)


def _shards_of(path: Path) -> list[str]:
    """Return the names of the shards of a prepared corpus that has several."""
    found = _record_of_corpus(path).get("shards")
    return list(map(str, found)) if isinstance(found, list) else []


def _record_of_corpus(path: Path) -> dict[str, Any]:
    record = path / MANIFEST_NAME
    return read_json_object(record) if record.is_file() else {}


def _number(value: object) -> str:
    """Return a count with thousands separated; what is none, as it is."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _checkpoints(path: Path) -> Description:
    found = list_checkpoints(path)
    facts = {"checkpoints": ", ".join(one.name for one in found)}
    return Description(
        kind="checkpoints", facts={"run": facts}, next_commands=[f"unblank info {found[0]}"]
    )


def _calibrations(path: Path) -> _Facts:
    """Return what a folder's calibration was learned from and keeps, or why it is of no use."""
    try:
        known = calibration_of(path)
    except (ValueError, OSError) as error:
        return {"refused": str(error)}
    assert known is not None
    found = {"fills": known.fills, "candidates": known.candidates, **known.labels}
    facts: _Facts = {}
    for name, one in found.items():
        if one is not None:
            kept = "" if one.abstain_below is None else f"; abstains below {one.abstain_below:.3g}"
            facts[name] = f"{one.source}{kept}"
    for name, labels in known.labels.items():
        if labels.thresholds:
            each = [f"{label} {least:.3g}" for label, least in labels.thresholds.items()]
            facts[f"{name}, thresholds"] = ", ".join(each)
    return facts


def _run_facts(state: RunState) -> _Facts:
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


def _shape(config: Mapping[str, Any]) -> _Facts:
    names = {
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "encoder_layers": "encoder layers",
        "decoder_layers": "decoder layers",
        "num_attention_heads": "attention heads",
        "max_position_embeddings": "positions",
    }
    return {
        shown: f"{config[name]:,}"
        for name, shown in names.items()
        if isinstance(config.get(name), int)
    }


def _provenance(path: Path) -> _Facts:
    """Return what a folder was trained on or made of."""
    file = path / PROVENANCE_NAME
    if not file.is_file():
        return {}
    record = read_json_object(file)
    facts: _Facts = {}
    for name, shown in (("made_by", "by"), ("program", "by"), ("finished", "finished")):
        if isinstance(record.get(name), str):
            facts[shown] = record[name]
    source = record.get("source")
    if isinstance(source, Mapping) and "path" in source:
        facts["from"] = str(source["path"])
    for name in ("steps", "samples", "tokens"):
        if isinstance(record.get(name), int):
            facts[name] = f"{record[name]:,}"
    for name in ("loss", "validation_loss"):
        if isinstance(record.get(name), float):
            facts[name.replace("_", " ")] = f"{record[name]:.4f}"
    settings = record.get("settings")
    if isinstance(settings, Mapping):
        facts |= _setting_facts(settings)
    scores = record.get("scores")
    if isinstance(scores, Mapping):
        facts["held out"] = ", ".join(
            f"{name} {value:.4g}" for name, value in scores.items() if isinstance(value, float)
        )
    return facts


def _setting_facts(settings: Mapping[str, Any]) -> _Facts:
    facts: _Facts = {}
    for name in ("task", "method"):
        if isinstance(settings.get(name), str):
            facts[name] = settings[name]
    data = settings.get("data")
    if isinstance(data, Mapping) and data.get("train"):
        train = data["train"]
        facts["trained on"] = ", ".join(map(str, train)) if isinstance(train, list) else str(train)
    model = settings.get("model")
    if isinstance(model, Mapping) and model.get("init_from"):
        facts["started from"] = str(model["init_from"])
    objective = settings.get("objective")
    if isinstance(objective, Mapping) and "task" not in settings:
        facts["blanks learned"] = _objectives(objective)
    return facts


def _objectives(objective: Mapping[str, Any]) -> str:
    """Return which blanks a pretraining filled, by the weights of its objectives."""
    masks = {
        "token": "words ([MASK])",
        "sentence": "sentences ([sMASK])",
        "document": "long passages ([gMASK])",
        "masked": "single tokens in place, as BERT",
        "causal": "left to right, as GPT",
    }
    found = [shown for name, shown in masks.items() if objective.get(name)]
    shown = ", ".join(found) or "none"
    return shown if objective.get("task_masks", True) else f"{shown}; all as [MASK]"


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
