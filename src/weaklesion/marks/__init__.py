"""A table of your own marks, and the images that it names."""
