"""Every class and name of Keras that a network may use; whatever is not here is refused.

A class is here when all it does is arithmetic on tensors. Layers that run Python code, load other
files, hash or look up text are left out, also those that Keras itself would load.
"""

from __future__ import annotations

_MODELS = "Functional Model Sequential"
_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization
BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop Concatenate
Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
ConvLSTM3D Convolution1D Convolution2D Convolution2DTranspose Convolution3D Cropping1D Cropping2D
Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense
Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D
GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell
LayerNormalization LeakyReLU Masking MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D
MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
RMSNormalization RNN RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight
RandomRotation RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape
Resizing SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN
SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
StackedRNNCells Subtract ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D
UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal
VarianceScaling Zeros
"""
_REGULARIZERS = "L1 L1L2 L2 OrthogonalRegularizer"
_CONSTRAINTS = "MaxNorm MinMaxNorm NonNeg UnitNorm"
_POLICIES = "DTypePolicy FloatDTypePolicy Policy"
# What Keras 3 makes of arithmetic on its tensors, such as `x * 2 + y` between two layers.
_NUMPY_OPERATIONS = """
Abs Absolute Add Amax Amin Argmax Argmin Average BroadcastTo Ceil Clip Concatenate Cos Divide
DivideNoNan Dot Einsum Equal Exp ExpandDims Flip Floor FloorDivide GetItem Greater GreaterEqual
Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod
Moveaxis Multiply Negative NotEqual Pad Power Prod Ravel Reciprocal Reshape Round Sign Sin Split
Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take Tanh Transpose TrueDivide Var Where
"""
_NN_OPERATIONS = """
AveragePool Elu Gelu HardSigmoid HardSilu LeakyRelu LogSigmoid LogSoftmax MaxPool Normalize Relu
Relu6 Selu Sigmoid Silu Softmax Softplus Softsign
"""
_IMAGE_OPERATIONS = "Resize RGBToGrayscale"
_CORE_OPERATIONS = "Cast Slice StopGradient Unstack"

_NETWORK_MODULES = """
keras keras.models keras.engine.functional keras.engine.training keras.engine.sequential
keras.src.engine.functional keras.src.engine.training keras.src.engine.sequential
keras.src.models.functional keras.src.models.model keras.src.models.sequential
"""
_GROUPS = (
    (_MODELS, _NETWORK_MODULES),
    (_LAYERS, "keras.layers"),
    (_INITIALIZERS, "keras.initializers"),
    (_REGULARIZERS, "keras.regularizers"),
    (_CONSTRAINTS, "keras.constraints"),
    (_POLICIES, "keras keras.dtype_policies keras.mixed_precision"),
    ("SeedGenerator", "keras.random keras.src.random.seed_generator"),
    (_NUMPY_OPERATIONS, "keras.src.ops.numpy keras.ops.numpy"),
    (_NN_OPERATIONS, "keras.src.ops.nn keras.ops.nn"),
    (_IMAGE_OPERATIONS, "keras.src.ops.image keras.ops.image"),
    (_CORE_OPERATIONS, "keras.src.ops.core keras.ops.core"),
)

#: The classes that may stand at the top of a file.
NETWORKS = frozenset(_MODELS.split())


def _modules() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for names, modules in _GROUPS:
        for name in names.split():
            found[name] = found.get(name, frozenset()) | frozenset(modules.split())
    return found


#: Class → the modules that it may come from, where the file says one (Keras 3 does).
CLASSES = _modules()

_ACTIVATION_NAMES = """
celu elu exponential gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
log_sigmoid log_softmax mish relu relu6 selu sigmoid silu softmax softplus softsign swish tanh
"""
_INITIALIZER_NAMES = """
constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform
normal one ones orthogonal random_normal random_uniform truncated_normal uniform variance_scaling
zero zeros
"""
_DTYPE_NAMES = """
bfloat16 bool float16 float32 float64 int16 int32 int64 int8 mixed_bfloat16 mixed_float16 uint16
uint32 uint64 uint8
"""

#: Ending of a key → what Keras would look up there by a plain name.
NAMES = {
    "activation": frozenset(_ACTIVATION_NAMES.split()),
    "initializer": frozenset((_INITIALIZER_NAMES + _INITIALIZERS).split()),
    "regularizer": frozenset(("l1 l1_l2 l2 orthogonal_regularizer " + _REGULARIZERS).split()),
    "constraint": frozenset(
        ("max_norm min_max_norm maxnorm non_neg nonneg unit_norm unitnorm " + _CONSTRAINTS).split()
    ),
    "dtype": frozenset(_DTYPE_NAMES.split()),
}

_LOOKUP = ("looks up or hashes text", "do that before the network and save it without this layer")
_FOREIGN = (
    "runs code of another framework",
    "rebuild this part of built-in layers, or export the whole model as a SavedModel",
)
_OPERATION = (
    "is a bare TensorFlow call of Keras 2",
    "replace it by a layer (Rescaling, Reshape, Add …), or export the model as a SavedModel",
)
_FUNCTION = ("is a function by name", "use an activation or a layer that is built into Keras")

#: Well-known classes that are refused → what they do, and what to do about it.
REFUSED = {
    "Lambda": (
        "carries Python code",
        "replace it by built-in layers, such as Rescaling or Activation, and save again",
    ),
    "__lambda__": ("is Python code", "replace it by a layer that is built into Keras"),
    "function": _FUNCTION,
    "class": ("is a Python class by name", "use objects that are built into Keras"),
    "TFSMLayer": (
        "loads a SavedModel from a path of its own",
        "convert that SavedModel's folder instead",
    ),
    **dict.fromkeys(("TorchModuleWrapper", "JaxLayer", "FlaxLayer"), _FOREIGN),
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"), _LOOKUP
    ),
    **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), _OPERATION),
}
