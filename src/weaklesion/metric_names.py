"""Names of metrics with a rule of their own; `weaklesion.scoring.catalogue` words all of them."""

DIAMETERS = ("long_diameter_error", "short_diameter_error")  # against the marked ones
# Metrics that are computed in mm as well, where mm are known.
IN_MM = (
    "center_error",
    "hausdorff",
    "hausdorff_95",
    "average_hausdorff",
    "average_surface_distance",
    *DIAMETERS,
)
