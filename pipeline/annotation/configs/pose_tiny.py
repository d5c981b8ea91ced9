# Configuration for mmpose: RTMPose's head (arXiv:2303.07399) on a small ResNet, for crops of 128 x 64 pixels. Plain
# convolutions, since on a CPU they train faster than the depthwise ones of RTMPose's own backbone; three stages and a
# stride of 8, so that the last map still has 16 x 8 places to tell a joint's position from.
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
        "type": "ResNet",
        "depth": 18,
        "stem_channels": 48,
        "base_channels": 48,
        "num_stages": 3,
        "out_indices": (2,),
        "strides": (1, 2, 1),
        "dilations": (1, 1, 1),
        "norm_cfg": {"type": "BN"},
    },
    "head": {
        "type": "RTMCCHead",
        "in_channels": 192,
        "out_channels": 17,
        "input_size": (64, 128),
        "in_featuremap_size": (8, 16),
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
