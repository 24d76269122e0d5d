"""The folder in which nnU-Net looks up the trainer (`nnUNet_extTrainer`); it has nothing else."""
