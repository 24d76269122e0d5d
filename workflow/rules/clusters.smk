# Clusters of RECIST shapes: the classes of the second task.


rule cluster_lesions:
    """Cluster the lesions of one dataset by their ellipses."""
    input:
        samples=PATCHES / "samples.csv",
        ellipses=TARGETS / "ellipses.csv",
        code=module_files("clusters"),
    output:
        clusters=CLUSTERS / "k{k}{encoding}.csv",
        quality=CLUSTERS / "k{k}{encoding}.json",
    log:
        LOGS / "cluster_lesions/{dataset}-{protocol}-k{k}{encoding}.log",
    benchmark:
        BENCHMARKS / "cluster_lesions/{dataset}-{protocol}-k{k}{encoding}.tsv"
    wildcard_constraints:
        encoding="(_periodic)?",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        encoding=lambda wildcards: wildcards.encoding[1:]
        or switch("clusters", "encoding")(wildcards),
        fit_on=switch("clusters", "fit_on"),
        seed=switch("clusters", "seed"),
    script:
        "../scripts/cluster_lesions.py"


rule shuffle_clusters:
    """Shuffle the clusters within each split: the control of the second task."""
    input:
        samples=PATCHES / "samples.csv",
        clusters=CLUSTERS / "k{k}.csv",
        code=module_files("clusters"),
    output:
        CLUSTERS / "k{k}_shuffled.csv",
    log:
        LOGS / "shuffle_clusters/{dataset}-{protocol}-k{k}.log",
    benchmark:
        BENCHMARKS / "shuffle_clusters/{dataset}-{protocol}-k{k}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        seed=switch("clusters", "seed"),
    script:
        "../scripts/shuffle_clusters.py"
