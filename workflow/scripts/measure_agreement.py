"""Compare the targets of a dataset with its dense reference."""

from job import logged

from weaklesion.scoring.agreement import measure_agreement

with logged(snakemake.log[0]):
    measure_agreement(
        reference_npy=snakemake.input.reference,
        samples_csv=snakemake.input.samples,
        targets={
            "ellipse": snakemake.input.ellipse,
            "grabcut_rect": snakemake.input.rect,
            "grabcut_trimap": snakemake.input.trimap,
        },
        target_ids_csv=snakemake.input.target_ids,
        agreement_csv=snakemake.output[0],
        dataset=snakemake.wildcards.dataset,
        protocol=snakemake.wildcards.protocol,
    )
