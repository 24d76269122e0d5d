"""From a mark on one slice to the lesion's volume."""
