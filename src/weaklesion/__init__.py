"""Weakly supervised lesion segmentation from RECIST marks (Chu et al., MIDL 2021)."""

__version__ = "0.1.0"
