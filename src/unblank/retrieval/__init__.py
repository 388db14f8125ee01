"""Passages that have words in common with a text, found in an index of one's own files (BM25)."""
