"""Rules on what a model writes: an answer's length, words, form or choices, kept token by token."""
