"""A group's own table of marks and the images that it names."""
