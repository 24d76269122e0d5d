# Raw files: a phantom is made, anything else fetched; then both go the same way.


rule make_phantom:
    """Make a phantom of HAM10000 in its native form."""
    input:
        code=module_files("phantoms.ham10k"),
    output:
        manifest=SOURCE / "phantom/manifest.csv",
    log:
        LOGS / "make_phantom/{dataset}-{source}.log",
    benchmark:
        BENCHMARKS / "make_phantom/{dataset}-{source}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        num_images=phantom("num_images"),
        seed=phantom("seed"),
        width_px=phantom("width_px"),
        height_px=phantom("height_px"),
    script:
        "../scripts/make_phantom.py"


rule download_file:
    """Fetch one file of a manifest and verify it."""
    input:
        manifest=manifest_of,
    output:
        SOURCE / "archives/{file}",
    log:
        LOGS / "download_file/{dataset}-{source}-{file}.log",
    benchmark:
        BENCHMARKS / "download_file/{dataset}-{source}-{file}.tsv"
    retries: 2
    conda:
        "../../envs/data.yaml"
    resources:
        downloads=1,
        mem_mb=500,
        runtime=240,
    script:
        "../scripts/download_file.py"


rule extract_archive:
    """Unpack one archive."""
    input:
        SOURCE / "archives/{file}.zip",
    output:
        directory(SOURCE / "extracted/{file}"),
    log:
        LOGS / "extract_archive/{dataset}-{source}-{file}.log",
    benchmark:
        BENCHMARKS / "extract_archive/{dataset}-{source}-{file}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=60,
    script:
        "../scripts/extract_archive.py"
