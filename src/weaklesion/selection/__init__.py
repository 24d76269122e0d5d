"""Selection of constants without a dense mask."""
