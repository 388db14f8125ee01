"""Parameters by part, read from the headers of a folder's weights."""

import re
from collections import Counter
from math import prod
from os.path import isfile
from pathlib import Path

from unblank.integrity import SHARDED_NAME, weights_files
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.weight_files import INDEX_NAME, opened_weights, stored_in_files

__all__ = ["nonfinite_weights", "size_text", "weights_facts"]

_LAYERS = re.compile(r"(?:^|\.)((?:[a-z_]+\.)?layers)\.\d+\.")


def weights_facts(folder: Path) -> dict[str, str]:
    """Return parameters, those of each part, data types and size of the weights of a folder.

    Raises:
        ValueError: a file is damaged.
    """
    counts: Counter[str] = Counter()
    types: Counter[str] = Counter()
    files = weights_files(folder)
    for path in files:
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118  # no dict
                entry = file.get_slice(name)
                count = prod(entry.get_shape())
                counts[_part(name)] += count
                types[str(entry.get_dtype())] += count
    if not files:
        return {"weights": "none"}
    lacking = _lacking(folder)
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.most_common())
    return {
        "parameters": f"{sum(counts.values()):,} ({parts})",
        "data type": ", ".join(name for name, _ in types.most_common()),
        "size on disk": size_text(folder),
        "values": "not read",
        **({"missing": ", ".join(lacking)} if lacking else {}),
    }


def nonfinite_weights(folder: Path) -> str:
    """Return which tensor of a folder has NaN or infinite values; empty if none has.

    Every tensor is read, one at a time.

    Raises:
        ValueError: a file is damaged.
    """
    from unblank.models.finite import nonfinite_name

    paths = (*folder.glob("*.safetensors"), *folder.glob(f"{SHARDED_NAME}/*.safetensors"))
    for path in sorted(paths):
        stored = stored_in_files([path])
        if name := nonfinite_name((name, tensor.read()) for name, tensor in stored.items()):
            return f"{path.relative_to(folder)}: {name} has NaN or infinite values"
    return ""


def _lacking(folder: Path) -> list[str]:
    """Return the files of weights that an index names and that are not there."""
    index = folder / INDEX_NAME
    named = read_json_object(index).get("weight_map") if index.is_file() else None
    names = map(str, named.values()) if isinstance(named, dict) else ()
    return [name for name in sorted(set(names)) if not isfile(folder / name)]


def size_text(folder: Path) -> str:
    """Return how much the files of a folder take, without its subfolders."""
    size = float(sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _part(name: str) -> str:
    """Return the part of a model that a tensor belongs to, in the words of a user."""
    if "embed" in name:
        return "embeddings"
    if found := _LAYERS.search(name):
        stack = found.group(1).removesuffix("layers").strip(".")
        return f"layers of the {stack}" if stack in ("encoder", "decoder") else "layers"
    return "heads" if "head" in name or name.startswith(("dense", "out_proj")) else "other"
