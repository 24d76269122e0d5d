# From a dataset's own files to patches; after this no stage knows which dataset it works on.


rule make_patches:
    """Make the patches of one dataset under one protocol."""
    input:
        folders=sources.unpacked,
        table_csv=sources.table,
        more_files=sources.index_files,
        code=lambda wildcards: code_of(
            "make_patches", f"data.loaders.{sources.loader(wildcards.dataset)}"
        ),
    output:
        images_npy=PATCHES / "images.npy",
        reference_npy=PATCHES / "reference.npy",
        samples_csv=PATCHES / "samples.csv",
        patches_json=PATCHES / "patches.json",
    log:
        LOGS / "make_patches/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "make_patches/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        loader=lambda wildcards: sources.loader(wildcards.dataset),
        settings=sources.patch_settings,
    script:
        "../scripts/make_patches.py"
