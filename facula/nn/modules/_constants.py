"""`__constants__`: the settings of each kind of layer that TorchScript takes for constants.

Nothing here reads them; subclasses add their own to those of their base.
"""

from __future__ import annotations

from typing import Any

_SETTINGS = """
CELU ELU: alpha inplace
GELU: approximate
MultiheadAttention: batch_first
Softplus: beta threshold
CTCLoss: blank reduction
GLU LogSoftmax Softmax Softmin: dim
CosineSimilarity: dim eps
Unflatten: dim unflattened_size
PixelUnshuffle: downscale_factor
GaussianNLLLoss: full eps reduction
ChannelShuffle: groups
NLLLoss NLLLoss2d: ignore_index reduction
CrossEntropyLoss: ignore_index reduction label_smoothing
Bilinear: in1_features in2_features out_features
LazyLinear Linear: in_features out_features
Hardsigmoid Hardswish Mish ReLU SELU SiLU: inplace
LeakyReLU: inplace negative_slope
GRUCell LSTMCell RNNCellBase: input_size hidden_size bias
RNNCell: input_size hidden_size bias nonlinearity
Unfold: kernel_size dilation padding stride
FractionalMaxPool2d FractionalMaxPool3d: kernel_size return_indices output_size output_ratio
AvgPool1d: kernel_size stride padding ceil_mode count_include_pad
AvgPool2d AvgPool3d: kernel_size stride padding ceil_mode count_include_pad divisor_override
MaxPool1d MaxPool2d MaxPool3d: kernel_size stride padding dilation return_indices ceil_mode
Hardshrink Softshrink: lambd
PoissonNLLLoss: log_input full eps reduction
RReLU: lower upper inplace
TripletMarginLoss: margin p eps swap reduction
CosineEmbeddingLoss HingeEmbeddingLoss MarginRankingLoss: margin reduction
TripletMarginWithDistanceLoss: margin swap reduction
Hardtanh ReLU6: min_val max_val inplace
GRU LSTM RNN RNNBase: mode input_size hidden_size num_layers bias batch_first dropout
    bidirectional proj_size
TransformerDecoder TransformerEncoder: norm
PairwiseDistance: norm eps keepdim
TransformerDecoderLayer TransformerEncoderLayer: norm_first
LPPool1d LPPool2d LPPool3d: norm_type kernel_size stride ceil_mode
LayerNorm RMSNorm: normalized_shape eps elementwise_affine
LinearCrossEntropyLoss: num_classes out_features reduction ignore_index label_smoothing
EmbeddingBag: num_embeddings embedding_dim max_norm norm_type scale_grad_by_freq mode sparse
    include_last_offset padding_idx
Embedding: num_embeddings embedding_dim padding_idx max_norm norm_type scale_grad_by_freq sparse
GroupNorm: num_groups num_channels eps affine
PReLU: num_parameters
AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d: output_size
Fold: output_size kernel_size dilation padding stride
AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d: output_size return_indices
AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout: p inplace
MultiMarginLoss: p margin reduction
CircularPad1d CircularPad2d CircularPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d
    ReplicationPad1d ReplicationPad2d ReplicationPad3d: padding
ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d: padding value
BCELoss KLDivLoss L1Loss MSELoss MultiLabelMarginLoss MultiLabelSoftMarginLoss SmoothL1Loss
    SoftMarginLoss: reduction
HuberLoss: reduction delta
LocalResponseNorm: size alpha beta k
Upsample UpsamplingBilinear2d UpsamplingNearest2d: size scale_factor mode align_corners name
    recompute_scale_factor
Flatten: start_dim end_dim
Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d LazyConv2d
    LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d: stride padding
    dilation groups padding_mode output_padding in_channels out_channels kernel_size
Threshold: threshold value inplace
BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyBatchNorm1d
    LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d
    SyncBatchNorm: track_running_stats momentum eps num_features affine
PixelShuffle: upscale_factor
"""


def set_constants(classes: dict[str, Any]) -> None:
    """Give the classes of these names their lists."""
    for line in _SETTINGS.replace("\n    ", " ").strip().splitlines():
        names, _, settings = line.partition(": ")
        for name in names.split():
            classes[name].__constants__ = settings.split()
