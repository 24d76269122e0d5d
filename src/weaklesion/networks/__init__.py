"""The paper's networks, from segmentation_models_pytorch, a module each."""
