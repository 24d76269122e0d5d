"""Prediction by task: `segmentation`, `pairs` and `prompted`, each with a function `predict`.

Each reads the test split without its reference, and returns the masks, (T, H, W) bool, and a table
with one row per test sample. A change of one does not repeat the predictions of the others.
"""
