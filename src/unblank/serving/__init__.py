"""Answering over HTTP: an engine that decodes requests together, and the endpoints before it."""
