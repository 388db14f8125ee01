"""Our model classes as transformers' common tests want them; collected by `run_mixins.py` only.

One test class a model class. What a tester says: a tiny configuration, and inputs as a user gives
them. Ids of special tokens come first in the vocabulary, where tests that cut it leave them.
"""

import copy
import unittest
from typing import Any

import torch
from tests.generation.test_utils import GenerationTesterMixin
from tests.test_modeling_common import ModelTesterMixin, ids_tensor, random_attention_mask
from transformers import PreTrainedModel

from unblank import models

VOCABULARY = 99
PAD, MASK, SOP, EOP, SENTINEL = 0, 5, 6, 7, 8
FIRST_WORD = 10


def words(rows: int, columns: int) -> torch.Tensor:
    return FIRST_WORD + ids_tensor([rows, columns], VOCABULARY - FIRST_WORD)


class Tester:
    """A tiny model and inputs for it."""

    batch_size = 3
    seq_length = 12
    num_hidden_layers = 2
    num_attention_heads = 4
    hidden_size = 32
    num_choices = 2
    num_labels = 3
    is_training = True

    def __init__(self, config_class: type) -> None:
        self.config_class = config_class

    def get_config(self) -> Any:
        return self.config_class(**self.fields())

    def fields(self) -> dict[str, Any]:
        return {
            "vocab_size": VOCABULARY,
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_attention_heads,
            "max_position_embeddings": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "pad_token_id": PAD,
            "eos_token_id": EOP,
            "mask_token_id": MASK,
        }

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        ids = words(self.batch_size, self.seq_length)
        mask = random_attention_mask([self.batch_size, self.seq_length]).flip(1)
        mask[:, -1] = 1
        return self.get_config(), {"input_ids": ids, "attention_mask": mask}


class GlmTester(Tester):
    """Every row is a text with one blank, ready to be filled."""

    def fields(self) -> dict[str, Any]:
        special = {"sop_token_id": SOP, "eop_token_id": EOP}
        return super().fields() | special | {"num_hidden_layers": self.num_hidden_layers}

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, inputs = super().prepare_config_and_inputs_for_common()
        inputs["input_ids"][:, -3] = MASK
        inputs["input_ids"][:, -1] = SOP
        inputs["attention_mask"][:, -3:] = 1
        return config, inputs


class MaskedTester(GlmTester):
    """A text with one blank; the model adds a column for an end, and one that opens the blank."""

    encoder_seq_length = key_length = Tester.seq_length + 2

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, inputs = super().prepare_config_and_inputs_for_common()
        inputs["input_ids"][:, -1] = EOP
        return config, inputs


class ElectraTester(GlmTester):
    def fields(self) -> dict[str, Any]:
        return super().fields() | {"generator_layers": 1}


class GeneratorTester(ElectraTester):
    """A text, to which the model adds a column for an end."""

    encoder_seq_length = key_length = Tester.seq_length + 1

    def fields(self) -> dict[str, Any]:
        return super().fields() | {"generator_layers": self.num_hidden_layers}


class EncoderDecoderTester(Tester):
    decoder_seq_length = Tester.seq_length

    def fields(self) -> dict[str, Any]:
        layers = self.num_hidden_layers
        return super().fields() | {
            "encoder_layers": layers,
            "decoder_layers": layers,
            "decoder_start_token_id": EOP,
        }

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, inputs = super().prepare_config_and_inputs_for_common()
        target = words(self.batch_size, self.decoder_seq_length)
        inputs |= {"decoder_input_ids": target, "decoder_attention_mask": torch.ones_like(target)}
        return config, inputs


class GanLMTester(EncoderDecoderTester):
    def fields(self) -> dict[str, Any]:
        # A classifier's outputs are those of the discriminator, and the tests count their layers.
        layers = self.num_hidden_layers
        return super().fields() | {"discriminator_layers": layers, "sentinel_token_ids": [SENTINEL]}


class SourceTester(GanLMTester):
    """Of a model that makes its decoder's input itself."""

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, inputs = super().prepare_config_and_inputs_for_common()
        del inputs["decoder_input_ids"], inputs["decoder_attention_mask"]
        return config, inputs


