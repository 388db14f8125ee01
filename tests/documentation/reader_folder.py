"""A folder with what the pages take for granted: small data and models under their names."""

import gzip
import json
import random
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from shown_blocks import REPOSITORY
from tokenizers import pre_tokenizers

import unblank
from unblank.cli import main

KINDS = ["ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"]  # the labels of TREC
STAND_IN = "stand-in"
"""A file of this name marks a model that no page has made."""

WORDS = "the old grey cat sat on a warm mat and saw one small dog run to some far house "
ENGLISH = [f"{(WORDS[start:] + WORDS[:start]).strip().capitalize()}." for start in range(0, 72, 4)]
GERMAN = ["Ein alter Hund schläft am warmen Ofen.", "Zwei Katzen sehen das Haus."] * 9
FRENCH = ["Un vieux chien dort au chaud.", "Deux chats regardent la maison."] * 9


def make_reader_folder(folder: Path) -> Path:
    """Write everything that a page may name into a folder, and return it."""
    write_texts(folder)
    write_pairs(folder)
    write_labels(folder)
    write_languages(folder)
    write_data_sets(folder / "data")
    write_models(folder)
    write_known_answers(folder)
    write_published(folder)
    (folder / "recipes").symlink_to(REPOSITORY / "recipes")
    return folder


