# Training and prediction: one job per dataset, protocol, arm and seed.


rule choose_warp:
    """Choose how far an arm's images are warped, by recovering marks after short training runs."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        target_npy=jobs.target,
        target_ids_csv=jobs.target_ids,
        ellipses_csv=jobs.training_prompts,
        code=code_of_arm("choose_warp", "selection.warp_amplitude", "training.tasks"),
    output:
        recovery_csv=STAGE / "warps/{arm}_recovery.csv",
        choice_json=STAGE / "warps/{arm}.json",
    log:
        LOGS / "choose_warp/{dataset}-{protocol}-{arm}.log",
    benchmark:
        BENCHMARKS / "choose_warp/{dataset}-{protocol}-{arm}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.chooses_warp),
    priority: 1  # training runs wait for it
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
    script:
        "../scripts/choose_warp.py"


rule train_arm:
    """Train one arm with one seed."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        target_npy=jobs.target,
        target_ids_csv=jobs.target_ids,
        clusters_csv=jobs.clusters,
        weights_pth=jobs.weights,
        start_safetensors=jobs.starts_from,
        ellipses_csv=jobs.training_prompts,
        warp_json=jobs.warp,
        epochs_of_json=jobs.epochs_of,
        code=code_of_arm("train_arm", "training.train", "training.tasks"),
    output:
        model_safetensors=RUN / "model.safetensors",
        history_csv=RUN / "history.csv",
        run_json=RUN / "run.json",
    log:
        LOGS / "train_arm/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "train_arm/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(
            lambda config, arm: arms.is_trained(config, arm)
            and not arms.keeps_last(config, arm)
            and not arms.is_nnunet(config, arm)
        ),
    conda:
        "../../envs/train.yaml"
    threads: 1  # two runs with one thread each train more images per second than one with two
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        settings=jobs.training_settings,
    script:
        "../scripts/train_arm.py"


use rule train_arm as train_arm_keeping_last with:
    output:
        model_safetensors=RUN / "model.safetensors",
        history_csv=RUN / "history.csv",
        run_json=RUN / "run.json",
        last_safetensors=RUN / "last.safetensors",
    log:
        LOGS / "train_arm_keeping_last/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "train_arm_keeping_last/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.keeps_last),


rule predict_arm:
    """Predict masks with a trained network."""
    input:
        model_safetensors=jobs.weights_file,
        run_json=jobs.network_file("run.json"),
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        ellipses_csv=jobs.partner_ellipses,
        clusters_csv=jobs.partner_clusters,
        embeddings_npy=jobs.partner_embeddings,
        code=code_of_arm("predict_arm", "prediction.predict", "prediction.tasks"),
    output:
        predictions_npy=RUN / "predictions.npy",
        predictions_csv=RUN / "predictions.csv",
    log:
        LOGS / "predict_arm/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_arm/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(
            lambda config, arm: arms.has_network(config, arm)
            and not arms.has_crf(config, arm)
            and not arms.is_nnunet(config, arm)
        ),
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        settings=jobs.prediction_settings("test"),
    script:
        "../scripts/predict_arm.py"


use rule predict_arm as teach_arm with:
    output:
        predictions_npy=RUN / "taught.npy",
        predictions_csv=RUN / "taught.csv",
    log:
        LOGS / "teach_arm/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "teach_arm/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_teacher),
    priority: 1  # a training waits for it
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=jobs.prediction_settings("train", "val"),


use rule predict_arm as predict_arm_with_crf with:
    log:
        LOGS / "predict_arm_with_crf/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_arm_with_crf/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.has_crf),
    conda:
        "../../envs/crf.yaml"


rule measure_accuracy:
    """Measure how well a network learned the classes of its second task."""
    input:
        model_safetensors=RUN / "model.safetensors",
        run_json=RUN / "run.json",
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        clusters_csv=jobs.clusters,
        code=code_of_arm("measure_accuracy", "prediction.accuracy"),
    output:
        accuracy_json=RUN / "accuracy.json",
    log:
        LOGS / "measure_accuracy/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "measure_accuracy/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(
            lambda config, arm: arms.is_trained(config, arm)
            and not arms.is_nnunet(config, arm)
        ),
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
        target_npy=jobs.target,
        target_ids_csv=jobs.target_ids,
        samples_csv=PATCHES / "samples.csv",
        code=code_of("predict_target", "prediction.files"),
    output:
        predictions_npy=RUN / "predictions.npy",
        predictions_csv=RUN / "predictions.csv",
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
