"""The README.md of a model folder: what it is, where it comes from, how to use it, what it cannot.

It is not part of the model: no record names it, so that a person may edit or replace it. Only a
card that is still as it was written here is ever replaced.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.integrity import ADAPTER_RECORD_NAME, CARD_NAME, PROVENANCE_NAME, write_atomically
from unblank.plurals import counted
from unblank.tokenization.framing import frame_in
from unblank.untrusted.json_text import read_json_object
from unblank.version import __version__

__all__ = ["write_card"]

_CONFIG_NAME = "config.json"
_MARK = "<!-- written by unblank, replaced unless edited: "
_LOADED = """```python
import unblank

model = unblank.load("path/of/this/folder")
```
"""
_CALL = """```python
import unblank
from transformers import pipeline

classify = pipeline("text-classification", model="path/of/this/folder")
classify("a text")
```
"""
_CALL_OF_PAIR = _CALL.replace('"a text"', '{"text": "one text", "text_pair": "another text"}')
_PREDICT = "`unblank predict` answers whole files, shortens texts as the task says"
_OPENED = "After `import unblank`, transformers' `AutoModelForSequenceClassification` opens it"
_UNFRAMED = (
    "The tokenizer does not make the rows of its training: put the same special tokens around each "
    "text as training did."
)


def write_card(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Write the card of a folder, unless a person has written or edited one.

    Args:
        folder: of a whole model, or of an adapter; another one gets no card.
        provenance: of what is in it; empty where nothing is known.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / CARD_NAME
    if path.exists() and not _is_ours(path):
        return
    if (folder / _CONFIG_NAME).is_file():
        text = _model_text(folder, read_json_object(folder / _CONFIG_NAME), provenance)
    elif (folder / ADAPTER_RECORD_NAME).is_file():
        text = _adapter_text(read_json_object(folder / ADAPTER_RECORD_NAME), provenance)
    else:
        return
    write_atomically(path, f"{text}{_MARK}{_digest(text)} -->\n")


def _is_ours(path: Path) -> bool:
    text, mark, rest = path.read_text(encoding="utf-8", errors="replace").rpartition(_MARK)
    return bool(mark) and rest == f"{_digest(text)} -->\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _model_text(folder: Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    names = config.get("architectures") or [config.get("model_type", "model")]
    positions = config.get("max_position_embeddings")
    is_classifier = "Classification" in names[0]
    does = "reads" if is_classifier else "reads and writes"
    limits = [f"It {does} at most {positions:,} tokens."] if positions else []
    if is_classifier:
        use = _use_of_classifier(folder, config)
    else:
        use = f"{_LOADED}\nAfter `import unblank`, transformers' Auto classes open it, too."
    return _text(names[0], _facts(provenance), use, limits)


def _use_of_classifier(folder: Path, config: Mapping[str, Any]) -> str:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return f"{_OPENED}, with the tokenizer of its training."
    frame = frame_in(read_json_object(path))
    if frame is None:
        return f"{_PREDICT}.\n\n{_OPENED}. {_UNFRAMED}"
    example = _CALL_OF_PAIR if len(frame.texts) > 1 else _CALL
    texts = " and ".join(f"`{text}`" for text in frame.texts)
    lines = [f"It reads {texts}: give the same, with the words around the fields if there are any."]
    if frame.truncation is None:
        lines.append("Texts that are too long are refused: `unblank predict` shortens them.")
    else:
        lines.append(f'`truncation="{frame.truncation}"` cuts a text that is too long.')
    if len(config.get("id2label") or ()) == 1:
        lines.append(
            'Its score compares candidates: give each one with `function_to_apply="none"`.'
        )
    lines.append(f"{_PREDICT}, and calibrates if there is a calibration.")
    return f"{example}\n{_listed(lines)}"


def _adapter_text(record: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    base = Path(str(record.get("base_model"))).name
    facts = [
        f"Trained beside `{base}`, whose weights did not change.",
        f"It holds {record.get('num_parameters', 0):,} numbers.",
    ]
    limits = [f"It works with the weights of `{base}` alone; `{ADAPTER_RECORD_NAME}` has its path."]
    use = f"{_LOADED}\nThe model that it belongs to is opened with it."
    title = f"{record.get('kind', 'adapter')} of {base}"
    return _text(title, [*_facts(provenance), *facts], use, limits)


def _text(title: str, facts: list[str], use: str, limits: list[str]) -> str:
    limits = [
        *limits,
        "It repeats what its training text says, wrong and harmful statements included.",
        "What was not measured is not known: measure it on your own data with `unblank evaluate`.",
    ]
    return f"""---
library_name: unblank
---

# {title}

{_listed(facts)}

## How to use it

{use}

`unblank info path/of/this/folder` lists what it can do.

## Limits

{_listed(limits)}
"""


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _facts(provenance: Mapping[str, Any]) -> list[str]:
    made_by = provenance.get("made_by") or provenance.get("program")
    facts = [f"Made by `{made_by}`." if made_by else f"Saved by unblank {__version__}."]
    origins = [
        provenance.get("source", {}).get("path"),
        provenance.get("base_model", {}).get("folder"),
        provenance.get("settings", {}).get("model", {}).get("init_from"),
    ]
    bases = dict.fromkeys(Path(origin).name for origin in origins if origin)
    facts += [f"Made from `{name}`." for name in bases]
    names = {"steps": "step", "tokens": "token"}
    counts = [counted(provenance[name], one) for name, one in names.items() if name in provenance]
    if counts:
        facts.append(f"Trained for {' and '.join(counts)}.")
    if made_by:
        facts.append(f"Everything else that is known of its making is in `{PROVENANCE_NAME}`.")
    return facts
