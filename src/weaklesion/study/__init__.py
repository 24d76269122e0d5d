"""The configuration: protocols, arms, items, settings and the claims that are judged.

Snakemake's own interpreter reads it, so it imports neither numpy nor torch.
"""
