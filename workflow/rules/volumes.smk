# From marks on one slice to the volumes of lesions; nothing is trained.


rule measure_volumes:
    """Measure the volumes that follow from the marks of a dataset's test lesions."""
    input:
        folders=sources.unpacked,
        samples_csv=PATCHES / "samples.csv",
        code=code_of("measure_volumes", "volumes.lits_lesions"),
    output:
        lesions_csv=STAGE / "volumes.csv",
        left_out_csv=STAGE / "volumes_left_out.csv",
    log:
        LOGS / "measure_volumes/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "measure_volumes/{dataset}-{protocol}.tsv"
    wildcard_constraints:
        dataset=sources.loaded_by("lits"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        simulated_marks=lambda wildcards: sources.patch_settings(wildcards)[
            "simulated_marks"
        ],
    script:
        "../scripts/measure_volumes.py"


rule tabulate_volumes:
    """Tabulate how well the volumes of lesions are found from their marks."""
    input:
        files=lambda wildcards: [
            block[file]
            for block in study.volume_blocks(wildcards.item)
            for file in ("lesions", "left_out")
        ],
        templates=templates("base", "volumes"),
        code=code_of("tabulate_volumes", "report.tables.volumes"),
    output:
        table_csv=table("{item}.csv", "volumes"),
        left_out_csv=RESULTS / "tables/{item}.left_out.csv",
        table_html=table("{item}.html", "volumes"),
    log:
        LOGS / "tabulate_volumes/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_volumes/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("volumes"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        labels=lambda wildcards: block_labels(study.places(wildcards.item)),
        blocks=lambda wildcards: study.volume_blocks(wildcards.item),
        title=title_of_item,
    script:
        "../scripts/tabulate_volumes.py"
