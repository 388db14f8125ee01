"""Training objectives: pure functions from token ids and a random generator to an `Example`.

`settings` holds the options (standard library alone), `mixture` builds an objective from them,
`spans` draws what is masked, `infilling`, `masked` and `causal` lay the example out.
"""
