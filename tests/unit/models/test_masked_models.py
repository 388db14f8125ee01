"""Masked language models of texts as tokenizers give them: layout, padding, labels."""

import pytest
import torch
from torch.testing import assert_close

from unblank import models

CLS, END, PAD, MASK, SOP, GMASK = 1, 2, 2, 5, 6, 8
FIELDS = {
    "vocab_size": 40, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
    "max_position_embeddings": 24, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "cls_token_id": CLS, "eos_token_id": END,
    "pad_token_id": PAD, "mask_token_id": MASK, "gmask_token_id": GMASK, "sop_token_id": SOP,
    "eop_token_id": 7, "initializer_range": 0.3,
}  # fmt: skip
TEXT = torch.tensor([[10, MASK, 11, MASK, 12]])


@pytest.fixture(params=["GlmInfillForMaskedLM", "ElectraInfillForMaskedLM"])
def model(request):
    model_class = getattr(models, request.param)
    more = {"generator_layers": 2} if request.param.startswith("Electra") else {}
    torch.manual_seed(0)
    return model_class(model_class.config_class(**FIELDS, **more)).eval()


def whole(model, text):
    return torch.tensor([[CLS, *text.tolist()[0], END]])


def test_a_text_is_read_with_its_ends_however_it_is_given(model):
    logits = model(TEXT).logits
    assert logits.shape == (1, 5, 40)
    assert_close(model(whole(model, TEXT)).logits[:, 1:-1], logits)
    embedded = model.get_input_embeddings()(TEXT)
    assert_close(model(inputs_embeds=embedded).logits, logits)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_beside_a_text_changes_nothing(model, side):
    longer = torch.tensor([[13, 14, MASK, 15, 16, MASK, MASK, 17]])
    padding = (3, 0) if side == "left" else (0, 3)
    padded = torch.nn.functional.pad(TEXT, padding, value=PAD)
    mask = torch.nn.functional.pad(torch.ones_like(TEXT), padding)
    logits = model(
        torch.cat([padded, longer]), attention_mask=torch.cat([mask, torch.ones_like(longer)])
    ).logits
    assert_close(logits[:1][:, mask[0].bool()], model(TEXT).logits)
    assert_close(logits[1:], model(longer).logits)


def test_the_loss_is_that_of_the_logits(model):
    labels = torch.tensor([[-100, 20, -100, 21, -100]])
    output = model(TEXT, labels=labels)
    wanted = torch.nn.functional.cross_entropy(output.logits[0], labels[0])
    assert_close(output.loss, wanted)
    assert_close(model(TEXT, labels=labels, num_items_in_batch=8).loss, wanted * 2 / 8)
    assert model.train()(TEXT, labels=labels).logits is None


def test_every_blank_of_a_glm_is_as_if_no_other_span_were_open():
    """The second implementation: one row a blank, with one `[sop]`, by the language model."""
    torch.manual_seed(0)
    masked = models.GlmInfillForMaskedLM(models.GlmInfillConfig(**FIELDS)).eval()
    writer = models.GlmInfillForConditionalGeneration(masked.config).eval()
    writer.load_state_dict(masked.state_dict())
    logits, row = masked(TEXT).logits[0], whole(masked, TEXT)
    for column in (1, 3):
        place = column + 1
        opened = torch.cat([row, torch.tensor([[SOP]])], dim=1)
        outside = [*range(7), place]
        inside = [*[0] * 7, 1]
        wanted = writer(
            opened,
            position_ids=torch.tensor([[outside], [inside]]),
            prefix_lengths=torch.tensor([7]),
        ).logits[0, -1]
        assert_close(logits[column], wanted)


def test_no_end_follows_an_open_blank_and_none_is_added_twice():
    config = models.GlmInfillConfig(**FIELDS)
    masked = models.GlmInfillForMaskedLM(config).eval()
    open_end = torch.tensor([[10, GMASK]])
    states = masked(open_end, output_hidden_states=True).hidden_states[0]
    added_end = states.shape[1] - 2 - 1  # without the text and its [sop]
    assert added_end == 2  # two columns, of which the end is padding
    by_hand = torch.tensor([[CLS, 10, GMASK]])
    assert_close(masked(by_hand).logits[:, 1:], masked(open_end).logits)


@pytest.mark.parametrize("name", ["position_ids", "use_cache", "segment_ids"])
def test_what_the_model_lays_out_itself_is_no_argument(model, name):
    with pytest.raises(TypeError, match=rf"^forward\(\) has no argument {name}"):
        model(TEXT, **{name: TEXT})


@pytest.mark.slow
@pytest.mark.parametrize("is_labelled", [False, True])
def test_masked_models_compile_as_one_graph(model, is_labelled):
    labels = {"labels": torch.tensor([[-100, 20, -100, 21, -100]])} if is_labelled else {}
    model.train(is_labelled)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    name = "loss" if is_labelled else "logits"
    assert_close(compiled(TEXT, **labels)[name], model(TEXT, **labels)[name])
