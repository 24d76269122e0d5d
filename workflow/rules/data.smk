# Raw files: phantoms are generated, all other data are downloaded; afterwards both are treated alike.


rule make_phantom:
    """Make a phantom in the native form of a dataset."""
    input:
        code=lambda wildcards: code_of(
            "make_phantom", f"data.phantoms.{sources.loader(wildcards.dataset)}"
        ),
    output:
        manifest=SOURCE / "phantom/manifest.csv",
    log:
        LOGS / "make_phantom/{dataset}-{source}.log",
    benchmark:
        BENCHMARKS / "make_phantom/{dataset}-{source}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        loader=lambda wildcards: sources.loader(wildcards.dataset),
        settings=lambda wildcards: config["datasets"][wildcards.dataset]["phantom"],
    script:
        "../scripts/make_phantom.py"


rule download_file:
    """Fetch one file of a manifest and verify it."""
    input:
        manifest=sources.phantom_manifest,
    output:
        destination=SOURCE / "archives/{file}",
    log:
        LOGS / "download_file/{dataset}-{source}-{file}.log",
    benchmark:
        BENCHMARKS / "download_file/{dataset}-{source}-{file}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        downloads=1,
        mem_mb=growing(500),
        runtime=growing(240),
    params:
        row=sources.manifest_row,
    script:
        "../scripts/download_file.py"


rule fetch_slices:
    """Fetch one archive of DeepLesion, keep the slices that its lesions need, and delete it."""
    input:
        manifest=sources.phantom_manifest,
        table_csv=SOURCE / "archives/DL_info.csv",
        code=code_of("fetch_slices", "data.loaders.deeplesion_table"),
    output:
        folder=directory(SOURCE / "extracted/{file}"),
    log:
        LOGS / "fetch_slices/{dataset}-{source}-{file}.log",
    benchmark:
        BENCHMARKS / "fetch_slices/{dataset}-{source}-{file}.tsv"
    wildcard_constraints:
        dataset=sources.loaded_by("deeplesion"),
    conda:
        "../../envs/data.yaml"
    resources:
        downloads=1,
        mem_mb=growing(1000),
        disk_mb=growing(5500),
        runtime=growing(480),
    params:
        row=sources.manifest_row,
    script:
        "../scripts/fetch_slices.py"


rule extract_archive:
    """Unpack one archive."""
    input:
        archive=SOURCE / "archives/{file}",
    output:
        destination=directory(SOURCE / "extracted/{file}"),
    log:
        LOGS / "extract_archive/{dataset}-{source}-{file}.log",
    benchmark:
        BENCHMARKS / "extract_archive/{dataset}-{source}-{file}.tsv"
    wildcard_constraints:
        dataset=sources.loaded_by("deeplesion", negate=True),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(60),
    script:
        "../scripts/extract_archive.py"


rule downloads:
    """All downloads: raw files, and ImageNet weights."""
    input:
        downloads,
