"""Smaller vocabularies: a model without the tokens that a corpus never needs."""
