"""The four flips of an image, by the columns that hold the classes of its flipped mark.

>>> [column for column, (upside_down, left_right) in FLIPS.items() if upside_down]
['cluster_upside_down', 'cluster_both_flips']
"""

# Column to (upside down, mirrored left to right), in the order of the numbers that
# `weaklesion.training.augmentation.flip_numbers` returns.
FLIPS = {
    "cluster": (False, False),
    "cluster_left_right": (False, True),
    "cluster_upside_down": (True, False),
    "cluster_both_flips": (True, True),
}
