"""Loaders, one module a dataset, each for the dataset's own files on disk.

A loader's `find_samples(root, metadata)` lists what there is, and its `read_sample` reads one image
with its reference mask. After the patches are made no stage knows which dataset it works on.
"""
