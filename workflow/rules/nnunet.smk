# nnU-Net's own network and training, on the same patches, splits and targets.
NNUNET = STAGE / "nnunet/{arm}"
TRAINER = path_from_here(
    PACKAGE / "nnunet/trainer/weaklesion_trainer.py", PACKAGE.parents[1]
)


rule prepare_nnunet:
    """Export training and validation samples, and let nnU-Net plan and preprocess them."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        target_npy=jobs.target,
        target_ids_csv=jobs.target_ids,
        code=code_of("prepare_nnunet", "nnunet.prepare"),
    output:
        prepared_dir=temp(directory(NNUNET)),
    log:
        LOGS / "prepare_nnunet/{dataset}-{protocol}-{arm}.log",
    benchmark:
        BENCHMARKS / "prepare_nnunet/{dataset}-{protocol}-{arm}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_nnunet),
    conda:
        "../../envs/nnunet.yaml"
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        is_ct=jobs.is_ct,
    script:
        "../scripts/prepare_nnunet.py"


rule train_nnunet:
    """Train nnU-Net's own network with one seed, for the budget of the study."""
    input:
        prepared_dir=NNUNET,
        trainer_py=TRAINER,
        code=code_of("train_nnunet", "nnunet.train"),
    output:
        model_dir=directory(RUN / "nnunet"),
        history_csv=RUN / "history.csv",
        run_json=RUN / "run.json",
    log:
        LOGS / "train_nnunet/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "train_nnunet/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_nnunet),
    conda:
        "../../envs/nnunet.yaml"
    threads: 1  # with more, nnU-Net draws batches in processes, and is not reproducible
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        settings={
            key: value for key, value in config["nnunet"].items() if key != "mirroring"
        },
    script:
        "../scripts/train_nnunet.py"


rule predict_nnunet:
    """Predict the test split with a trained nnU-Net."""
    input:
        model_dir=RUN / "nnunet",
        trainer_py=TRAINER,
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        code=code_of("predict_nnunet", "nnunet.predict"),
    output:
        predictions_npy=RUN / "predictions.npy",
        predictions_csv=RUN / "predictions.csv",
    log:
        LOGS / "predict_nnunet/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "predict_nnunet/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_nnunet),
    conda:
        "../../envs/nnunet.yaml"
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        mirroring=config["nnunet"]["mirroring"],
    script:
        "../scripts/predict_nnunet.py"
