"""The table of ellipses, `ellipses.csv`."""

from pathlib import Path

import pandas as pd

from weaklesion.ellipse import Ellipse


def read_ellipses(ellipses_csv: str | Path) -> dict[str, Ellipse]:
    """Read `ellipses.csv` as sample id to ellipse."""
    table = pd.read_csv(ellipses_csv, dtype={"id": str}).set_index("id")
    axes = table[["cx", "cy", "width", "height", "angle_deg"]].to_numpy(dtype=float).tolist()
    return {sample_id: Ellipse(*row) for sample_id, row in zip(table.index, axes, strict=True)}
