"""Own text: pretrain a small GLM on it, fill blanks, score candidates, measure what was held out.

    python examples/own_text.py            (about half a minute on two CPU cores)

The text is the language reference that every Python carries. Put your own into `corpus/` (.txt,
.jsonl, .parquet, also compressed), leave out `write_text`, and take more steps: some thousands on a
CPU, and recipes/pretrain/ for GPUs. Every step is also a command, which is printed before it runs.
"""

import argparse
import shlex
from pathlib import Path
from pydoc_data.topics import topics

import unblank
from unblank.cli import main


def paragraphs(text: str) -> list[str]:
    """Return the prose of a text: paragraphs that are not indented, with enough words."""
    blocks = [" ".join(block.split()) for block in text.split("\n\n") if not block[:1].isspace()]
    return [block for block in blocks if len(block.split()) > 12 and block.endswith((".", ":"))]


def write_text(corpus: Path, held_out: Path) -> None:
    """Write one file a topic; every twentieth is held out."""
    for number, (name, text) in enumerate(sorted(topics.items())):
        folder = held_out if number % 20 == 0 else corpus
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text("\n\n".join(paragraphs(text)), encoding="utf-8")


def run(line: str) -> None:
    """Print a command and run it, in this process."""
    print(f"\n$ unblank {line}", flush=True)
    main(shlex.split(line))


def example(folder: Path, steps: int) -> None:
    """Run the example in a folder."""
    corpus, held_out, model = folder / "corpus", folder / "held_out", folder / "model"
    write_text(corpus, held_out)
    run(
        f"pretrain --model.preset tiny --tokenizer.kind bpe --tokenizer.vocab-size 4096 "
        f"--data.train {corpus} --data.validation {held_out} --data.max-length 128 "
        f"--optim.learning-rate 2e-3 --optim.warmup-steps 10 --train.max-steps {steps} "
        f"--train.batch-size 8 --train.micro-batch-size 8 --train.validate-every {steps} "
        f"--train.output-dir {model}"
    )
    run(f"evaluate {model} --suite perplexity --file {held_out}")

    print("\nThe same from Python:")
    mine = unblank.load(model)
    filled = mine.fill("The [MASK] of a function is [MASK].", max_tokens=8)
    print(filled.text)
    scores = mine.score("A class is an [MASK].", ["object", "error", "empty list"])
    for candidate in scores.ranked:
        print(f"{candidate.share:6.1%}  {candidate.text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/own_text"))
    parser.add_argument("--steps", type=int, default=150, help="of training")
    arguments = parser.parse_args()
    example(arguments.folder, arguments.steps)
