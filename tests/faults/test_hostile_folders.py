"""Folders that bring code, pickles, links or impossible numbers, given to every command.

Each command has `y` on its standard input: nothing may ask for it, and a file that custom code
would make must not appear.
"""

import ast
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from source_trees import FILES, SOURCE, nodes_of
from tiny_models import tiny_unblank

from unblank import cli
from unblank.api import load
from unblank.describing.folder import describe_folder
from unblank.finetuning.labels.tuned import open_label_model
from unblank.untrusted.opening import config_in, tokenizer_in

OPENERS = SOURCE / "untrusted"
BYPASSES = {
    *("from_pretrained", "safe_open", "load_file", "torch.load", "Tokenizer.from_file"),
    *("yaml.load", "yaml.safe_load", "yaml.full_load", "pickle.load", "pickle.loads"),
    *("snapshot_download", "hf_hub_download", "trust_remote_code"),
}
ALLOWED = {
    ("conversion/torch_files.py", "torch.load"),  # restricted to tensors, after its bounds
    ("bench/conversion.py", "torch.load"),  # what the benchmark has written itself
    (
        "conversion/fairseq_tokenizer.py",
        "Tokenizer.from_file",
    ),  # reads one file
}


def bypasses_in(path: Path) -> set[str]:
    """Return which of them a file calls or hands on, as `name` or as `module.name`."""
    ends = {name.rpartition(".")[2] for name in BYPASSES}
    names = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute) and node.attr in ends:
            names |= {node.attr, ast.unparse(node)}
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names & BYPASSES


def test_everything_is_opened_by_the_one_opener():
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in FILES
        if OPENERS not in path.parents
        for name in bypasses_in(path)
    }
    assert found <= ALLOWED


def test_whole_files_of_json_are_read_by_one_reader():
    found = {
        str(path.relative_to(SOURCE))
        for path in FILES
        if OPENERS not in path.parents
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("json.load", "json.loads")
        and (
            "read_text" in (text := ast.unparse(node))
            or "read_bytes" in text
            or "json.load(" in text
        )
    }
    assert found == {"integrity.py"}, "below `untrusted`; it catches what its caller names"


def changed(name: str, **fields):
    """Return a change to a folder: fields of one of its JSON files."""

    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(content | fields), encoding="utf-8")

    return change


def written(name: str, content: str | bytes):
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return change


def linked(name: str):
    """Return a change that moves a file out of the folder and leaves a link to it."""

    def change(folder: Path) -> None:
        outside = folder.parent / f"outside-{name}"
        shutil.move(folder / name, outside)
        (folder / name).symlink_to(outside)

    return change


def only_pickles(name: str):
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({"a": torch.zeros(1)}, folder / name)

    return change


def indexed(place, *, with_weights=True):
    def change(folder: Path) -> None:
        shutil.move(folder / "model.safetensors", folder.parent / "outside.safetensors")
        if with_weights:
            shutil.copy(folder.parent / "outside.safetensors", folder / "other.safetensors")
        index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": place}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


