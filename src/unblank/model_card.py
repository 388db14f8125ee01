"""The README.md of a model folder: what it is, where it comes from, how to use it, what it cannot.

It is not part of the model: no record names it, so that a person may edit or replace it. Only a
card that is still as it was written here is ever replaced.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.integrity import PROVENANCE_NAME, write_at_once
from unblank.untrusted.json_text import read_json_object

__all__ = ["write_card"]

CARD_NAME = "README.md"
_CONFIG_NAME = "config.json"
_MARK = "<!-- written by unblank, replaced unless edited: "


def write_card(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Write the card of a model folder, unless a person has written or edited one.

    Args:
        folder: of a whole model; one without `config.json`, as of an adapter, gets no card.
        provenance: of the model.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / CARD_NAME
    if not (folder / _CONFIG_NAME).is_file() or (path.exists() and not _is_ours(path)):
        return
    text = _card_text(read_json_object(folder / _CONFIG_NAME), provenance)
    write_at_once(path, f"{text}{_MARK}{_digest(text)} -->\n")


def _is_ours(path: Path) -> bool:
    text, mark, rest = path.read_text(encoding="utf-8", errors="replace").rpartition(_MARK)
    return bool(mark) and rest == f"{_digest(text)} -->\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _card_text(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    names = config.get("architectures") or [config.get("model_type", "model")]
    facts = "\n".join(f"- {fact}" for fact in _facts(provenance))
    positions = config.get("max_position_embeddings")
    longest = f"- It reads and writes at most {positions:,} tokens.\n" if positions else ""
    return f"""---
library_name: unblank
---

# {names[0]}

{facts}
- Everything else that is known of its making is in `{PROVENANCE_NAME}`.

## How to use it

```python
import unblank

model = unblank.load("path/of/this/folder")
```

After `import unblank`, transformers' Auto classes open it, too.

## Limits

{longest}- It repeats what its training text says, wrong and harmful statements included.
- What was not measured is not known: measure it on your own data with `unblank evaluate`.
"""


def _facts(provenance: Mapping[str, Any]) -> list[str]:
    facts = [f"Made by `{provenance.get('made_by') or provenance.get('program')}`."]
    origins = [
        provenance.get("source", {}).get("path"),
        provenance.get("base_model", {}).get("folder"),
        provenance.get("settings", {}).get("model", {}).get("init_from"),
    ]
    facts += [f"Made from `{Path(origin).name}`." for origin in origins if origin]
    counts = [f"{provenance[name]:,} {name}" for name in ("steps", "tokens") if name in provenance]
    return [*facts, f"Trained for {' and '.join(counts)}."] if counts else facts