class Common(ModelTesterMixin):
    """What all our test classes share."""

    inputs_of: type[Tester]
    model_class: type[PreTrainedModel]
    labels: str | None = "tokens"
    sampled: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.model_tester = self.inputs_of(self.model_class.config_class)
        self.model_tester.is_training = self.labels is not None
        self.is_encoder_decoder = issubclass(self.inputs_of, EncoderDecoderTester)
        self.all_model_classes = (self.model_class,)

    def _prepare_for_class(
        self, inputs_dict: dict[str, Any], model_class: type, return_labels: bool = False
    ) -> dict[str, Any]:
        inputs = copy.deepcopy(inputs_dict)
        if self.labels == "choices":
            shape = (-1, self.model_tester.num_choices, -1)
            for name, value in inputs.items():
                if isinstance(value, torch.Tensor):
                    inputs[name] = value.unsqueeze(1).expand(shape).contiguous()
        if return_labels and self.labels == "tokens":
            target = inputs.get("decoder_input_ids", inputs["input_ids"])
            inputs["labels"] = torch.full_like(target, FIRST_WORD)
            # What a model would draw is given, so that two calls compare.
            inputs |= dict.fromkeys(self.sampled, inputs["labels"] + 1)
        elif return_labels and self.labels is not None:
            inputs["labels"] = torch.zeros(self.model_tester.batch_size, dtype=torch.long)
        return inputs


class Generating(Common, GenerationTesterMixin):
    """A model that generates, too."""


class GlmInfillModelTest(Common, unittest.TestCase):
    inputs_of, model_class, labels = GlmTester, models.GlmInfillModel, None


class GlmInfillForConditionalGenerationTest(Generating, unittest.TestCase):
    inputs_of, model_class = GlmTester, models.GlmInfillForConditionalGeneration


class GlmInfillForMaskedLMTest(Common, unittest.TestCase):
    inputs_of, model_class = MaskedTester, models.GlmInfillForMaskedLM


class GlmInfillForCausalLMTest(Generating, unittest.TestCase):
    inputs_of, model_class, labels = GlmTester, models.GlmInfillForCausalLM, None


class GlmInfillForSequenceClassificationTest(Common, unittest.TestCase):
    inputs_of, model_class = GlmTester, models.GlmInfillForSequenceClassification
    labels = "classes"


class GlmInfillForMultipleChoiceTest(Common, unittest.TestCase):
    inputs_of, model_class = GlmTester, models.GlmInfillForMultipleChoice
    labels = "choices"


class DeltaLMModelTest(Common, unittest.TestCase):
    inputs_of, model_class, labels = EncoderDecoderTester, models.DeltaLMModel, None


class DeltaLMForConditionalGenerationTest(Generating, unittest.TestCase):
    inputs_of, model_class = EncoderDecoderTester, models.DeltaLMForConditionalGeneration


class GanLMModelTest(Common, unittest.TestCase):
    inputs_of, model_class, labels = GanLMTester, models.GanLMModel, None


class GanLMForConditionalGenerationTest(Generating, unittest.TestCase):
    inputs_of, model_class = GanLMTester, models.GanLMForConditionalGeneration


class GanLMForPreTrainingTest(Generating, unittest.TestCase):
    inputs_of, model_class = GanLMTester, models.GanLMForPreTraining
    sampled = ("sampled_ids", "resampled_ids")


class GanLMForSequenceClassificationTest(Common, unittest.TestCase):
    inputs_of, model_class, labels = SourceTester, models.GanLMForSequenceClassification, "classes"


class ElectraInfillModelTest(Common, unittest.TestCase):
    inputs_of, model_class, labels = ElectraTester, models.ElectraInfillModel, None


class ElectraInfillForPreTrainingTest(Common, unittest.TestCase):
    inputs_of, model_class = ElectraTester, models.ElectraInfillForPreTraining
    sampled = ("sampled_ids",)


class ElectraInfillForMaskedLMTest(Common, unittest.TestCase):
    inputs_of, model_class = GeneratorTester, models.ElectraInfillForMaskedLM
