"""Make another folder of recorded originals: wider, deeper models, other names; same results.

    python tests/parity/resize.py FIXTURES OUTPUT

The tests of this folder must hold on any recordings of the same layout, and the original programs
cannot be asked again. So every model grows in a way that provably leaves its results alone (see
`resized_tensors` and `resized_layers`): logits only gain columns for new words, which are never
likely; states repeat their units; new layers add nothing; ids behind the new words get other
numbers.

Left out is what knows no model, and what cannot be told of the larger one. Beside every checkpoint
that records how it was trained lies its bare state dict, which does not say the number of heads.
"""

import json
import re
import sys
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from resized_layers import STACKS, Stack, more_numbers, more_states, more_weights
from resized_outputs import grown_numbers, grown_outputs
from resized_tensors import Growth, Insertion, Voice, copies
from safetensors.torch import load_file, save_file
from torch import Tensor

from unblank.conversion.torch_files import read_torch_file

STATE_DICTS = ("module", "weights", "model")
RANKS = "mp_rank_*_model_states.pt"
SPLIT_COLUMNS = r"(attention\.dense|dense_4h_to_h)\.weight$"
SPLIT_ROWS = r"word_embeddings\.weight$|query_key_value\.|dense_h_to_4h\."
LEFT_OUT = (
    "README.md", "sampler_stats.json", "tokenizers.json", "state_dict_shapes.json",
    "key_table.json",
)  # fmt: skip
FIXED_NAMES = ("init_from_encoder", "pytorch_model.bin")
ENCODER = "init_from_encoder"


@dataclass(frozen=True, kw_only=True)
class Factors:
    """How a family grows: times its width and that of a head; more inner units and rows.

    `inner` is None where the layout fixes four inner units for each of the width.
    """

    width: int
    head_width: int
    inner: int | None
    first_word: int
    words: int
    positions: int


FACTORS = {
    # Half precision holds shares of a half exactly, so these double.
    "glm": Factors(
        width=2, head_width=1, inner=None, first_word=150, words=128, positions=15
    ),
    "multiglm": Factors(
        width=3, head_width=2, inner=None, first_word=200, words=256, positions=9
    ),
    "deltalm": Factors(
        width=3, head_width=2, inner=72, first_word=120, words=37, positions=7
    ),
    "ganlm": Factors(
        width=3, head_width=1, inner=22, first_word=100, words=24, positions=5
    ),
}  # fmt: skip
SIZES = {
    "width": (
        "hidden_size", "hidden", "encoder_embed_dim", "decoder_embed_dim", "decoder_output_dim",
        "decoder_input_dim", "encode_input_dim", "encoder_input_dim", "encoder_output_dim",
    ),
    "heads": (
        "num_attention_heads", "heads", "encoder_attention_heads", "decoder_attention_heads",
    ),
    "inner": ("ffn", "encoder_ffn_embed_dim", "decoder_ffn_embed_dim", "intermediate_size"),
}  # fmt: skip
"""Settings that state a size, which changes where it is that of the model."""
WORDS = (
    "vocab_size", "vocab_unpadded", "words", "published_words", "vocabulary", "base_words",
)  # fmt: skip
POSITIONS = (
    "max_sequence_length", "published_positions", "max_positions", "max_position_embeddings",
    "max_source_positions", "max_target_positions", "tokens_per_sample",
)  # fmt: skip
DEFAULTS = ("architecture",)
"""Settings of the published models, not of this one."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one folder grow; sizes as the settings state them."""

    growth: Growth
    stacks: tuple[Stack, ...]
    weights: dict[str, Tensor]
    old_sizes: dict[str, int]
    new_sizes: dict[str, int]
    highest_position: int

    def settings(self, old: dict[str, Any]) -> dict[str, Any]:
        """Settings with the sizes of the larger model."""
        return {name: self.setting(name, value) for name, value in old.items()}

    def setting(self, name: str, value: Any) -> Any:
        """One of them; a recorded iteration or seed is none of its sizes and stays."""
        if isinstance(value, dict) and name not in DEFAULTS:
            return self.settings(value)
        if isinstance(value, Namespace):
            return Namespace(**self.settings(vars(value)))
        for size, names in SIZES.items():
            if name in names and value == self.old_sizes[size]:
                return self.new_sizes[size]
        for stack in self.stacks:
            if name in stack.settings and isinstance(value, int):
                return value + stack.count
        if name in WORDS:
            return value + self.growth.words.count
        if name in POSITIONS and value <= self.highest_position:
            return value + self.growth.positions.count
        if name == "embed_scale":
            return value * (self.new_sizes["width"] / self.old_sizes["width"]) ** 0.5
        return value


