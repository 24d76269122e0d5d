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


rule draw_grabcut:
    """Segment each sample by GrabCut, starting from its ellipse."""
    input:
        samples=PATCHES / "samples.csv",
        images=PATCHES / "images.npy",
        ellipses=TARGETS / "ellipses.csv",
        code=module_files("grabcut"),
    output:
        target=TARGETS / "grabcut.npy",
    log:
        LOGS / "draw_grabcut/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_grabcut/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        init=switch("supervision", "grabcut_init"),
    script:
        "../scripts/draw_grabcut.py"
