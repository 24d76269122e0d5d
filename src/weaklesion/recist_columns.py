"""Names of the columns of a mark in tables, apart from `weaklesion.recist` because it needs cv2."""

RECIST_COLUMNS = [
    f"{end}_{axis}" for end in ("long_a", "long_b", "short_a", "short_b") for axis in "xy"
]
