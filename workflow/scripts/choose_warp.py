"""Choose how far an arm's images are warped, by the marks that short training runs recover."""

from job import run

from weaklesion.selection.warp_amplitude import choose_warp

run(snakemake, choose_warp)
