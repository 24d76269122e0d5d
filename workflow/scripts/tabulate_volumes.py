"""Say how well the volumes of lesions are found from their marks."""

from job import run

from weaklesion.report.tables.volumes import tabulate_volumes

run(snakemake, tabulate_volumes)
