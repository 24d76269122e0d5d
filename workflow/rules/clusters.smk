# Clusters of RECIST shapes: the classes of the second task.


rule cluster_lesions:
    """Cluster the lesions of one dataset by their ellipses."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("cluster_lesions", "supervision.classes"),
    output:
        clusters_csv=CLUSTERS / "k{k}{encoding}.csv",
        quality_json=CLUSTERS / "k{k}{encoding}.json",
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
        or jobs.switched("clusters", "encoding")(wildcards),
        fit_on=jobs.switched("clusters", "fit_on"),
        seed=jobs.switched("clusters", "seed"),
    script:
        "../scripts/cluster_lesions.py"


rule shuffle_clusters:
    """Shuffle the clusters within each split: the control of the second task."""
    input:
        samples_csv=PATCHES / "samples.csv",
        clusters_csv=CLUSTERS / "k{k}.csv",
        code=code_of("shuffle_clusters", "supervision.classes"),
    output:
        shuffled_csv=CLUSTERS / "k{k}_shuffled.csv",
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
        seed=jobs.switched("clusters", "seed"),
    script:
        "../scripts/shuffle_clusters.py"


rule label_presence:
    """Label each sample by whether its reference has any foreground."""
    input:
        samples_csv=PATCHES / "samples.csv",
        target_npy=PATCHES / "reference.npy",
        code=code_of("label_presence", "supervision.presence"),
    output:
        labels_csv=CLUSTERS / "k2_presence.csv",
    log:
        LOGS / "label_presence/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "label_presence/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    script:
        "../scripts/label_presence.py"


rule embed_lesions:
    """Compute each sample's embedding with a trained network."""
    input:
        model_safetensors=jobs.embedding_file("model.safetensors"),
        run_json=jobs.embedding_file("run.json"),
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        code=code_of("embed_lesions", "prediction.embeddings"),
    output:
        embeddings_npy=CLUSTERS / "embeddings.npy",
    log:
        LOGS / "embed_lesions/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "embed_lesions/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    script:
        "../scripts/embed_lesions.py"


rule cluster_embeddings:
    """Cluster the samples by their embeddings."""
    input:
        samples_csv=PATCHES / "samples.csv",
        embeddings_npy=CLUSTERS / "embeddings.npy",
        code=code_of("cluster_embeddings", "prediction.embeddings"),
    output:
        clusters_csv=CLUSTERS / "k{k}_embedding.csv",
    log:
        LOGS / "cluster_embeddings/{dataset}-{protocol}-k{k}.log",
    benchmark:
        BENCHMARKS / "cluster_embeddings/{dataset}-{protocol}-k{k}.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        fit_on=jobs.switched("clusters", "fit_on"),
        seed=jobs.switched("clusters", "seed"),
    script:
        "../scripts/cluster_embeddings.py"
