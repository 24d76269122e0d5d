"""Targets and classes made from RECIST marks."""
