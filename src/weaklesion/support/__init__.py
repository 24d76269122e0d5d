"""What every stage uses: files, progress, devices, provenance."""