def write_lines(path: Path, records: Iterable[object]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")


def write_texts(folder: Path) -> None:
    """Write plain text: corpora, held-out text, texts with blanks, a recipe."""
    for name in ("corpus", "my_corpus", "my_text"):
        (folder / name).mkdir(parents=True)
        (folder / name / "text.txt").write_text("\n".join(ENGLISH), encoding="utf-8")
    words = " ".join(ENGLISH).split()
    paragraphs = [" ".join(random.Random(number).sample(words, 14)) for number in range(150)]
    (folder / "paragraphs.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    foreign = "\n".join(GERMAN + FRENCH)
    (folder / "foreign.txt").write_text(foreign, encoding="utf-8")
    documents = [{"text": " ".join(ENGLISH[start:])} for start in range(12)]
    write_lines(folder / "corpus.jsonl", documents)
    write_lines(folder / "news" / "today.jsonl", documents)
    write_lines(folder / "held_out.jsonl", documents[:3])
    (folder / "held_out.txt").write_text(" ".join(ENGLISH[:4]), encoding="utf-8")
    (folder / "texts.txt").write_text("The [MASK] sat.\nA [MASK] ran.\n", encoding="utf-8")
    (folder / "damaged.csv").write_text("id,line\n1,The [MASK] sat.\n", encoding="utf-8")
    write_lines(folder / "cloze.jsonl", [{"question": "Did the cat sit? [MASK]."}])
    (folder / "recipe.yaml").write_text(
        "model: {preset: tiny, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2}\n"
        "tokenizer: {kind: bpe, vocab_size: 280}\n"
        "data: {train: [corpus], max_length: 64}\n"
        "train: {max_steps: 2, batch_size: 2, micro_batch_size: 2, output_dir: runs/recipe}\n",
        encoding="utf-8",
    )


def write_pairs(folder: Path) -> None:
    """Write parallel text and summaries."""
    pairs = [
        {"en": en, "de": de, "fr": fr, "source": en, "target": de}
        for en, de, fr in zip(ENGLISH, GERMAN, FRENCH, strict=True)
    ]
    write_lines(folder / "pairs.jsonl", pairs)
    write_lines(folder / "test.jsonl", pairs[:3])
    labelled = [
        {**pair, "sentence": pair["en"], "text": pair["en"], "label": number % 2}
        for number, pair in enumerate(pairs)
    ]
    write_lines(folder / "train.jsonl", labelled)
    write_lines(folder / "val.jsonl", labelled[:4])
    write_lines(folder / "validation.jsonl", labelled[:4])
    summaries = [{"article": " ".join(ENGLISH[:2]), "summary": ENGLISH[0]}] * 2
    write_lines(folder / "my.jsonl", summaries)
    for name in ("ncls", "xlsum/en", "xlsum/fr"):
        write_lines(folder / f"{name}.jsonl", summaries)


def write_labels(folder: Path) -> None:
    """Write examples with labels for the tasks of the pages."""
    entailment = [
        {"premise": text, "hypothesis": "A cat sat.", "label": label}
        for text, label in zip(ENGLISH[:8], ["entailment", "not_entailment"] * 4, strict=True)
    ]
    for name in ("train", "val", "train32", "dev32"):
        write_lines(folder / "RTE" / f"{name}.jsonl", entailment)
    mails = [
        {"subject": "Your cat", "body": text, "priority": priority}
        for text, priority in zip(ENGLISH[:8], ["high", "low"] * 4, strict=True)
    ]
    write_lines(folder / "mails.jsonl", mails)
    write_lines(folder / "more_mails.jsonl", mails[:4])
    (folder / "new_mails.csv").write_text("subject,body\nMy cat,It sat.\n", encoding="utf-8")
    moods = [
        {"text": f"{text} {number}", "label": ("good", "bad")[number % 2]}
        for number, text in enumerate(ENGLISH * 2)
    ]
    write_lines(folder / "mood.jsonl", moods)
    questions = [
        {"text": f"{text} {number}", "coarse_label": KINDS[number % 6]}
        for number, text in enumerate(ENGLISH * 3)
    ]
    write_lines(folder / "questions.jsonl", questions)
    capitals = [{"country": "France", "cities": ["Paris", "Rome"], "label": 0}] * 2
    write_lines(folder / "capitals.jsonl", capitals)


def write_languages(folder: Path) -> None:
    """Write labelled examples and questions in several languages."""
    texts = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}
    aligned = [dict(zip(texts, line, strict=True)) for line in zip(*texts.values(), strict=True)]
    write_lines(folder / "ntrex" / "dev.jsonl", aligned)
    with gzip.open(folder / "ntrex" / "dev.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write((folder / "ntrex" / "dev.jsonl").read_text(encoding="utf-8"))
    (folder / "bible").mkdir()
    for code in ("de", "fr"):
        with gzip.open(folder / "bible" / f"{code}.tsv.gz", "wt", encoding="utf-8") as file:
            file.writelines(f"GEN 1:{n}\t{text}\n" for n, text in enumerate(texts[code], 1))
    for code, (first, second, *_) in texts.items():
        examples = [
            {"premise": first, "hypothesis": second, "label": label, "lang": code}
            for label in ("entailment", "neutral", "contradiction")
        ]
        for split in ("train", "validation"):
            write_lines(folder / f"xnli/{split}.{code}.jsonl", examples)
        write_lines(folder / f"data/xling/xnli/validation.{code}.jsonl", examples)
        word = first.split()[1]
        asked = {"id": "1", "context": f"{first} {second}", "question": f"{word}?"}
        write_lines(folder / f"xquad/validation.{code}.jsonl", [{**asked, "answers": [word]}])
    question = {"id": "1", "question": "What cat?", "answers": [{"text": "old", "answer_start": 4}]}
    paragraph = {"context": ENGLISH[0], "qas": [question]}
    (folder / "squad.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))


def write_data_sets(folder: Path) -> None:
    """Write a little of the data sets that the suites look for."""
    sentences = [{"text": text.rstrip(".")} for text in ENGLISH[:2]]
    write_lines(folder / "infill/lambada/validation.jsonl", sentences)
    pairs = [{"good": ENGLISH[0], "bad": f"{ENGLISH[0]} Cat the."}] * 2
    named = {"phenomenon": "order", "paradigm": "one"}
    write_lines(folder / "nlu/blimp/validation.jsonl", [pair | named for pair in pairs])
    write_lines(folder.parent / "my_pairs.jsonl", pairs)
    entailment = {"premise": ENGLISH[0], "hypothesis": "A cat sat."}
    for name in ("RTE", "CB"):
        labels = ("entailment", "not_entailment" if name == "RTE" else "contradiction")
        examples = [{**entailment, "label": label} for label in labels * 2]
        write_lines(folder / f"nlu/superglue/{name}/val.jsonl", examples)
    summaries = [{"source": " ".join(ENGLISH[:2]), "target": [ENGLISH[0]]}] * 2
    write_lines(folder / "seq2seq/scitldr_a/validation.jsonl", summaries)
    sides = zip(ENGLISH[:2], GERMAN[:2], FRENCH[:2], strict=True)
    aligned = [dict(zip(("en", "de", "fr"), texts, strict=True)) for texts in sides]
    for name in ("multi30k/val", "ntrex/dev"):
        write_lines(folder / f"parallel/{name}.jsonl", aligned)
    fact = {"relation": "P1", "sub_label": "the cat"}
    facts = [{**fact, "obj_label": name} for name in ("mat", "dog")]
    relation = {"relation": "P1", "label": "place", "template": "[X] sat on [Y] ."}
    write_lines(folder / "probing/lama_trex/facts.jsonl", [{**facts[0], "predicate_id": "P1"}])
    templates = dict.fromkeys(("en", "sw", "zh"), relation["template"])
    for code in templates:
        write_lines(folder / f"probing/xfactr/facts.{code}.jsonl", facts)
    for name in ("lama_trex", "xfactr"):
        relations = [{**relation, "templates": templates} if name == "xfactr" else relation]
        write_lines(folder / f"probing/{name}/relations.jsonl", relations)


def write_models(folder: Path) -> None:
    """Train one small GLM and one DeltaLM for a step, under every name that a page uses."""
    runs = folder / "runs"
    text = " ".join(["--train", *(str(folder / name) for name in ("corpus", "foreign.txt"))])
    main(f"tokenize {text} --vocab-size 400 --num-sentinels 20 --output {runs}/tokenizer".split())
    shared = (
        f"--tokenizer.path {runs}/tokenizer --data.train {folder}/corpus --data.max_length 256 "
        "--train.max_steps 1 --train.batch_size 2 --train.micro_batch_size 2 "
        "--train.validate_every 0 --train.no-arrange-memory"
    )
    small = "--model.hidden_size 32 --model.num_attention_heads 4 --model.num_hidden_layers 2"
    main(f"pretrain --model.preset tiny {small} {shared} --train.output_dir {runs}/mine".split())
    main(
        f"pretrain --model.preset deltalm-tiny {small} {shared} "
        f"--train.output_dir {runs}/translator".split()
    )
    (runs / "mine" / STAND_IN).touch()
    (runs / "translator" / STAND_IN).touch()
    for name in ("demo", "my_model", "base", "encoder", "../multilingual"):
        shutil.copytree(runs / "mine", runs / name)
    for name in ("en-de", "deltalm"):
        shutil.copytree(runs / "translator", runs / name)


def write_known_answers(folder: Path) -> None:
    """Write answers of which about half are what the small GLM, or any model, would say."""
    texts = [f"{text.rstrip('.')} {number} [MASK]." for number, text in enumerate(ENGLISH * 5)]
    fills = unblank.load(folder / "runs" / "mine").fill(texts, max_tokens=4)
    known = [
        {"text": text, "answers": [fill.blanks[0].text if number % 2 else "zebra"]}
        for number, (text, fill) in enumerate(zip(texts, fills, strict=True))
    ]
    write_lines(folder / "known_blanks.jsonl", known)
    labels = [{"text": text, "label": ("sat", "ran")[n % 2]} for n, text in enumerate(texts)]
    write_lines(folder / "known_candidates.jsonl", labels)
    mails = [
        {"subject": "Your cat", "body": text, "priority": ("high", "low")[number % 2]}
        for number, text in enumerate(texts)
    ]
    write_lines(
        folder / "other_mails.jsonl",
        [mail | {"body": mail["body"].replace("[MASK]", "cat")} for mail in mails],
    )


def write_published(folder: Path) -> None:
    """Write a checkpoint as GLM's program left it, its vocabulary, and recorded outputs of it."""
    write_byte_level_vocabulary(folder / "gpt2-vocabulary", num_tokens=300)
    write_megatron_glm(folder / "glm-2b", rows=384)
    converted = folder / "converted"
    with warnings.catch_warnings(action="ignore"):
        unblank.convert(
            folder / "glm-2b", converted, tokenizer=folder / "gpt2-vocabulary", dtype="bf16"
        )
    model = unblank.load(converted, dtype="fp32").model
    tokens = torch.arange(10, 16)[None]
    position_ids = torch.stack([torch.arange(6), torch.zeros(6, dtype=torch.long)])[None]
    lengths = torch.tensor([6])
    with torch.inference_mode():
        logits = model(
            tokens, position_ids=position_ids.transpose(0, 1), prefix_lengths=lengths
        ).logits
    recorded = {"tokens": tokens, "position_ids": position_ids, "attention_mask": lengths}
    named = {f"first.{name}": value for name, value in {**recorded, "logits": logits}.items()}
    save_file(named, folder / "recorded.safetensors")


def write_byte_level_vocabulary(folder: Path, num_tokens: int) -> None:
    """Write `vocab.json` and `merges.txt` in GPT-2's layout, `<|endoftext|>` the last token."""
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("c", "a"), ("ca", "t")]
    tokens = [*alphabet, *(left + right for left, right in merges)]
    tokens += [f"filler{number}" for number in range(num_tokens - 1 - len(tokens))]
    ids = {token: number for number, token in enumerate([*tokens, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_megatron_glm(folder: Path, rows: int, width: int = 64, num_layers: int = 2) -> None:
    """Write a random checkpoint: a tracker file, and one file of one model-parallel rank."""
    draw = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "word_embeddings": (rows, width),
        "transformer.position_embeddings": (65, width),
        "transformer.block_position_embeddings": (65, width),
    }
    for layer in range(num_layers):
        for name, size in {
            "input_layernorm": (width,),
            "attention.query_key_value": (3 * width, width),
            "attention.dense": (width, width),
            "post_attention_layernorm": (width,),
            "mlp.dense_h_to_4h": (4 * width, width),
            "mlp.dense_4h_to_h": (width, 4 * width),
        }.items():
            shapes[f"transformer.layers.{layer}.{name}"] = size
    shapes["transformer.final_layernorm"] = (width,)
    module = {}
    for name, size in shapes.items():
        module[f"{name}.weight"] = torch.randn(size, generator=draw) * 0.1
        if "embeddings" not in name:
            module[f"{name}.bias"] = torch.randn(size[0], generator=draw) * 0.1
    (folder / "100").mkdir(parents=True)
    (folder / "latest_checkpointed_iteration.txt").write_text("100")
    # No published GLM is as narrow, so the number of heads has to stand somewhere.
    sizes = {"hidden_size": width, "num_layers": num_layers, "num_attention_heads": 4}
    (folder / "100" / "config.json").write_text(json.dumps(sizes))
    content = {"module": module, "iteration": 100}
    torch.save(content, folder / "100" / "mp_rank_00_model_states.pt")
