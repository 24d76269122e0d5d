"""Constants that are chosen without a dense mask."""
