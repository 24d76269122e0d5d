"""`weaklesion segment`: masks for a user's own marks."""
