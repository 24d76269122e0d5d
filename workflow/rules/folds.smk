# Cross-validation: the folds of a protocol, and their results as one.
from weaklesion.study.protocols import FOLD


wildcard_constraints:
    fold="[1-9][0-9]*",


ruleorder: split_fold > make_patches
ruleorder: test_in_folds > make_patches
ruleorder: pool_predictions > predict_arm > predict_target
ruleorder: pool_predictions > predict_arm_with_crf
ruleorder: pool_predictions > predict_nnunet
ruleorder: pool_runs > train_arm
ruleorder: pool_runs > train_arm_keeping_last
ruleorder: pool_runs > train_nnunet
ruleorder: pool_accuracies > measure_accuracy


FOLD_OF = f"{{protocol}}{FOLD}{{fold}}"


rule split_fold:
    """Split the patches of a cross-validated protocol for one of its folds."""
    input:
        images_npy=jobs.unsplit_file("images.npy"),
        reference_npy=jobs.unsplit_file("reference.npy"),
        samples_csv=jobs.unsplit_file("samples.csv"),
        patches_json=jobs.unsplit_file("patches.json"),
        code=code_of("split_fold", "data.folds"),
    output:
        fold_images_npy=layout.patches("{dataset}", FOLD_OF) / "images.npy",
        fold_reference_npy=layout.patches("{dataset}", FOLD_OF) / "reference.npy",
        fold_samples_csv=layout.patches("{dataset}", FOLD_OF) / "samples.csv",
        fold_patches_json=layout.patches("{dataset}", FOLD_OF) / "patches.json",
    log:
        LOGS / f"split_fold/{{dataset}}-{FOLD_OF}.log",
    benchmark:
        BENCHMARKS / f"split_fold/{{dataset}}-{FOLD_OF}.tsv"
    wildcard_constraints:
        protocol=jobs.in_folds,
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        fold=lambda wildcards: jobs.fold(wildcards, int(wildcards.fold)),
    script:
        "../scripts/split_fold.py"


use rule split_fold as test_in_folds with:
    output:
        fold_images_npy=PATCHES / "images.npy",
        fold_reference_npy=PATCHES / "reference.npy",
        fold_samples_csv=PATCHES / "samples.csv",
        fold_patches_json=PATCHES / "patches.json",
    log:
        LOGS / "test_in_folds/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "test_in_folds/{dataset}-{protocol}.tsv"
    params:
        fold=lambda wildcards: jobs.fold(wildcards, None),


rule pool_predictions:
    """Gather the predictions of all folds."""
    input:
        fold_predictions_npys=jobs.files_of_folds("predictions.npy"),
        fold_predictions_csvs=jobs.files_of_folds("predictions.csv"),
        samples_csv=PATCHES / "samples.csv",
        code=code_of("pool_predictions", "prediction.pooling"),
    output:
        predictions_npy=RUN / "predictions.npy",
        predictions_csv=RUN / "predictions.csv",
    log:
        LOGS / "pool_predictions/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "pool_predictions/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        protocol=jobs.in_folds,
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/pool_predictions.py"


rule pool_runs:
    """Describe the training runs of all folds as one run."""
    input:
        fold_run_jsons=jobs.files_of_folds("run.json"),
        code=code_of("pool_runs", "prediction.pooling"),
    output:
        run_json=RUN / "run.json",
    log:
        LOGS / "pool_runs/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "pool_runs/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        protocol=jobs.in_folds,
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    script:
        "../scripts/pool_runs.py"


rule pool_accuracies:
    """Average the accuracy of the second task over the folds."""
    input:
        fold_accuracy_jsons=jobs.files_of_folds("accuracy.json"),
        code=code_of("pool_accuracies", "prediction.pooling"),
    output:
        accuracy_json=RUN / "accuracy.json",
    log:
        LOGS / "pool_accuracies/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "pool_accuracies/{dataset}-{protocol}-{arm}-{seed}.tsv"
    wildcard_constraints:
        protocol=jobs.in_folds,
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    script:
        "../scripts/pool_accuracies.py"
