# Training and prediction: one job a dataset, protocol, arm and seed.


rule choose_warp:
    """Choose how far an arm's images are warped, by the marks that short trainings recover."""
    input:
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        target=jobs.target,
        target_ids=jobs.target_ids,
        ellipses=jobs.training_prompts,
        code=code_with_network("selection.warp_amplitude"),
    output:
        recovery=STAGE / "warps/{arm}_recovery.csv",
        choice=STAGE / "warps/{arm}.json",
    log:
        LOGS / "choose_warp/{dataset}-{protocol}-{arm}.log",
    benchmark:
        BENCHMARKS / "choose_warp/{dataset}-{protocol}-{arm}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_prompted),
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=jobs.training_settings,
        short=config["short_training"],
        recovery=config["recovery"],
        seed=config["seeds"][0],
    script:
        "../scripts/choose_warp.py"


rule train_arm:
    """Train one arm with one seed."""
    input:
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        target=jobs.target,
        target_ids=jobs.target_ids,
        clusters=jobs.clusters,
        weights=jobs.weights,
        starts_from=jobs.starts_from,
        ellipses=jobs.training_prompts,
        warp=jobs.warp,
        epochs_of=jobs.epochs_of,
        code=code_with_network("training.train"),
    output:
        model=RUN / "model.safetensors",
        history=RUN / "history.csv",
        run=RUN / "run.json",
    log:
        LOGS / "train_arm/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "train_arm/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(
            lambda config, arm: arms.is_trained(config, arm)
            and not arms.keeps_last(config, arm)
        ),
    conda:
        "../../envs/train.yaml"
    threads: 1  # two runs with one thread each train more images a second than one with two
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        settings=jobs.training_settings,
        tensorboard=config["tensorboard"],
    script:
        "../scripts/train_arm.py"


use rule train_arm as train_arm_keeping_last with:
    output:
        model=RUN / "model.safetensors",
        history=RUN / "history.csv",
        run=RUN / "run.json",
        last=RUN / "last.safetensors",
    log:
        LOGS / "train_arm_keeping_last/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "train_arm_keeping_last/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.keeps_last),


rule predict_arm:
    """Predict the test split with a trained network."""
    input:
        model=jobs.weights_file,
        run=jobs.network_file("run.json"),
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        ellipses=jobs.partner_ellipses,
        clusters=jobs.partner_clusters,
        embeddings=jobs.partner_embeddings,
        code=code_with_network("prediction.predict"),
    output:
        predictions=RUN / "predictions.npy",
        ids=RUN / "predictions.csv",
    log:
        LOGS / "predict_arm/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_arm/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(
            lambda config, arm: arms.has_network(config, arm)
            and not arms.has_crf(config, arm)
        ),
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        encoding=jobs.switched("clusters", "encoding"),
        partner=jobs.partner,
        crf=None,
        gate=jobs.of_arm("gate"),
        consistent=jobs.of_arm("consistent"),
    script:
        "../scripts/predict_arm.py"


use rule predict_arm as predict_arm_with_crf with:
    log:
        LOGS / "predict_arm_with_crf/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_arm_with_crf/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.has_crf),
    conda:
        "../../envs/crf.yaml"
    params:
        encoding=jobs.switched("clusters", "encoding"),
        partner=jobs.partner,
        crf=config["crf"],
        gate=None,
        consistent=None,


rule measure_accuracy:
    """Measure how well a network learned the classes of its second task."""
    input:
        model=RUN / "model.safetensors",
        run=RUN / "run.json",
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        clusters=jobs.clusters,
        code=code_with_network("prediction.accuracy"),
    output:
        RUN / "accuracy.json",
    log:
        LOGS / "measure_accuracy/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "measure_accuracy/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_trained),
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    script:
        "../scripts/measure_accuracy.py"


rule predict_target:
    """Take a target, such as the RECIST ellipse, as the prediction of the test split."""
    input:
        target=jobs.target,
        target_ids=jobs.target_ids,
        samples=PATCHES / "samples.csv",
        code=module_files("prediction.files"),
    output:
        predictions=RUN / "predictions.npy",
        ids=RUN / "predictions.csv",
    log:
        LOGS / "predict_target/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_target/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(lambda config, arm: not arms.has_network(config, arm)),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/predict_target.py"
