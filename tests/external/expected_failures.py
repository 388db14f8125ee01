"""What fails by design: class -> test -> reason. Everything else must pass."""

EXPECTED: dict[str, dict[str, str]] = {
    "GlmInfillForConditionalGeneration": {
        "test_generate_with_and_without_position_ids": (
            "one row of positions does not say where the blank is: it is refused"
        ),
    },
    "GlmInfillForMultipleChoice": {
        "test_inputs_embeds": "choices are scored token by token, and embeddings are not tokens",
    },
}
