"""The README.md of a model folder: what it is, where it comes from, how to use it, what it cannot.

It is not part of the model: no record names it, so that a person may edit or replace it. Only a
card that is still as it was written here is ever replaced.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.integrity import ADAPTER_RECORD_NAME, CARD_NAME, PROVENANCE_NAME, write_atomically
from unblank.untrusted.json_text import read_json_object
from unblank.version import __version__

__all__ = ["write_card"]

_CONFIG_NAME = "config.json"
_MARK = "<!-- written by unblank, replaced unless edited: "


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
        text = _model_text(read_json_object(folder / _CONFIG_NAME), provenance)
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


def _model_text(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    names = config.get("architectures") or [config.get("model_type", "model")]
    positions = config.get("max_position_embeddings")
    limits = [f"It reads and writes at most {positions:,} tokens."] if positions else []
    use = "After `import unblank`, transformers' Auto classes open it, too."
    return _text(names[0], _facts(provenance), use, limits)


def _adapter_text(record: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    base = Path(str(record.get("base_model"))).name
    facts = [
        f"Trained beside `{base}`, whose weights did not change.",
        f"It holds {record.get('num_parameters', 0):,} numbers.",
    ]
    limits = [f"It works with the weights of `{base}` alone; `{ADAPTER_RECORD_NAME}` has its path."]
    use = "The model that it belongs to is opened with it."
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

```python
import unblank

model = unblank.load("path/of/this/folder")
```

{use} `unblank info path/of/this/folder` lists what it can do.

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
    names = dict.fromkeys(Path(origin).name for origin in origins if origin)
    facts += [f"Made from `{name}`." for name in names]
    counts = [f"{provenance[name]:,} {name}" for name in ("steps", "tokens") if name in provenance]
    if counts:
        facts.append(f"Trained for {' and '.join(counts)}.")
    if made_by:
        facts.append(f"Everything else that is known of its making is in `{PROVENANCE_NAME}`.")
    return facts
