"""Support of all stages: files, progress, devices, provenance."""
