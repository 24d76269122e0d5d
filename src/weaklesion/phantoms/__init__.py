"""Phantoms: made-up data in the native on-disk form of each dataset, decided by a seed."""
