# Targets made from RECIST marks.


rule draw_ellipses:
    """Draw the ellipse of each sample's RECIST mark."""
    input:
        samples=PATCHES / "samples.csv",
        images=PATCHES / "images.npy",
        code=module_files("supervision"),
    output:
        ellipses=TARGETS / "ellipses.csv",
        target=TARGETS / "ellipse.npy",
    log:
        LOGS / "draw_ellipses/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_ellipses/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        center=switch("supervision", "center"),
    script:
        "../scripts/draw_ellipses.py"
