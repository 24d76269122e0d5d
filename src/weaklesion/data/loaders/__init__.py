"""Loaders, one module a dataset, each for the dataset's own files on disk.

A loader is a class `Settings` and a function `make_patches(folders, table_csv, patches_dir,
settings, workers)`. After the patches are made no stage knows which dataset it works on.
"""
