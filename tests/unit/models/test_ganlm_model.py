"""GanLM: sizes, the mathematics of its objective, who gets gradients, sharing, classification."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import AutoModelForSeq2SeqLM
from transformers.models.t5.modeling_t5 import T5Attention

from unblank.compatibility import enable_activation_checkpointing
from unblank.models.attention import attend, prepare_mask
from unblank.models.encoder_decoder.embeddings import relative_buckets
from unblank.models.ganlm import (
    GanLMConfig,
    GanLMForConditionalGeneration,
    GanLMForPreTraining,
    GanLMForSequenceClassification,
    ganlm_config,
)
from unblank.models.ganlm import losses as maths
from unblank.models.ganlm.sentences import full_sentences
from unblank.models.masks import padding_visibility

SOURCE = torch.tensor([[7, 8, 50, 10, 11, 2], [12, 13, 50, 2, 1, 1]])
INPUTS = torch.tensor([[50, 20, 21, 51], [50, 30, 31, 1]])
LABELS = torch.tensor([[20, 21, 51, 22], [30, 31, 32, -100]])  # 50 and above are sentinels


def tiny_config(**overrides):
    fields = {
        "vocab_size": 60, "hidden_size": 32, "encoder_layers": 2, "decoder_layers": 2,
        "discriminator_layers": 1, "num_attention_heads": 4, "max_position_embeddings": 24,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "relative_bias_buckets": 8, "initializer_range": 0.2, "first_special_id": 50,
    }  # fmt: skip
    return GanLMConfig(**{**fields, **overrides})


def tiny(**overrides):
    torch.manual_seed(0)
    return GanLMForPreTraining(tiny_config(**overrides)).eval()


@pytest.fixture
def model():
    return tiny()


def step(model, **options):
    return model(SOURCE, decoder_input_ids=INPUTS, labels=LABELS, **options)


@pytest.mark.parametrize(
    ("model_class", "preset", "expected"),
    [
        (GanLMForPreTraining, "ganlm-base", 431_325_314),
        (GanLMForConditionalGeneration, "ganlm-base", 392_135_040),
        (GanLMForPreTraining, "ganlm-large", 1_032_934_914),
    ],
)
def test_parameter_counts_are_the_published_ones(model_class, preset, expected):
    with torch.device("meta"):
        model = model_class(ganlm_config(preset))
    model.tie_weights()
    assert sum(p.numel() for p in model.parameters()) == expected


@given(st.integers(2, 16), st.sampled_from([64, 128, 10**8]))
def test_buckets_equal_those_of_t5(half, max_distance):
    distance = torch.arange(-300, 301)
    theirs = T5Attention._relative_position_bucket(
        distance, bidirectional=True, num_buckets=2 * half, max_distance=max_distance
    )
    assert torch.equal(relative_buckets(distance, 2 * half, max_distance), theirs)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_biased_attention_equals_the_formula_with_the_gradient_of_the_bias(implementation):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 6, 8, dtype=torch.float64).unbind()
    bias = torch.randn(1, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    visible = padding_visibility(torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]]), 6)
    mask = prepare_mask(visible, torch.float64, implementation, bias=bias)
    ours, _ = attend(query, key, value, mask, implementation=implementation)
    scores = query @ key.transpose(-1, -2) / 8**0.5 + bias
    expected = torch.where(visible, scores, -torch.inf).softmax(-1) @ value
    assert_close(ours, expected, atol=1e-6, rtol=1e-6)
    gradients = [torch.autograd.grad(out.square().sum(), bias)[0] for out in (ours, expected)]
    assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_rows_of_padding_only_see_everything_and_stay_finite():
    assert padding_visibility(torch.zeros(1, 3), 2).all()


def naive_noise(labels, sampled, judged_original, is_content, rule):
    """One row at a time: (position, "sample" or "other") of every disturbed position."""
    found = set()
    for row, gold in enumerate(labels):
        last = max(column for column, token in enumerate(gold) if token != -100)
        for column, token in enumerate(gold[:last]):
            if token == -100 or not is_content[token]:
                continue
            drawn, says_original = sampled[row][column], judged_original[row][column]
            if drawn != token and is_content[drawn]:
                wanted = {"errors": says_original, "agreements": not says_original, "all": True}
                if wanted[rule]:
                    found.add((row, column, "sample"))
            if drawn == token:
                wanted = {"errors": not says_original, "agreements": says_original, "all": False}
                if wanted[rule]:
                    found.add((row, column, "other"))
    return found


@given(st.integers(0, 2**31), st.sampled_from(["errors", "agreements", "all"]))
def test_noise_goes_where_a_naive_reading_of_the_rule_puts_it(seed, rule):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 6, (3, 7), generator=generator)
    for row, length in enumerate(torch.randint(1, 8, (3,), generator=generator).tolist()):
        labels[row, length:] = -100
    sampled = torch.randint(0, 6, (3, 7), generator=generator)
    judged = torch.rand(3, 7, generator=generator) < 0.5
    is_content = maths.content_ids(6, 5, [2])
    with_sample, with_other = maths.noise_positions(labels, sampled, judged, is_content, rule)
    found = {(row, column, "sample") for row, column in with_sample.nonzero().tolist()}
    found |= {(row, column, "other") for row, column in with_other.nonzero().tolist()}
    assert found == naive_noise(
        labels.tolist(), sampled.tolist(), judged.tolist(), is_content.tolist(), rule
    )


def test_noise_is_written_one_column_later():
    noisy = maths.with_noise(
        INPUTS, torch.full_like(INPUTS, 9), torch.tensor([[1, 0, 1, 1]] * 2) > 0
    )
    assert noisy.tolist() == [[50, 9, 21, 9], [50, 9, 31, 9]]


def test_unknown_rule_names_the_choices(model):
    with pytest.raises(ValueError, match="errors, agreements"):
        step(model, denoising_rule="fooled")


def test_samples_follow_the_tempered_softmax_and_avoid_what_is_excluded():
    generator = torch.Generator().manual_seed(3)
    hidden, weight = torch.eye(5)[:1].expand(4000, 5), torch.randn(8, 5, generator=generator)
    drawn = maths.sample_tokens(hidden, weight, generator, temperature=2.0)
    expected = torch.softmax(weight[:, 0] / 2.0, dim=0)
    assert_close(drawn.bincount(minlength=8) / 4000, expected, atol=0.04, rtol=0)
    best = int(expected.argmax())
    others = maths.sample_tokens(hidden, weight, generator, excluded_N=torch.full((4000,), best))
    assert (others != best).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 1e-2, 1e-6, 1e-38])
@pytest.mark.parametrize("vocab_size", [8, 256])
def test_a_second_draw_is_possible_however_certain_the_generator_is(temperature, vocab_size):
    hidden, weight = torch.ones(2000, 1), torch.zeros(vocab_size, 1)
    weight[5], weight[1], weight[3] = 600.0, 2 * temperature, 2 * temperature
    for dtype in (torch.float32, torch.bfloat16):
        drawn = maths.sample_tokens(
            hidden.to(dtype),
            weight.to(dtype),
            torch.Generator().manual_seed(1),
            temperature,
            excluded_N=torch.full((2000,), 5),
        )
        counts = drawn.bincount(minlength=vocab_size)
        assert len(counts) == vocab_size
        assert counts[5] == 0
        expected = torch.softmax(torch.tensor([2.0, 2.0, *[0.0] * (vocab_size - 3)]), dim=0)[:2]
        assert_close(counts[[1, 3]] / 2000, expected, atol=0.04, rtol=0)
    first = maths.sample_tokens(hidden, weight, temperature=temperature)
    assert (first == 5).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_above_0_and_finite(temperature):
    with pytest.raises(ValueError, match="temperature"):
        maths.sample_tokens(torch.ones(2, 3), torch.ones(4, 3), temperature=temperature)


def test_samples_do_not_depend_on_the_chunks(monkeypatch):
    hidden, weight = torch.randn(300, 5), torch.randn(8, 5)
    whole = maths.sample_tokens(hidden, weight, torch.Generator().manual_seed(1))
    monkeypatch.setattr(maths, "_CHUNK_BYTES", 1)
    parts = maths.sample_tokens(hidden, weight, torch.Generator().manual_seed(1))
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("vocab_size", [7, 24, 640])
def test_a_draw_is_the_place_where_the_running_sum_passes_a_random_number(vocab_size):
    torch.manual_seed(0)
    hidden, weight = torch.randn(500, 6), 3 * torch.randn(vocab_size, 6)
    drawn = maths.sample_tokens(hidden, weight, torch.Generator().manual_seed(2))
    share = torch.rand((500, 1), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    cdf = torch.softmax(hidden.double() @ weight.double().T, dim=1).cumsum(dim=1)
    expected = (cdf <= share).sum(dim=1)
    assert (drawn == expected).float().mean() > 0.99


def test_discriminator_reads_samples_on_content_only_and_is_not_shifted(model):
    sampled = torch.full((2, 4), 40)
    output = step(model, sampled_ids=sampled)
    assert output.discriminator_input_ids.tolist() == [[40, 40, 51, 40], [40, 40, 40, 1]]
    assert output.losses["discriminator"][1] == 6
    assert output.losses["generator"][1] == 7


def test_loss_is_the_weighted_sum_of_the_terms_per_token(model):
    options = {"generator": torch.Generator().manual_seed(1), "discriminator_weight": 5.0}
    output = step(model, **options, denoising_weight=0.5)
    means = {name: total / count for name, (total, count) in output.losses.items()}
    expected = means["generator"] + 5 * means["discriminator"] + 0.5 * means["denoising"]
    assert_close(output.loss, expected)


def test_the_source_s_keys_are_projected_once_and_the_gradients_are_those_of_doing_it_twice(model):
    samples = {
        "sampled_ids": torch.full_like(LABELS, 9),
        "resampled_ids": torch.full_like(LABELS, 8),
    }
    projected = []
    key_projection = model.model.decoder.layers[0].cross_attn.k_proj
    key_projection.register_forward_hook(lambda *_: projected.append(1))
    step(model, **samples).loss.backward()
    once = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    assert len(projected) == 1
    model.zero_grad()
    enable_activation_checkpointing(model.train())
    output = step(model, **samples)
    assert len(projected) == 3
    output.loss.backward()
    for name, weight in model.named_parameters():
        assert_close(weight.grad, once[name], msg=name, atol=1e-5, rtol=1e-4)


def test_losses_of_weight_zero_are_not_computed(model):
    assert step(model, discriminator_weight=0, denoising_weight=0).losses.keys() == {"generator"}
    only = step(model, denoising_weight=0)
    assert only.losses.keys() == {"generator", "discriminator"}
    assert only.denoising_input_ids is None


def test_the_same_generator_seed_gives_the_same_samples(model):
    first = step(model, generator=torch.Generator().manual_seed(5))
    second = step(model, generator=torch.Generator().manual_seed(5))
    assert torch.equal(first.discriminator_input_ids, second.discriminator_input_ids)
    assert torch.equal(first.loss, second.loss)


def test_targets_without_content_cost_nothing_and_stay_finite(model):
    sentinels = torch.full_like(LABELS, 51)
    output = model(SOURCE, decoder_input_ids=INPUTS, labels=sentinels)
    total, count = output.losses["discriminator"]
    assert (total.item(), count.item()) == (0.0, 0)
    assert output.loss.isfinite()


def test_the_discriminators_loss_reaches_encoder_and_table_but_no_generator_layer(model):
    output = step(model, denoising_weight=0)
    output.losses["discriminator"][0].backward()
    assert model.model.encoder.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert model.lm_head.weight.grad.abs().sum() > 0
    assert model.discriminator.out_proj.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.model.decoder.parameters())


def test_sharing_adds_only_a_head_and_judges_with_the_first_layers(model):
    shared = tiny(share_generator_discriminator=True)
    extra = {name for name, _ in shared.named_parameters() if name.startswith("discriminator.")}
    assert {name.split(".")[1] for name in extra} == {"dense", "norm", "out_proj"}
    step(shared, denoising_weight=0).losses["discriminator"][0].backward()
    assert shared.model.decoder.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert shared.model.decoder.layers[1].mlp.up_proj.weight.grad is None


def test_the_discriminator_has_its_own_dropout():
    model = tiny(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5).train()
    layer, judge = model.model.decoder.layers[0], model.discriminator.decoder.layers[0]
    assert (layer.dropout, layer.self_attn.dropout) == (0.5, 0.5)
    assert (judge.dropout, judge.self_attn.dropout) == (0.0, 0.0)


@pytest.mark.parametrize("branch", ["generator", "discriminator"])
def test_a_classifier_starts_from_a_pretrained_folder(branch, model, tmp_path):
    model.save_pretrained(tmp_path)
    classifier = GanLMForSequenceClassification.from_pretrained(
        tmp_path, classifier_branch=branch, num_labels=3
    ).eval()
    ours = classifier.model.encoder.state_dict()
    theirs = model.model.encoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    layers = (model.discriminator if branch == "discriminator" else model.model).decoder.layers
    own = classifier.discriminator if branch == "discriminator" else classifier.model
    assert torch.equal(own.decoder.layers[0].mlp.up_proj.weight, layers[0].mlp.up_proj.weight)
    padded = classifier(SOURCE, labels=torch.tensor([0, 2]))
    left = torch.tensor([[7, 8, 50, 10, 11, 2], [1, 1, 12, 13, 50, 2]])
    assert padded.logits.shape == (2, 3)
    assert padded.loss.isfinite()
    assert_close(classifier(left).logits, padded.logits, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_generation_needs_no_discriminator_and_its_cache_changes_nothing(model, tmp_path):
    model.save_pretrained(tmp_path)
    alone = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    assert isinstance(alone, GanLMForConditionalGeneration)
    assert not isinstance(alone, GanLMForPreTraining)
    cached = alone.generate(SOURCE, max_new_tokens=6, do_sample=False)
    assert torch.equal(cached, alone.generate(SOURCE, max_new_tokens=6, use_cache=False))
    assert torch.equal(cached, model.generate(SOURCE, max_new_tokens=6, do_sample=False))


@torch.no_grad()
@pytest.mark.parametrize("branch", ["generator", "discriminator"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_either_branch_writes_by_itself(branch, is_shared):
    pair = tiny(share_generator_discriminator=is_shared)
    alone = pair.writer(branch).eval()
    assert type(alone) is GanLMForConditionalGeneration
    is_judge = branch == "discriminator"
    assert len(alone.model.decoder.layers) == (1 if is_judge else 2)
    decoder = pair.discriminator.decoder if is_judge and not is_shared else pair.model.decoder
    table = pair.model.encoder.embed_tokens
    mask = SOURCE != 1
    source = pair.model.encoder(SOURCE, mask).last_hidden_state
    expected = [  # column by column, so that no later token can be seen
        decoder(
            table(INPUTS[:, : column + 1]),
            source,
            encoder_attention_mask=mask,
            use_cache=False,
            num_layers=1 if is_judge else None,
        ).last_hidden_state[:, -1]
        @ table.weight.T
        for column in range(3)  # a fourth is padding in the second row
    ]
    logits = alone(SOURCE, decoder_input_ids=INPUTS).logits
    assert_close(logits[:, :3], torch.stack(expected, dim=1), atol=1e-5, rtol=1e-4)
    before = step(pair).losses["generator"][0]
    for parameter in alone.parameters():
        parameter.add_(1.0)
    assert torch.equal(before, step(pair).losses["generator"][0])


def test_step_in_bf16_is_near_that_in_fp32(model):
    options = {"sampled_ids": torch.full((2, 4), 40), "denoising_rule": "all"}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = step(model.train(), **options).loss
    rounded.backward()
    assert model.model.encoder.relative_bias.bias.weight.grad.abs().sum() > 0
    assert_close(rounded, step(model, **options).loss, atol=0.3, rtol=0.05)


def test_bad_configurations_are_refused_with_the_reason():
    with pytest.raises(StrictDataclassClassValidationError, match=r"relative_bias_buckets"):
        tiny_config(relative_bias_buckets=7)
    with pytest.raises(StrictDataclassClassValidationError, match=r"relative_bias_max_distance"):
        tiny_config(relative_bias_buckets=8, relative_bias_max_distance=2)
    with pytest.raises(StrictDataclassClassValidationError, match=r"discriminator_layers \(3\)"):
        tiny_config(share_generator_discriminator=True, discriminator_layers=3)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"step": 9, "start": 10}, 0.0),
        ({"step": 10, "start": 10}, 10.0),
        ({"step": 35, "start": 10, "warmup_steps": 50}, 5.0),
        ({"step": 99, "warmup_steps": 50}, 10.0),
    ],
)
def test_weights_grow_linearly_after_their_start(weights, expected):
    assert maths.warmed_up_weight(10.0, **weights) == expected


def naive_sentence(source, inputs, labels, sampled):
    """Walk over one row: each sentinel of the source gives way to the samples behind its twin."""
    spans, current = {}, None
    for place, (before, label) in enumerate(zip(inputs, labels, strict=True)):
        current = before if before >= 50 else current
        if label >= 0 and label < 50:
            spans.setdefault(current, []).append((place, sampled[place]))
    sentence, columns = [], {}
    for token in source:
        for place, sample in spans.get(token, []):
            columns[place] = len(sentence)
            sentence.append(sample)
        if token < 50:
            sentence.append(token)
    return sentence, columns


@given(st.data())
def test_a_full_sentence_is_the_source_with_the_samples_in_its_blanks(data):
    rows = []
    for _ in range(data.draw(st.integers(1, 3))):
        sizes = data.draw(
            st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=4)
        )
        source, target = [], []
        for number, (num_plain, num_hidden) in enumerate(sizes):
            source += [*range(10, 10 + num_plain), 50 + number]
            target += [50 + number, *range(20, 20 + num_hidden)]
        source += [11] * data.draw(st.integers(0, 2))
        starts = data.draw(st.booleans())
        inputs, labels = ([2, *target[:-1]], target) if starts else (target[:-1], target[1:])
        rows.append((source, inputs, labels, [30 + place for place in range(len(labels))]))

    def padded(part, filler):
        width = max(len(row[part]) for row in rows)
        return torch.tensor([[*row[part], *[filler] * (width - len(row[part]))] for row in rows])

    is_content = maths.content_ids(60, 50, [1, 2])
    source = padded(0, 1)
    ids, is_real, columns = full_sentences(
        source, source != 1, padded(1, 1), padded(2, -100), padded(3, 0), is_content, 2, 1
    )
    for number, row in enumerate(rows):
        sentence, places = naive_sentence(*row)
        assert ids[number][is_real[number]].tolist() == sentence
        assert (ids[number][~is_real[number]] == 1).all()
        found = {
            place: column
            for place, column in enumerate(columns[number].tolist())
            if column < ids.shape[1]
        }
        assert found == places


def test_the_discriminator_reads_whole_sentences_if_told_to(model):
    source = torch.tensor([[7, 50, 10, 51, 2], [12, 13, 50, 2, 1]])
    options = {"discriminator_reads": "sentence", "sampled_ids": torch.full_like(LABELS, 40)}
    output = model(source, decoder_input_ids=INPUTS, labels=LABELS, **options)
    expected = [[7, 40, 40, 10, 40, 2], [12, 13, 40, 40, 40, 2]]
    assert output.discriminator_input_ids.tolist() == expected
    assert output.losses["discriminator"][1] == 6
    output.loss.backward()
    with pytest.raises(ValueError, match="span corruption"):
        step(model, **options)
