"""Measuring what models write and choose."""
