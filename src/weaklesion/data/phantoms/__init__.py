"""Phantoms: synthetic data in the native files of each dataset, determined by a seed.

This module uses only the standard library, because it is read wherever Snakemake itself runs.
"""

# The files of a phantom, by loader.
FILES = {
    "ham10k": (
        "HAM10000_images_part_1.zip",
        "HAM10000_images_part_2.zip",
        "HAM10000_segmentations_lesion_tschandl.zip",
        "HAM10000_metadata.csv",
    ),
    "lits": ("lits_phantom.zip",),
    "deeplesion": ("Images_png_01.zip", "Images_png_02.zip", "DL_info.csv"),
}
