"""Old checkpoint: open a file of the original GLM program, verify it, fill a blank.

    python examples/old_checkpoint.py      (a few seconds)

The checkpoint is made here, in the layout that the program of 2021 left behind: small, with random
weights, so what it writes is noise. With a published one only the two paths change:

    unblank convert glm-2b runs/glm-2b --tokenizer gpt2-vocabulary --dtype bf16
"""

import argparse
import json
import shlex
import shutil
from pathlib import Path

import torch
from tokenizers import pre_tokenizers

import unblank
from unblank.cli import main

WIDTH, LAYERS, POSITIONS, HEADS = 128, 2, 64, 4


def write_vocabulary(folder: Path) -> int:
    """Write `vocab.json` and `merges.txt` as GPT-2 has them; return the number of tokens."""
    folder.mkdir(parents=True)
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("i", "n"), ("c", "a"), ("ca", "t")]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    ids = {token: number for number, token in enumerate([*tokens, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(ids)


def write_checkpoint(folder: Path, num_rows: int) -> None:
    """Write a tracker file and the pickled weights of one model-parallel rank."""
    sizes = {
        "word_embeddings": (num_rows, WIDTH),
        "transformer.position_embeddings": (POSITIONS + 1, WIDTH),
        "transformer.block_position_embeddings": (POSITIONS + 1, WIDTH),
        "transformer.final_layernorm": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, size in {
            "input_layernorm": (WIDTH,),
            "attention.query_key_value": (3 * WIDTH, WIDTH),
            "attention.dense": (WIDTH, WIDTH),
            "post_attention_layernorm": (WIDTH,),
            "mlp.dense_h_to_4h": (4 * WIDTH, WIDTH),
            "mlp.dense_4h_to_h": (WIDTH, 4 * WIDTH),
        }.items():
            sizes[f"transformer.layers.{layer}.{name}"] = size
    draw = torch.Generator().manual_seed(0)
    weights = {}
    for name, size in sizes.items():
        weights[f"{name}.weight"] = 0.1 * torch.randn(size, generator=draw)
        if "embeddings" not in name:
            weights[f"{name}.bias"] = 0.1 * torch.randn(size[0], generator=draw)
    (folder / "250000").mkdir(parents=True)
    (folder / "latest_checkpointed_iteration.txt").write_text("250000")
    content = {"module": weights, "iteration": 250000}
    torch.save(content, folder / "250000" / "mp_rank_00_model_states.pt")


def run(line: str) -> None:
    """Print a command and run it, in this process."""
    print(f"\n$ unblank {line}", flush=True)
    main(shlex.split(line))


def example(folder: Path) -> None:
    """Run the example in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    old, vocabulary, model = folder / "glm-old", folder / "vocabulary", folder / "glm"
    num_tokens = write_vocabulary(vocabulary)
    write_checkpoint(old, num_rows=num_tokens + 9 + 112)  # nine commands, and rows of padding
    # No published GLM is as narrow, so the number of heads, which no tensor shows, has to be given.
    run(f"convert {old} {model} --tokenizer {vocabulary} --num-attention-heads {HEADS}")
    run(f"convert --verify {model}")
    run(f'fill {model} "The cat [MASK] in the [MASK]." --max-tokens 4')

    print("\nThe same from Python:")
    print(unblank.load(model).score("The [MASK] sat.", ["cat", "the"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/old_checkpoint"))
    example(parser.parse_args().folder)
