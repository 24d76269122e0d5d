"""The four flips of an image, by the columns that hold the classes of its flipped mark."""

# Column to whether it is upside down and whether it is mirrored left to right, in the order that
# `weaklesion.training.augmentation.flip_numbers` counts them in.
FLIPS = {
    "cluster": (False, False),
    "cluster_left_right": (False, True),
    "cluster_upside_down": (True, False),
    "cluster_both_flips": (True, True),
}
