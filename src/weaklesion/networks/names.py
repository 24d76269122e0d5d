"""Names of the networks, with their kinds of input and output. Imports no torch.

This file is not an input of any rule, so a new network does not repeat the runs of the others. A
network whose input or output changes therefore needs a new name.
"""

# Networks of `weaklesion.models.build_model`, each with its module in `weaklesion.networks`.
NETWORK_MODULES = {
    "a1": "deeplab",
    "a1l": "deeplab",
    "unet": "unet",
    "unetl": "unet",
    "acoseg": "cosegmentation",
    "acoseg_released": "cosegmentation",
    "drn_fcn32": "dilated",
    "drn_coseg": "dilated",
    "cmu_unet": "cmunet",
    "cmu_net": "cmunet",
    "prompted": "prompted",
}
MODELS = tuple(NETWORK_MODULES)
NNUNET = "nnunet"  # not one of ours: nnU-Net plans and trains it (`weaklesion.nnunet`)
MULTI_TASK_MODELS = ("a1l", "unetl", "cmu_net")
PAIR_MODELS = ("acoseg", "acoseg_released", "drn_coseg")
PARTNER_MODELS = ("acoseg", "drn_coseg")  # the partner changes the prediction (T9)
PROMPTED_MODELS = ("prompted",)  # read the mark
# Networks with an encoder of their own, for which no ImageNet weights exist.
OWN_ENCODERS = ("cmu_unet", "cmu_net", "prompted")
