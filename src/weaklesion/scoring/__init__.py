"""From masks to scores, and from scores to intervals and tests."""
