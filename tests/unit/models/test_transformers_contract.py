"""What transformers asks of any model, asked of all of ours."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import GenerationConfig
from transformers.cache_utils import EncoderDecoderCache, StaticCache
from transformers.utils.generic import find_labels

from unblank import models

SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
    "mask_token_id": 5,
    "num_labels": 3,
}
GLM = SHAPE | {"num_hidden_layers": 2, "sop_token_id": 6, "eop_token_id": 7}
SEQ2SEQ = SHAPE | {"encoder_layers": 2, "decoder_layers": 2}
IDS = torch.tensor([[10, 5, 11, 6, 12, 13], [14, 15, 5, 6, 16, 17]])
LABELS = torch.tensor([[-100, 20, 21, -100], [30, -100, -100, -100]])
POSITIONS = torch.tensor(
    [[[0, 1, 2, 1, 1, 1], [0, 1, 2, 2, 2, 2]], [[0, 0, 0, 1, 2, 3], [0, 0, 0, 1, 2, 3]]]
)


def glm(name="GlmInfillForConditionalGeneration", **fields):
    torch.manual_seed(0)
    return getattr(models, name)(models.GlmInfillConfig(**GLM | fields)).eval()


def seq2seq(name, **fields):
    torch.manual_seed(0)
    model_class = getattr(models, name)
    return model_class(model_class.config_class(**SEQ2SEQ | fields)).eval()


WRITERS = {
    "glm": lambda **fields: glm(**fields),
    "deltalm": lambda **fields: seq2seq("DeltaLMForConditionalGeneration", **fields),
    "ganlm": lambda **fields: seq2seq("GanLMForConditionalGeneration", **fields),
}


@pytest.fixture(params=WRITERS)
def writer(request):
    return WRITERS[request.param]()


def test_labels_are_the_only_labels():
    for name in models.__all__:
        if not name.endswith(("Config", "Model")):
            assert find_labels(getattr(models, name)) == ["labels"], name


@pytest.mark.parametrize("name", [*models.__all__])
def test_what_writes_says_so_in_its_bases(name):
    """transformers looks at the names of the bases, not at theirs."""
    model_class = getattr(models, name)
    is_writer = (
        name.endswith(("ConditionalGeneration", "CausalLM")) or name == "GanLMForPreTraining"
    )
    assert ("GenerationMixin" in str(model_class.__bases__)) == is_writer


EVERY_MODEL = [name for name in models.__all__ if not name.endswith("Config")]


def model_and_inputs(name):
    """Return a model and the least that its forward takes."""
    if name.startswith("Glm"):
        model = glm(name)
    elif name.startswith("Electra"):
        config = models.ElectraInfillConfig(**GLM, generator_layers=1)
        model = getattr(models, name)(config).eval()
    else:
        model = seq2seq(name)
    inputs = {"input_ids": IDS.unsqueeze(1) if name.endswith("Choice") else IDS}
    if model.config.is_encoder_decoder and not name.endswith("Classification"):
        inputs["decoder_input_ids"] = IDS
    return model, inputs


def labels_for(name):
    """Return labels as the model takes them; none if it takes none."""
    if name.endswith("Model") or name == "GlmInfillForCausalLM":
        return {}
    is_class = name.endswith(("Choice", "Classification"))
    return {"labels": torch.zeros(2, dtype=torch.long) if is_class else torch.full_like(IDS, 20)}


@pytest.mark.parametrize("name", [name for name in EVERY_MODEL if labels_for(name)])
@pytest.mark.parametrize("wrong", [60, -1])
def test_labels_that_the_model_does_not_have_are_named(name, wrong):
    model, inputs = model_and_inputs(name)
    labels = labels_for(name)["labels"]
    model(**inputs, labels=labels)
    labels[-1] = wrong
    for is_training in (False, True):
        model.train(is_training)
        with pytest.raises(ValueError, match=rf"labels hold {wrong}.*(classes|tokens)"):
            model(**inputs, labels=labels)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_an_argument_without_effect_is_refused(name):
    model, inputs = model_and_inputs(name)
    model(**inputs, cache_position=torch.arange(6), output_attentions=False, cross_attn_mask=None)
    for argument in ("label_smoothing", "cu_seq_lens_q"):
        with pytest.raises(TypeError, match=argument):
            model(**inputs, **{argument: torch.ones(1)})


def test_training_refuses_what_pretraining_cannot_use():
    model = seq2seq("GanLMForPreTraining")
    for argument in ("sampled_softmax", "logits_to_keep", "num_items_in_batch"):
        with pytest.raises(TypeError, match=argument):
            model(IDS, labels=IDS, **{argument: 3})


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_a_call_without_input_is_refused(name):
    model, _ = model_and_inputs(name)
    with pytest.raises(ValueError, match=r"input_ids|features"):
        model()


@pytest.mark.parametrize("is_labelled", [False, True])
def test_logits_of_chosen_columns_are_those_of_the_whole(writer, is_labelled):
    inputs = {"input_ids": IDS, "decoder_input_ids": IDS}
    if not writer.config.is_encoder_decoder:
        inputs = {"input_ids": IDS}
    if is_labelled:
        inputs["labels"] = IDS
    whole = writer(**inputs).logits
    is_wanted = torch.zeros(IDS.shape[1], dtype=torch.bool)
    is_wanted[2] = True
    for columns in (torch.tensor([4, 1]), torch.tensor([-1]), is_wanted):
        assert_close(writer(**inputs, logits_to_keep=columns).logits, whole[:, columns])
    assert_close(writer(**inputs, logits_to_keep=2).logits, whole[:, -2:])
    assert_close(writer(**inputs, logits_to_keep=0).logits, whole)


def test_a_generation_config_may_come_second(writer):
    config = GenerationConfig(max_new_tokens=3, do_sample=False)
    expected = writer.generate(IDS[:, :4], generation_config=config)
    assert torch.equal(writer.generate(IDS[:, :4], config), expected)


def test_outputs_come_in_the_order_of_transformers(writer):
    labels = LABELS if writer.config.is_encoder_decoder else torch.full_like(IDS, 10)
    output = writer(IDS, labels=labels)
    assert list(output)[:2] == ["loss", "logits"]
    loss, logits = writer(IDS, labels=labels, return_dict=False)[:2]
    assert_close(loss, output[0])
    assert_close(logits, output[1])
    assert logits.shape == (*labels.shape, SHAPE["vocab_size"])


def test_a_loss_is_divided_by_the_items_of_the_whole_step(writer):
    labels = LABELS if writer.config.is_encoder_decoder else LABELS.repeat(1, 2)[:, :6]
    output = writer(IDS, labels=labels, num_items_in_batch=torch.tensor(10))
    assert_close(output.loss, output.loss_sum / 10)


def test_eager_attention_gives_its_weights():
    for name, make in WRITERS.items():
        model = make(attn_implementation="eager")
        inputs = {"decoder_input_ids": IDS[:, :4]} if model.config.is_encoder_decoder else {}
        output = model(IDS, **inputs, output_attentions=True, output_hidden_states=True)
        kinds = ("encoder_", "decoder_", "cross_") if inputs else ("",)
        for kind in kinds:
            weights = output[f"{kind}attentions"]
            assert len(weights) == 2, (name, kind)
            sums = weights[-1].sum(-1)
            assert_close(sums, torch.ones_like(sums))
        states = output["decoder_hidden_states" if inputs else "hidden_states"]
        assert len(states) == 3
        assert_close(model.lm_head(states[-1]), output.logits)


def test_a_classifier_answers_alike_with_every_attention():
    scores = []
    for implementation in ("eager", "sdpa"):
        model = seq2seq("GanLMForSequenceClassification", attn_implementation=implementation)
        scores.append(model(IDS, attention_mask=IDS != 17).logits)
    assert_close(*scores)


def test_positions_in_two_arguments_equal_one():
    model = glm()
    inputs = {"input_ids": IDS, "prefix_lengths": torch.tensor([3, 3])}
    apart = model(**inputs, position_ids=POSITIONS[0], block_position_ids=POSITIONS[1])
    together = model(**inputs, position_ids=POSITIONS)
    assert_close(apart.logits, together.logits)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_a_static_cache_is_refused_by_every_model(name):
    model, inputs = model_and_inputs(name)
    cache = StaticCache(config=model.config, max_cache_len=16)
    for given in (cache, EncoderDecoderCache(cache, cache)):
        # A model without a cache says that it has no such argument.
        with pytest.raises((ValueError, TypeError), match="past_key_values"):
            model(**inputs, past_key_values=given)
    if model.can_generate():
        for kind in ("static", "offloaded_static", "sliding_window"):
            with pytest.raises(ValueError, match="cache_implementation"):
                model.generate(IDS[:, :4], cache_implementation=kind, max_new_tokens=2)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_guidance_is_refused_by_every_model(name):
    model, inputs = model_and_inputs(name)
    with pytest.raises(TypeError, match="guidance_scale"):
        model(**inputs, guidance_scale=2.0)
    if model.can_generate():
        with pytest.raises(ValueError, match="guidance_scale"):
            model.generate(IDS[:, :4], guidance_scale=2.0, max_new_tokens=2)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_an_early_exit_is_refused_and_changes_nothing(name):
    model, _ = model_and_inputs(name)
    if model.can_generate():
        before = model.config.to_dict()
        with pytest.raises(ValueError, match="assistant_early_exit"):
            model.generate(IDS[:1, :4], assistant_early_exit=1, max_new_tokens=2)
        assert model.config.to_dict() == before


def nothing_of(values, axis):
    return {name: value.narrow(axis, 0, 0) for name, value in values.items()}


@pytest.mark.parametrize("name", EVERY_MODEL)
@pytest.mark.parametrize("axis", [0, -1])
def test_an_empty_batch_is_refused_with_its_shape(name, axis):
    model, inputs = model_and_inputs(name)
    with pytest.raises(ValueError, match=r"input_ids has shape \(.*0.*\)"):
        model(**nothing_of(inputs, axis))
    if labels := labels_for(name):
        with pytest.raises(ValueError, match=r"input_ids has shape \(.*0.*\)"):
            model(**nothing_of(inputs | labels, axis))
    for target in inputs.keys() - {"input_ids"}:
        with pytest.raises(ValueError, match=target):
            model(**inputs | nothing_of({target: inputs[target]}, axis))
    if model.can_generate() and (axis == 0 or name != "GlmInfillForCausalLM"):
        with pytest.raises(ValueError, match=r"has shape"):
            model.generate(IDS[:, :4].narrow(axis, 0, 0), max_new_tokens=2)


@pytest.mark.parametrize("name", [name for name in EVERY_MODEL if "ConditionalGen" in name])
def test_labels_that_trainer_keeps_to_itself_are_made_good_by_its_collator(name):
    """`label_smoothing_factor` takes the labels out of the inputs."""
    model, inputs = model_and_inputs(name)
    if not model.config.is_encoder_decoder:
        pytest.skip("a GLM needs no target")
    with pytest.raises(ValueError, match=r"label_smoothing_factor.*DataCollatorForSeq2Seq"):
        model(inputs["input_ids"])


@pytest.mark.parametrize("how", ["columns", "positions", "decoder"])
def test_text_beyond_the_positions_is_named(writer, how):
    long = torch.full((1, 30), 10)
    inputs = {"input_ids": long, "labels": long}
    if how == "decoder":
        if not writer.config.is_encoder_decoder:
            pytest.skip("a GLM has one stack")
        inputs = {"input_ids": IDS[:1], "decoder_input_ids": long}
    elif how == "positions":
        if writer.config.is_encoder_decoder:
            pytest.skip("an encoder-decoder counts its positions itself")
        positions = torch.stack([torch.arange(30), torch.zeros(30, dtype=torch.long)])
        inputs = {"input_ids": long, "position_ids": positions[:, None]}
    with pytest.raises(ValueError, match=r"30 tokens.* 24 positions"):
        writer(**inputs)


def test_an_implementation_that_cannot_work_is_refused_at_load():
    with pytest.raises(ValueError, match="flex_attention"):
        seq2seq("GanLMModel", attn_implementation="flex_attention")
    with pytest.raises(ValueError, match="flex_attention"):
        seq2seq("GanLMModel").set_attn_implementation("flex_attention")
    with pytest.raises(ValueError, match="sdpa, eager"):
        glm().set_attn_implementation("flash_attention_2")


def test_flex_attention_works_without_a_mask():
    with torch.no_grad():
        flex = glm(attn_implementation="flex_attention")(IDS).logits
        assert_close(flex, glm()(IDS).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["GlmInfillForSequenceClassification",
                                  "GanLMForSequenceClassification"])  # fmt: skip
@pytest.mark.parametrize(
    ("problem", "num_labels", "labels", "loss"),
    [
        ("regression", 1, torch.tensor([0.5, 2.0]), torch.nn.MSELoss()),
        ("regression", 2, torch.rand(2, 2), torch.nn.MSELoss()),
        ("single_label_classification", 3, torch.tensor([2, 0]), torch.nn.CrossEntropyLoss()),
        ("multi_label_classification", 3, torch.ones(2, 3), torch.nn.BCEWithLogitsLoss()),
    ],
)
def test_every_problem_type_has_its_loss(name, problem, num_labels, labels, loss):
    make = glm if name.startswith("Glm") else seq2seq
    model = make(name, num_labels=num_labels, problem_type=problem)
    output = model(IDS, labels=labels)
    assert_close(output.loss, loss(output.logits.squeeze(1), labels))
    embedded = model.get_input_embeddings()(IDS)
    assert_close(model(inputs_embeds=embedded).logits, output.logits)


def test_an_unknown_problem_type_names_the_choices():
    with pytest.raises(Exception, match="multi_label_classification"):
        glm("GlmInfillForSequenceClassification", problem_type="ranking")(
            IDS, labels=torch.tensor([0, 1])
        )


def test_labels_that_are_to_be_ignored_do_not_count():
    model = glm("GlmInfillForSequenceClassification")
    output = model(IDS, labels=torch.tensor([-100, 2]))
    assert_close(output.loss, -output.logits[1].log_softmax(0)[2])
    assert model(IDS, labels=torch.tensor([-100, -100])).loss == 0


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("regression", torch.ones(2)),
        ("single_label_classification", torch.ones(2)),
        ("single_label_classification", torch.tensor([0, 1, 2])),
        ("multi_label_classification", torch.ones(2)),
    ],
)
def test_labels_of_another_problem_are_refused_with_both_shapes(problem, labels):
    model = glm("GlmInfillForSequenceClassification", problem_type=problem)
    with pytest.raises(ValueError, match=problem) as refusal:
        model(IDS, labels=labels)
    assert str(tuple(labels.shape)) in str(refusal.value)


def test_choices_need_only_their_ids():
    model = glm("GlmInfillForMultipleChoice")
    output = model(input_ids=IDS[None], labels=torch.tensor([1]))
    targets = torch.full_like(IDS, -100)
    targets[:, 3:5] = IDS[:, 4:]
    given = model(
        input_ids=IDS[None],
        position_ids=POSITIONS[:, None],
        prefix_lengths=torch.tensor([[3, 3]]),
        target_ids=targets[None],
    )
    assert_close(output.logits, given.logits)
    assert_close(output.loss, -output.logits.log_softmax(1)[0, 1])
    padded = model(
        input_ids=torch.nn.functional.pad(IDS, (0, 2))[None],
        attention_mask=torch.nn.functional.pad(torch.ones_like(IDS), (0, 2))[None],
    )
    assert_close(padded.logits, output.logits)


def test_a_ganlm_trains_with_reentrant_checkpoints():
    grads = []
    for is_checkpointed in (False, True):
        model = seq2seq("GanLMForConditionalGeneration").train()
        if is_checkpointed:
            enable = getattr(model, "activation_checkpointing_enable", None)  # not in 5.17
            (enable or model.gradient_checkpointing_enable)({"use_reentrant": True})
        model(IDS, labels=LABELS).loss.backward()
        grads.append(model.model.encoder.relative_bias.bias.weight.grad)
    assert_close(*grads)


@pytest.mark.slow
def test_choices_compile_as_one_graph():
    model = glm("GlmInfillForMultipleChoice")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    labels = torch.tensor([1])
    assert_close(compiled(IDS[None], labels=labels).loss, model(IDS[None], labels=labels).loss)


@pytest.mark.slow
def test_training_compiles_as_one_graph(writer):
    labels = LABELS if writer.config.is_encoder_decoder else LABELS.repeat(1, 2)[:, :6]
    writer.train()
    compiled = torch.compile(writer, fullgraph=True, backend="aot_eager")
    assert_close(compiled(IDS, labels=labels).loss, writer(IDS, labels=labels).loss)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ElectraInfillForPreTraining", "GanLMForPreTraining"])
@pytest.mark.parametrize("is_drawn", [False, True])
def test_pretraining_compiles_as_one_graph(name, is_drawn):
    """Losses, their counts and rates are those of the model as it is; its draws are others."""
    model, inputs = model_and_inputs(name)
    labels = torch.where(IDS == 5, IDS + 20, -100)
    if name.startswith("GanLM"):
        inputs, labels = {"input_ids": IDS}, LABELS
    inputs |= {"labels": labels, "attention_mask": torch.ones_like(IDS)}
    inputs["attention_mask"][0, -1] = 0
    if not is_drawn:
        inputs["sampled_ids"] = torch.where(labels == -100, 0, torch.arange(labels.shape[1]) + 21)
        if name.startswith("GanLM"):
            inputs["resampled_ids"] = torch.full_like(labels, 33)
    model.train()
    torch._dynamo.reset()  # other tests have compiled the same code as often as is allowed
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")(**inputs)
    expected = model(**inputs)
    assert_close(compiled.losses["generator"], expected.losses["generator"])
    for kind in ("losses", "rates"):
        assert compiled[kind].keys() == expected[kind].keys()
    if not is_drawn:
        assert_close(compiled.loss, expected.loss)
        assert_close(compiled.losses, expected.losses)
        assert_close(compiled.rates, expected.rates)
    compiled.loss.backward()


@pytest.mark.slow
def test_a_discriminator_that_reads_sentences_compiles_in_several_graphs():
    model = seq2seq("GanLMForPreTraining", sentinel_token_ids=[8, 9]).train()
    source, labels = torch.tensor([[10, 8, 11, 9, 12]]), torch.tensor([[8, 20, 21, 9, 22]])
    given = {"labels": labels, "discriminator_reads": "sentence"}
    given |= {name: torch.full_like(labels, 33) for name in ("sampled_ids", "resampled_ids")}
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")(source, **given)
    expected = model(source, **given)
    assert_close(compiled.loss, expected.loss)
    assert_close(compiled.rates, expected.rates)


def test_a_glm_has_no_next_tokens_of_plain_texts():
    """What is not refused is taken as the chances of next tokens, as by lm-eval's `hf`."""
    model = glm("GlmInfillForCausalLM")
    plain = IDS.masked_fill(IDS == 6, 18)
    with pytest.raises(ValueError, match=r"row 1 .*startofpiece.*score"):
        model(torch.stack([IDS[0], plain[1]]))
    hidden_BTD = model.model(plain).last_hidden_state
    assert_close(model.text_outputs(plain), {"logits": model.lm_head(hidden_BTD)})
