# From a dataset's own files to patches; after this no stage knows which dataset it works on.


rule make_patches:
    """Make the patches of one dataset under one protocol."""
    input:
        archives=lambda wildcards: expand(
            dataset_source(wildcards) / "extracted/{archive}",
            archive=[
                "HAM10000_images_part_1",
                "HAM10000_images_part_2",
                "HAM10000_segmentations_lesion_tschandl",
            ],
        ),
        metadata=lambda wildcards: dataset_source(wildcards)
        / "archives/HAM10000_metadata.csv",
        code=module_files("patches"),
    output:
        images=PATCHES / "images.npy",
        reference=PATCHES / "reference.npy",
        samples=PATCHES / "samples.csv",
        patches=report(
            PATCHES / "patches.json",
            caption="../report/patches.rst",
            category="Data",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "samples kept and left out",
            },
        ),
    log:
        LOGS / "make_patches/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "make_patches/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        side_px=switch("patches", "side_px"),
        image_resize=switch("patches", "image_resize"),
        channel_order=switch("patches", "channel_order"),
        split=switch("patches", "split"),
        split_seed=switch("patches", "split_seed"),
        limit=lambda wildcards: config["datasets"][wildcards.dataset]["limit"],
        released_order_sha256=lambda wildcards: config["datasets"][
            wildcards.dataset
        ].get("released_order_sha256"),
    script:
        "../scripts/make_patches.py"
