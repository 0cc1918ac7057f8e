"""Measurements, one script a question."""
