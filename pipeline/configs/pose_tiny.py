# Configuration for mmpose: an RTMPose (arXiv:2303.07399) scaled down to crops of 128 x 64 pixels. Three CSPNeXt
# stages instead of four, so that the last map (stride 16) still has 8 x 4 places to tell a joint's position from.
codec = {
    "type": "SimCCLabel",
    "input_size": (64, 128),  # width, height
    "sigma": (2.83, 4.0),
    "simcc_split_ratio": 2.0,
    "normalize": False,
    "use_dark": False,
}
model = {
    "type": "TopdownPoseEstimator",
    "data_preprocessor": {
        "type": "PoseDataPreprocessor",
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "bgr_to_rgb": True,
    },
    "backbone": {
        "type": "CSPNeXt",
        # in, out, blocks, shortcut, spatial pyramid pooling
        "arch_ovewrite": [
            [32, 48, 1, True, False],
            [48, 96, 2, True, False],
            [96, 192, 1, False, True],
        ],
        "out_indices": (3,),
        "channel_attention": True,
        "norm_cfg": {"type": "BN"},
        "act_cfg": {"type": "SiLU"},
    },
    "head": {
        "type": "RTMCCHead",
        "in_channels": 192,
        "out_channels": 17,
        "input_size": (64, 128),
        "in_featuremap_size": (4, 8),
        "simcc_split_ratio": 2.0,
        "final_layer_kernel_size": 5,
        "gau_cfg": {
            "hidden_dims": 192,
            "s": 96,
            "expansion_factor": 2,
            "dropout_rate": 0.0,
            "drop_path": 0.0,
            "act_fn": "SiLU",
            "use_rel_bias": False,
            "pos_enc": False,
        },
        "loss": {"type": "KLDiscretLoss", "use_target_weight": True, "beta": 10.0, "label_softmax": True},
        "decoder": codec,
    },
    "test_cfg": {"flip_test": True},
}
val_pipeline = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale", "padding": 1.0},  # the crop is the box
    {"type": "TopdownAffine", "input_size": (64, 128)},
    {"type": "PackPoseInputs"},
]
