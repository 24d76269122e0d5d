"""DICOM in and out: marks and images from a PACS export; SEG, SR and secondary captures."""
