"""Own labels: teach a small GLM to sort sentences, and compare it with guessing.

    python examples/own_labels.py          (about half a minute on two CPU cores)

The sentences are docstrings of four packages of Python's standard library, and the label is the
package. A task is a YAML file: which words stand for each label, and the pattern with the blank
that they fill. Put your own lines into `train.jsonl` and `validation.jsonl`, your labels into
`task.yaml`, and start from a model that has read more text than this one.
"""

import argparse
import ast
import json
import random
import shlex
import sysconfig
from collections import Counter
from pathlib import Path

import unblank
from unblank.cli import main

TASK = """\
about: Which package does a sentence speak of?
verbalizer: {email: mail, asyncio: loop, unittest: test, multiprocessing: process}
patterns: ['{text} It is about a [MASK].']
shorten: {text: end}
metrics: [accuracy, macro_f1]
"""
LABELS = ("email", "asyncio", "unittest", "multiprocessing")


def sentences(package: str) -> list[str]:
    """Return the first sentences of the docstrings of a package, none of them twice."""
    found = {}
    for path in sorted((Path(sysconfig.get_paths()["stdlib"]) / package).rglob("*.py")):
        if "test" in path.relative_to(path.parents[1]).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                sentence = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                if 4 < len(sentence.split()) < 40:
                    found[sentence] = None
    return list(found)


def write_examples(folder: Path) -> float:
    """Write the task, training and validation examples; return what the commonest label scores."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    draw = random.Random(0)
    examples = []
    for label in LABELS:
        found = sentences(label)
        examples += [
            {"text": text, "label": label} for text in draw.sample(found, min(150, len(found)))
        ]
    draw.shuffle(examples)
    parts = {"validation": examples[:100], "train": examples[100:]}
    for name, part in parts.items():
        lines = "".join(json.dumps(example) + "\n" for example in part)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (_, commonest), *_ = Counter(example["label"] for example in parts["validation"]).most_common()
    return commonest / len(parts["validation"])


def run(line: str) -> None:
    """Print a command and run it, in this process."""
    print(f"\n$ unblank {line}", flush=True)
    main(shlex.split(line))


def example(folder: Path, steps: int) -> None:
    """Run the example in a folder."""
    guessing = write_examples(folder)
    data, base, tuned = folder / "train.jsonl", folder / "base", folder / "tuned"
    run(
        f"pretrain --model.preset tiny --model.hidden-size 96 --model.num-hidden-layers 2 "
        f"--tokenizer.kind wordpiece --tokenizer.vocab-size 2048 --tokenizer.lowercase True "
        f"--data.train {data} --data.max-length 64 "
        f"--optim.learning-rate 2e-3 --optim.warmup-steps 10 --train.max-steps {steps} "
        f"--train.batch-size 8 --train.micro-batch-size 8 --train.output-dir {base}"
    )
    run(f"show --task {folder}/task.yaml --data {data} --example 0 --model {base}")
    run(
        f"finetune --task {folder}/task.yaml --model.init-from {base} "
        f"--data.train {data} --data.validation {folder}/validation.jsonl "
        f"--optim.learning-rate 2e-3 --train.max-steps {2 * steps} --train.batch-size 16 "
        f"--train.validate-every {max(1, steps // 2)} --train.output-dir {tuned}"
    )
    results = json.loads((tuned / "results.json").read_text(encoding="utf-8"))
    print(f"\naccuracy of always saying the commonest label: {guessing:.0%}")
    print(f"accuracy of this model: {results['scores']['accuracy']:.0f}%")

    text = "Return a new message with these headers. It is about a [MASK]."
    print(unblank.load(tuned).score(text, ["mail", "loop", "test", "process"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/own_labels"))
    parser.add_argument("--steps", type=int, default=150, help="of pretraining")
    arguments = parser.parse_args()
    example(arguments.folder, arguments.steps)