def resize(source: Path, target: Path) -> None:
    """Write the larger models and their results; `target` must not exist."""
    target.mkdir(parents=True)
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        kind = folder.name.removesuffix("_hf")
        if kind not in FACTORS:
            continue
        family = grown_family(source / kind, FACTORS[kind], STACKS[kind])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in LEFT_OUT:
                is_encoder = ENCODER in path.parts
                write(path, target / renamed(path.relative_to(source)), family, is_encoder)


def grown_family(folder: Path, factors: Factors, stacks: tuple[Stack, ...]) -> Family:
    """How the models of a folder grow, from their own settings and weights."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    recorded = whole_model(folder)
    weights = more_weights(recorded, stacks)
    width = settings.get("hidden_size") or settings["hidden"]
    heads = settings.get("num_attention_heads") or settings["heads"]
    inner = rows_of(weights, r"(fc1|dense_h_to_4h)\.weight$")
    rows = rows_of(weights, r"(?<!block_)(position_embeddings|embed_positions)\.weight$")
    voice, rng = voice_of(weights), torch.Generator().manual_seed(0)
    old = {"width": width, "heads": heads, "inner": inner}
    head_width = factors.head_width * (width // heads)
    new = {
        "width": factors.width * width,
        "heads": factors.width * width // head_width,
        "inner": inner * factors.width if factors.inner is None else inner + factors.inner,
    }
    num_words = rows_of(weights, r"(word_embeddings|embed_tokens)\.weight$")
    # Model-parallel pieces hold equal shares of the rows.
    num_added = factors.words + -(num_words + factors.words) % most_pieces(folder)
    growth = Growth(
        width=copies(width, new["width"], rng),
        heads=copies(heads, new["heads"], rng),
        head_units=copies(width // heads, head_width, rng),
        inner=copies(inner, new["inner"], rng),
        words=Insertion(factors.first_word, num_added),
        positions=Insertion(rows, factors.positions),
        voice=Voice(voice, weights[f"{voice}.bias"].double()),
        num_words=num_words,
        scales_embedding=settings.get("embed_scale", 1) != 1,
    )
    highest = max(rows, settings.get("published_positions", 0))
    return Family(
        growth=growth,
        stacks=stacks,
        weights=recorded,
        old_sizes=old,
        new_sizes=new,
        highest_position=highest,
    )


def most_pieces(folder: Path) -> int:
    """Into how many model-parallel pieces some checkpoint of the folder is divided."""
    return max(Counter(path.parent for path in folder.rglob(RANKS)).values(), default=1)


def whole_model(folder: Path) -> dict[str, Tensor]:
    """A model of the folder as it was trained: in float32, in one piece, under its own keys."""
    for path in sorted(folder.rglob("*.pt")):
        weights = state_dict(read_torch_file(path))
        foreign = ("encoder.sentence_encoder.", "src_embedding.", "model.")
        is_whole = not any(key.startswith(foreign) for key in weights)
        if is_whole and all(tensor.dtype == torch.float32 for tensor in weights.values()):
            return weights
    raise FileNotFoundError(f"{folder} has no whole model in float32")


def encoder_weights(path: Path) -> dict[str, Tensor]:
    """The encoder whose states are recorded in the folder of this file, or of one beside it."""
    root = next(parent for parent in path.parents if parent.name == ENCODER)
    return state_dict(read_torch_file(min(root.rglob("*.pt"))))


def state_dict(content: dict[str, Any]) -> dict[str, Tensor]:
    return next((content[key] for key in STATE_DICTS if key in content), content)


def rows_of(weights: dict[str, Tensor], pattern: str) -> int:
    return next(len(tensor) for key, tensor in weights.items() if re.search(pattern, key))


def voice_of(weights: dict[str, Tensor]) -> str:
    """The beginning of the key of the norm before the tied word table.

    Raises:
        ValueError: an encoder-decoder that norms before its layers.
    """
    if any(re.fullmatch(r"decoder\.(generator\.)?layer_norm\.bias", key) for key in weights):
        raise ValueError("encoder-decoders that norm before their layers are not resized here")
    if "transformer.final_layernorm.bias" in weights:
        return "transformer.final_layernorm"
    pattern = r"(decoder\.(?:generator\.)?layers\.(\d+)\.final_layer_norm)\.bias"
    found = [match for key in weights if (match := re.fullmatch(pattern, key))]
    return max(found, key=lambda match: int(match[2]))[1]


def renamed(path: Path) -> Path:
    """Other names of folders and checkpoints, another iteration; what the layout fixes stays."""
    family, *folders, name = path.parts
    parts = [part if part in FIXED_NAMES else other_name(part) for part in folders]
    is_free = name.endswith((".pt", ".bin")) and not Path(name).match(RANKS)
    return Path(family, *parts, other_name(name) if is_free and name not in FIXED_NAMES else name)


def other_name(name: str) -> str:
    return str(int(name) + 1) if name.isdigit() else f"other_{name}"


def write(path: Path, target: Path, family: Family, is_encoder: bool) -> None:
    """Write what becomes of one file."""
    growth = family.growth
    if is_encoder:
        growth = replace(growth, voice=None, scales_embedding=False)
        family = replace(family, growth=growth, weights=encoder_weights(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.match(RANKS):
        if path == min(path.parent.glob(RANKS)):
            write_ranks(path.parent, target.parent, family)
    elif path.suffix in (".pt", ".bin"):
        write_checkpoint(path, target, family)
    elif path.suffix == ".safetensors":
        tensors = more_states(load_file(path), family.weights, family.stacks)
        save_file(grown_outputs(tensors, growth), target)
    elif path.suffix == ".json":
        content = family.settings(json.loads(path.read_text(encoding="utf-8")))
        content = more_numbers(content, family.stacks)
        text = json.dumps(grown_numbers(path, content, growth))
        target.write_text(text, encoding="utf-8")
    elif path.name.startswith("dict"):
        target.write_text(with_new_words(path.read_text(encoding="utf-8"), growth), "utf-8")
    else:
        text = path.read_text(encoding="utf-8")
        other = re.sub(r"\d+", lambda found: other_name(found[0]), text)
        target.write_text(other, encoding="utf-8")


def with_new_words(dictionary: str, growth: Growth) -> str:
    """A fairseq dictionary with the new words; its first four tokens are not listed."""
    lines, place = dictionary.splitlines(), growth.words.at - 4
    new = [f"new{number} 1" for number in range(growth.words.count)]
    return "\n".join([*lines[:place], *new, *lines[place:]]) + "\n"


def write_checkpoint(path: Path, target: Path, family: Family) -> None:
    """Write a checkpoint of one file, and beside one with settings the bare state dict."""
    content = read_torch_file(path)
    weights = grown_weights(more_weights(state_dict(content), family.stacks), family.growth)
    name = next((key for key in STATE_DICTS if key in content), None)
    if name is None:
        torch.save(weights, target)
        return
    rest = {key: family.setting(key, value) for key, value in content.items() if key != name}
    torch.save({**rest, name: weights}, target)
    if name == "model" and family.growth.voice is not None:
        bare = target.parent.with_name("bare") / target.name
        bare.parent.mkdir()
        torch.save(weights, bare)


def write_ranks(folder: Path, target: Path, family: Family) -> None:
    """Write a checkpoint of one or several model-parallel pieces."""
    contents = [read_torch_file(path) for path in sorted(folder.glob(RANKS))]
    pieces = [more_weights(content["module"], family.stacks) for content in contents]
    whole = {key: merged(key, [piece[key] for piece in pieces]) for key in pieces[0]}
    grown = grown_weights(whole, family.growth)
    for rank, content in enumerate(contents):
        module = {key: piece_of(key, tensor, rank, len(pieces)) for key, tensor in grown.items()}
        content |= {"module": module, "iteration": int(other_name(str(content["iteration"])))}
        torch.save(content, target / f"mp_rank_{rank:02d}_model_states.pt")


def grown_weights(weights: dict[str, Tensor], growth: Growth) -> dict[str, Tensor]:
    """The larger model's tensors; what was one tensor stays one."""
    done: dict[tuple[int, ...], Tensor] = {}
    grown = {}
    for key, tensor in weights.items():
        place = (tensor.data_ptr(), *tensor.shape)
        if place not in done:
            done[place] = growth.weight(key, tensor).contiguous()
        grown[key] = done[place]
    return grown


def merged(key: str, parts: list[Tensor]) -> Tensor:
    if "query_key_value" in key:
        thirds = zip(*(part.chunk(3) for part in parts), strict=True)
        return torch.cat([torch.cat(third) for third in thirds])
    if re.search(SPLIT_COLUMNS, key):
        return torch.cat(parts, dim=1)
    return torch.cat(parts) if re.search(SPLIT_ROWS, key) else parts[0]


def piece_of(key: str, tensor: Tensor, rank: int, num_ranks: int) -> Tensor:
    if "query_key_value" in key:
        return torch.cat([third.chunk(num_ranks)[rank] for third in tensor.chunk(3)])
    if re.search(SPLIT_COLUMNS, key):
        return tensor.chunk(num_ranks, dim=1)[rank].clone()
    return tensor.chunk(num_ranks)[rank].clone() if re.search(SPLIT_ROWS, key) else tensor


if __name__ == "__main__":
    resize(Path(sys.argv[1]), Path(sys.argv[2]))
