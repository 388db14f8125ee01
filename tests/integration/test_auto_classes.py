"""`import unblank` alone makes transformers' Auto classes open our folders, and stays quick."""

import json
import subprocess
import sys

import pytest
from tiny_models import encoder_decoder

AUTO = "from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM"
OPEN_ALL = """
print(type(AutoConfig.from_pretrained({folder!r})).__name__)
print(type(AutoModel.from_pretrained({folder!r})).__name__)
print(type(AutoModelForSeq2SeqLM.from_pretrained({folder!r})).__name__)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("deltalm")
    model, _ = encoder_decoder("deltalm")
    model.save_pretrained(folder)
    return str(folder)


FORKS = """
import json, os, sys
import huggingface_hub, tokenizers, torch._dynamo
assert not {"transformers", "unblank"} & sys.modules.keys()
for line in sys.stdin:
    if os.fork() == 0:
        exec(json.loads(line))
        sys.exit()
    print("ended", os.wait()[1], flush=True)
"""


@pytest.fixture(scope="module")
def words_said_by():
    """Return a function: code -> the words that a Python prints which has imported but torch.

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
    "imports", [f"import unblank; {AUTO}", f"{AUTO}; import unblank"], ids=["first", "last"]
)
def test_auto_classes_open_our_folders_whatever_is_imported_first(imports, folder, words_said_by):
    names = words_said_by(imports + OPEN_ALL.format(folder=folder))
    assert names == ["DeltaLMConfig", "DeltaLMModel", "DeltaLMForConditionalGeneration"]


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("from transformers import AutoConfig", marks=pytest.mark.slow),
        "from transformers import Trainer, AutoConfig",  # its import loads the Auto classes midway
        pytest.param("from transformers import pipeline, AutoConfig", marks=pytest.mark.slow),
        "from unblank.models.glm.configuration import GlmInfillConfig; "
        "from transformers import AutoConfig",
    ],
)
def test_configurations_are_known_however_the_auto_classes_are_reached(
    imports, folder, words_said_by
):
    opened = f"print(type(AutoConfig.from_pretrained({folder!r})).__name__)"
    assert words_said_by(f"import unblank; {imports}; {opened}") == ["DeltaLMConfig"]


@pytest.mark.parametrize(
    "imports",
    ["import unblank; import peft, lm_eval", "import peft, lm_eval.models; import unblank"],
    ids=["first", "last"],
)
def test_peft_and_lm_eval_know_our_models_whatever_is_imported_first(imports, words_said_by):
    code = (
        f"{imports}; from peft.utils.constants import "
        "TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as targets; "
        "import lm_eval.models; from lm_eval.api.registry import model_registry; "
        "print(*targets['glm_infill'], 'unblank' in model_registry)"
    )
    assert words_said_by(code) == ["qkv_proj", "o_proj", "True"]


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
