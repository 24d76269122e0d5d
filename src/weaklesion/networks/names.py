"""Names of the networks, and what they are given and give. Read without torch.

A new network is added here, and runs of the others stay as they are, because this file is no input
of a rule. So a network that is given or gives something else gets a new name.
"""

# Networks of `weaklesion.models.build_model`, each with its module of `weaklesion.networks`.
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
MULTI_TASK_MODELS = ("a1l", "unetl", "cmu_net")
PAIR_MODELS = ("acoseg", "acoseg_released", "drn_coseg")
PARTNER_MODELS = ("acoseg", "drn_coseg")  # in which the partner changes the prediction (T9)
PROMPTED_MODELS = ("prompted",)  # which see the mark
# Networks with an encoder of their own, for which there are no ImageNet weights.
OWN_ENCODERS = ("cmu_unet", "cmu_net", "prompted")
