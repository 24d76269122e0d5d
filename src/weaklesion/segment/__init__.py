"""`weaklesion segment`: masks for your own marks."""