def tokenized(change_content):
    """Return a change to the content of `tokenizer.json`."""

    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change_content(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return change


def framed(*parts):
    template = {"type": "TemplateProcessing", "single": parts, "pair": [], "special_tokens": {}}
    return tokenized(lambda content: content.update(post_processor=template))


def whole_numbers(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)
    save_file(tensors, path, {"format": "pt"})


TEXT_PART = {"Sequence": {"id": "A", "type_id": 0}}
AUTO_MAP = {name: f"evil.{name}" for name in ("AutoConfig", "AutoModel", "AutoModelForMaskedLM")}
REFUSED = {
    "a tokenizer of its own": (
        changed(
            "tokenizer_config.json",
            tokenizer_class="EvilTokenizer",
            auto_map={"AutoTokenizer": ["evil.EvilTokenizer", "evil.EvilTokenizer"]},
        ),
        "EvilTokenizer",
    ),
    "a model of its own": (
        changed("config.json", model_type="evil", auto_map=AUTO_MAP),
        "evil",
    ),
    "a slow tokenizer": (
        changed("tokenizer_config.json", tokenizer_class="CanineTokenizer"),
        "CanineTokenizer",
    ),
    "a class that is none": (
        changed("tokenizer_config.json", tokenizer_class="pipeline"),
        "pipeline",
    ),
    "a tokenizer elsewhere": (
        changed("tokenizer_config.json", fast_tokenizer_files=["../tokenizer.4.0.0.json"]),
        "tokenizer.4.0.0.json",
    ),
    "quantised": (changed("config.json", quantization_config={"a": 1}), "quantization_config"),
    "weights elsewhere": (
        changed("config.json", transformers_weights="../outside.safetensors"),
        "transformers_weights",
    ),
    "a kernel of the hub": (
        changed("config.json", attn_implementation="evil/kernel"),
        "attn_implementation",
    ),
    "an adapter inside": (
        written("adapter_config.json", json.dumps({"base_model_name_or_path": "evil/base"})),
        "adapter",
    ),
    "pickled weights": (only_pickles("pytorch_model.bin"), "pytorch_model.bin"),
    "pickled weights of Lightning": (only_pickles("last.ckpt"), "last.ckpt"),
    "pickled weights in .pt": (only_pickles("model.pt"), "model.pt"),
    "an index to elsewhere": (indexed("../outside.safetensors"), "outside.safetensors"),
    "an index to a root": (indexed("/etc/hostname"), "/etc/hostname"),
    "an index to a number": (indexed(7), "weight_map"),
    "nothing but an index to elsewhere": (
        indexed("../outside.safetensors", with_weights=False),
        "outside.safetensors",
    ),
    "nothing but an index": (
        indexed("model-00001-of-00002.safetensors", with_weights=False),
        "model-00001-of-00002.safetensors",
    ),
    "linked weights": (linked("model.safetensors"), "symbolic link"),
    "a linked tokenizer": (linked("tokenizer.json"), "symbolic link"),
    "linked settings": (linked("config.json"), "symbolic link"),
    "no heads": (changed("config.json", num_attention_heads=0), "num_attention_heads"),
    "ten million layers": (changed("config.json", num_hidden_layers=10**7), "num_hidden_layers"),
    "half a layer": (changed("config.json", num_hidden_layers=1.5), "num_hidden_layers"),
    "a true vocabulary": (changed("config.json", vocab_size=True), "vocab_size"),
    "a vast vocabulary": (
        changed("config.json", vocab_size=2**24, hidden_size=2**16),
        "config.json",
    ),
    "a width below 0": (changed("config.json", hidden_size=-32), "hidden_size"),
    "labels without end": (changed("config.json", num_labels=10**9), "num_labels"),
    "a type that is none": (changed("config.json", dtype="load"), "dtype"),
    "a thousand brackets": (written("config.json", "[" * 100_000), "config.json"),
    "a thousand brackets to generate": (
        written("generation_config.json", "[" * 100_000),
        "generation_config.json",
    ),
    "a thousand brackets to tokenise": (written("tokenizer.json", "[" * 100_000), "tokenizer"),
    "a pointer of git-lfs": (
        written("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
        "git-lfs",
    ),
    "an id beyond the table": (
        tokenized(lambda content: content["model"]["vocab"].update(qz=10**9)),
        "1,000,000,001",
    ),
    "a frame without the text": (framed(), "post_processor"),
    "a frame with the text twice": (framed(TEXT_PART, TEXT_PART), "post_processor"),
    "weights of whole numbers": (whole_numbers, "model.norm.weight"),
    "weights of more layers": (changed("config.json", num_hidden_layers=1), "model.layers.1."),
    "a header without end": (written("model.safetensors", b"\xff" * 4096), "model.safetensors"),
}
"""What is done to a good folder, and what the message names."""


@pytest.fixture(scope="module")
def good_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "model"
    given = tiny_unblank("bpe")
    given.model.save_pretrained(folder)
    given.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(good_folder, tmp_path) -> Path:
    """A copy with code that would leave a file behind if it were run."""
    copied = tmp_path / "model"
    shutil.copytree(good_folder, copied)
    code = f"open({str(tmp_path / 'canary')!r}, 'w').close()\n"
    (copied / "evil.py").write_text(code)
    (copied / "custom_generate").mkdir()
    (copied / "custom_generate" / "generate.py").write_text(code)
    return copied


@pytest.fixture(autouse=True)
def _no_code_was_run(tmp_path):
    yield
    assert not (tmp_path / "canary").exists()


@pytest.mark.filterwarnings("ignore:.*holds code")
@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_folder_is_refused_by_name(folder, kind):
    change, named = REFUSED[kind]
    change(folder)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(folder, device="cpu")
    assert named in str(caught.value)
    assert str(folder.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*holds code")
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("target", ["itself", "nothing"])
def test_a_link_that_leads_nowhere_is_named_by_all_that_open_a_folder(folder, name, target):
    (folder / name).unlink()
    (folder / name).symlink_to(name if target == "itself" else "not_there")
    for opened in (load, open_label_model, tokenizer_in, config_in, describe_folder):
        with pytest.raises(ValueError, match=f"{name} is a symbolic link that leads nowhere"):
            opened(folder)


@pytest.mark.parametrize("fields", [{}, {"auto_map": AUTO_MAP}])
def test_code_that_is_not_needed_is_named_and_never_run(folder, fields):
    changed("config.json", **fields)(folder)
    with pytest.warns(UserWarning, match=r"holds code \(evil\.py, custom_generate\)"):
        assert load(folder, device="cpu").fill("the old [MASK] cat", max_tokens=2).text


@pytest.mark.filterwarnings("ignore:.*holds code")
def test_links_inside_the_folder_and_in_the_cache_of_the_hub_are_followed(folder, tmp_path):
    shutil.move(folder / "model.safetensors", folder / "weights.bin.safetensors")
    (folder / "model.safetensors").symlink_to("weights.bin.safetensors")
    (tmp_path / "link").symlink_to(folder)
    load(tmp_path / "link", device="cpu")
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(path for path in folder.iterdir() if path.is_file()):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    load(snapshot, device="cpu")


COMMANDS = {
    "fill": "fill {folder} 'the [MASK] cat'",
    "score": "score {folder} 'the [MASK] sat' --candidates cat dog",
    "generate": "generate {folder} 'the cat'",
    "evaluate": "evaluate {folder} --suite perplexity --file {text} --output {out}",
    "finetune": "finetune --task seq2seq --data.train {pairs} --data.source a --data.target b "
    "--model.init-from {folder} --train.max-steps 1 --train.output-dir {out}",
    "pretrain": "pretrain --data.train {text} --model.init-from {folder} --train.max-steps 1 "
    "--train.output-dir {out}",
    "pretrain with its tokenizer": "pretrain --data.train {text} --tokenizer.path {folder} "
    "--model.preset tiny --model.num-hidden-layers 1 --model.hidden-size 32 "
    "--model.num-attention-heads 2 --data.max-length 32 --train.batch-size 2 --train.max-steps 1 "
    "--train.output-dir {out}",
    "pretrain from an encoder": "pretrain --data.train {text} --model.init-from-encoder {folder} "
    "--model.preset deltalm-tiny --data.max-length 32 --train.max-steps 1 --train.output-dir {out}",
    "compare": "compare {recipe}",
    "convert": "convert {folder} {out}",
    "convert with its tokenizer": "convert {weights} {out} --tokenizer {folder}",
    "verify": "convert --verify {folder}",
    "trim": "trim {folder} {out} --corpus {text} --keep 300",
    "show": "show --model {folder} 'the cat sat'",
    "show with its tokenizer": "show --tokenizer {folder} 'the cat sat'",
    "merge": "merge {folder} {out}",
    "predict": "predict {folder} {labelled} {out}.csv --task sst2",
    "calibrate": "calibrate {folder} --data {text}",
    "align": "align {folder} --parallel {parallel} --output {out}",
    "serve": "serve {folder} --port 0",
    "prepare": "prepare --data.train {text} --model.init-from {folder} --train.output-dir {out}",
    "prepare with its tokenizer": "prepare --data.train {text} --tokenizer.path {folder} "
    "--train.output-dir {out}",
    "info": "info {folder}",
    "verified info": "info {folder} --verify",
}
"""`bench` opens no folder, `demo` and `tokenize` none that they have not made."""


def words_of(command: str, folder: Path) -> list[str]:
    """Return the words of a command about a folder, and write the files that they name."""
    root = folder.parent
    (root / "text.txt").write_text("the cat sat on a mat\n" * 50)
    (root / "pairs.jsonl").write_text('{"a": "the cat", "b": "the dog"}\n' * 50)
    (root / "labelled.csv").write_text("sentence\nthe cat sat\n" * 5)
    (root / "parallel.jsonl").write_text('{"eng": "the cat", "deu": "die Katze"}\n' * 9)
    recipe = {
        "output_dir": str(root / "out"),
        "seeds": [1],
        "pretrain": {
            "model": {"init_from": str(folder)},
            "data": {"train": [str(root / "text.txt")]},
            "train": {"max_steps": 1},
        },
        "variants": {"one": {}},
        "evaluate": {"own": {"suite": "perplexity", "file": [str(root / "text.txt")]}},
    }
    (root / "recipe.yaml").write_text(json.dumps(recipe))
    return [
        word.format(
            folder=folder,
            out=root / "out",
            text=root / "text.txt",
            pairs=root / "pairs.jsonl",
            recipe=root / "recipe.yaml",
            labelled=root / "labelled.csv",
            parallel=f"{root / 'parallel.jsonl'}:{{lang}}",
            weights=folder / "model.safetensors",
        )
        for word in shlex.split(COMMANDS[command])
    ]


KINDS = ["a tokenizer of its own", "a model of its own", "no heads"]
READ_THE_TOKENIZER_ALONE = (
    *("pretrain with its tokenizer", "prepare with its tokenizer"),
    *("show", "show with its tokenizer"),
)
USED = {("prepare", "no heads"), ("info", KINDS[0]), ("info", KINDS[1])}
USED |= {("verified info", kind) for command, kind in USED if command == "info"}
"""Commands that need nothing of what is hostile."""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_the_code_of_a_folder_or_asks(folder, command, kind, capfd, monkeypatch):
    REFUSED[kind][0](folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    status: object = 0
    try:
        cli.main(words_of(command, folder))
    except SystemExit as end:
        status = end.code
    printed, errors = capfd.readouterr()
    is_used = command in READ_THE_TOKENIZER_ALONE and kind != "a tokenizer of its own"
    is_used = is_used or (command, kind) in USED
    assert status == (0 if is_used else 2), errors
    assert is_used or str(folder) in errors.splitlines()[-1]
    assert sys.stdin.tell() == 0
    assert "y/N" not in printed + errors


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fill", "pretrain"])
def test_no_process_runs_the_code_of_a_folder_or_asks(folder, command):
    REFUSED["a tokenizer of its own"][0](folder)
    done = subprocess.run(
        [sys.executable, "-m", "unblank", *words_of(command, folder)],
        input="y\n" * 20,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
    )
    assert done.returncode == 2, done.stderr
    assert "EvilTokenizer" in done.stderr
    assert "y/N" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
