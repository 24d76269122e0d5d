# Clusters of RECIST shapes: the classes of the second task.


rule cluster_lesions:
    """Cluster the lesions of one dataset by their ellipses."""
    input:
        samples=PATCHES / "samples.csv",
        ellipses=TARGETS / "ellipses.csv",
        code=module_files("clusters"),
    output:
        clusters=CLUSTERS / "k{k}.csv",
        quality=CLUSTERS / "k{k}.json",
    log:
        LOGS / "cluster_lesions/{dataset}-{protocol}-k{k}.log",
    benchmark:
        BENCHMARKS / "cluster_lesions/{dataset}-{protocol}-k{k}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        encoding=switch("clusters", "encoding"),
        fit_on=switch("clusters", "fit_on"),
        seed=switch("clusters", "seed"),
    script:
        "../scripts/cluster_lesions.py"
