"""`import unblank` alone makes transformers' Auto classes open our folders, and stays quick."""

import json
import subprocess
import sys

import pytest
from tiny_models import encoder_decoder

from unblank.tokenization import special_ids
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.train import train_tokenizer

AUTO = "from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM"
KINDS = ["wordpiece", "unigram", "bpe"]
OTHERS = "import peft, lm_eval.models"
OPEN_ALL = """
print(type(AutoConfig.from_pretrained({folder!r})).__name__)
print(type(AutoModel.from_pretrained({folder!r})).__name__)
print(type(AutoModelForSeq2SeqLM.from_pretrained({folder!r})).__name__)
"""
KNOWN_TO_OTHERS = """
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as targets
from lm_eval.api.registry import model_registry
print(*targets["glm_infill"], "unblank" in model_registry)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("deltalm")
    model, _ = encoder_decoder("deltalm")
    model.save_pretrained(folder)
    return str(folder)


FORKS = """
import json, os, sys
import accelerate, huggingface_hub, scipy.optimize, sympy, tokenizers, torch._dynamo
import torch.distributed.checkpoint, torch.distributed.fsdp, torch.distributed.tensor
assert not {"transformers", "unblank"} & sys.modules.keys()
for line in sys.stdin:
    if os.fork() == 0:
        exec(json.loads(line))
        sys.exit()
    print("ended", os.wait()[1], flush=True)
"""


@pytest.fixture(scope="module")
def words_said_by():
    """Return a function: code -> the words that a Python prints which has not imported us.

    It has imported what transformers imports, and not transformers itself.

    It is a copy of one that has, as that takes longer than all else that is imported here.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKS], **pipes) as python:

        def said(code: str) -> list[str]:
            print(json.dumps(code), file=python.stdin, flush=True)
            words: list[str] = []
            for line in python.stdout:
                if line.startswith("ended "):
                    assert line == "ended 0\n"
                    break
                words += line.split()
            return words

        yield said
        python.stdin.close()


@pytest.mark.parametrize(
    "imports",
    [
        # Its import loads the Auto classes midway.
        f"import unblank; from transformers import Trainer; {AUTO}; {OTHERS}",
        f"{AUTO}; {OTHERS}; import unblank",
        # Only one of them is there before us.
        pytest.param(f"{AUTO}; import unblank; {OTHERS}", marks=pytest.mark.slow),
        pytest.param(f"{OTHERS}; import unblank; {AUTO}", marks=pytest.mark.slow),
        pytest.param(f"import unblank; {AUTO}; {OTHERS}", marks=pytest.mark.slow),
    ],
    ids=["before the trainer", "last", "after transformers", "after the others", "first"],
)
def test_others_know_our_models_whatever_is_imported_first(imports, folder, words_said_by):
    """The Auto classes of transformers, PEFT's table of targets, and lm-eval's of models."""
    words = words_said_by(imports + OPEN_ALL.format(folder=folder) + KNOWN_TO_OTHERS)
    names = ["DeltaLMConfig", "DeltaLMModel", "DeltaLMForConditionalGeneration"]
    assert words == [*names, "qkv_proj", "o_proj", "True"]


@pytest.mark.slow  # the case that is most easily broken, Trainer, is one of those above
@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import AutoConfig",
        "from transformers import Trainer, AutoConfig",
        "from transformers import pipeline, AutoConfig",
        "from unblank.models.glm.configuration import GlmInfillConfig; "
        "from transformers import AutoConfig",
    ],
)
def test_configurations_are_known_however_the_auto_classes_are_reached(
    imports, folder, words_said_by
):
    opened = f"print(type(AutoConfig.from_pretrained({folder!r})).__name__)"
    assert words_said_by(f"import unblank; {imports}; {opened}") == ["DeltaLMConfig"]


@pytest.mark.filterwarnings("ignore:the text is too small")
def test_tokenizers_are_opened_without_this_library(tmp_path, words_said_by):
    texts, expected = ["one small dog ran", "an old cat sat"] * 9, []
    for kind in KINDS:
        tokenizer = train_tokenizer(texts, kind=kind, vocab_size=600, show_progress=False)
        tokenizer.save_pretrained(tmp_path / kind)
        expected.append([special_ids(tokenizer).gmask, *encode_texts(tokenizer, texts[:1])[0]])
    code = f"""
from transformers import AutoTokenizer
tokenizers = [AutoTokenizer.from_pretrained({str(tmp_path)!r} + "/" + kind) for kind in {KINDS}]
assert not any(name.startswith("unblank") for name in sys.modules)
print(json.dumps([[t.gmask_token_id, *t({texts[0]!r})["input_ids"]] for t in tokenizers]))
"""
    assert json.loads(" ".join(words_said_by(code))) == expected


def test_the_import_alone_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys, time; start = time.process_time(); import unblank; "
        "heavy = {'torch', 'transformers', 'peft', 'lm_eval'} & sys.modules.keys(); "
        "print(time.process_time() - start, *heavy)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *heavy = ran.stdout.split()
    assert not heavy
    assert float(seconds) < 0.2
