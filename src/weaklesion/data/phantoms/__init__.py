"""Phantoms: made-up data in the native on-disk form of each dataset, decided by a seed.

Uses only the standard library here, for it is read wherever Snakemake itself runs.
"""

# The files that a phantom consists of, by loader.
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
