"""Prediction by task: `segmentation`, `pairs` and `prompted`, each with a function `predict`.

All three read the test split and no reference. They return the masks, (T, H, W) bool, and the table
that is written beside them, one row per test sample.
"""
