"""Loaders, one module per dataset, each for the dataset's own files on disk.

A loader is a class `Settings` and a function `make_patches(folders, table_csv, patches_dir,
settings, workers)`. No later stage depends on the dataset.
"""
