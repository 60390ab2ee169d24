"""Every operator that the graph of a SavedModel may hold; whatever is not here is refused.

An operator is here when all it does is arithmetic on tensors and on the model's own variables.
Files, the network, Python, data sets, tables, other devices and other processes are out.
"""

_ARITHMETIC = """
Abs Acos Acosh Add AddN AddV2 All Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2 Atanh
BatchMatMul BatchMatMulV2 BatchMatMulV3 BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil
ClipByValue Cos Cosh Cumprod Cumsum Div DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor FloorDiv
FloorMod Greater GreaterEqual Inv Invert IsFinite IsInf IsNan Less LessEqual Log Log1p LogicalAnd
LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NextAfter
NotEqual Pow Prod RealDiv Reciprocal Rint Round Rsqrt SegmentMax SegmentMean SegmentSum Select
SelectV2 Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub Sum Tan Tanh TruncateDiv
TruncateMod UnsortedSegmentMax UnsortedSegmentSum Xdivy Xlogy
"""
_LAYERS = """
AvgPool AvgPool3D BiasAdd BiasAddV1 CombinedNonMaxSuppression Conv Conv2D Conv2DBackpropInput
Conv2DBackpropInputV2 Conv3D Conv3DBackpropInput Conv3DBackpropInputV2 DepthwiseConv2dNative
Dilation2D Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 InTopKV2 L2Loss LRN LeakyRelu
LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax NonMaxSuppression NonMaxSuppressionV2
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 Relu Relu6 Selu Softmax Softplus
Softsign TopK TopKV2
"""
_SHAPES = """
BatchToSpace BatchToSpaceND BroadcastArgs BroadcastTo Concat ConcatOffset
ConcatV2 CropAndResize DepthToSpace Diag DiagPart DynamicPartition DynamicStitch EnsureShape
ExpandDims ExtractImagePatches Fill Gather GatherNd GatherV2 HSVToRGB Identity IdentityN
ImageProjectiveTransformV2 ImageProjectiveTransformV3 InvertPermutation LinSpace MatrixBandPart
MatrixDiag MatrixDiagV3 MirrorPad NoOp OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch
PreventGradient RGBToHSV Range Rank Reshape ResizeArea ResizeBicubic ResizeBilinear
ResizeNearestNeighbor Reverse ReverseSequence ReverseV2 Roll ScaleAndTranslate ScatterNd
SearchSorted Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV
Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterUpdate Tile Transpose Unique
UniqueV2 Unpack Where ZerosLike
"""
_FLOW = """
Assert Const If LowerBound Merge PartitionedCall Placeholder PlaceholderWithDefault
StatefulPartitionedCall StatelessIf StatelessWhile Switch TensorListConcatV2 TensorListElementShape
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
TensorListPushBack TensorListReserve TensorListResize TensorListSetItem TensorListSplit
TensorListStack UpperBound While
"""
_VARIABLES = """
AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead ReadVariableOp
ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape
"""
_RANDOM = """
Multinomial RandomStandardNormal RandomUniform RandomUniformInt StatelessRandomGetAlg
StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformInt
StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormal
StatelessTruncatedNormalV2 TruncatedNormal
"""
_QUANTIZED = """
FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
"""

#: Operators that a model's functions may hold.
OPERATORS = frozenset(
    " ".join((_ARITHMETIC, _LAYERS, _SHAPES, _FLOW, _VARIABLES, _RANDOM, _QUANTIZED)).split()
)

#: Those of the functions that write and read a checkpoint; nobody may call these functions.
_SAVER = "MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch StringJoin"
SAVER_OPERATORS = frozenset(_SAVER.split())

_PYTHON = ["PyFunc", "PyFuncStateless", "EagerPyFunc"]
_FILES = ["ReadFile", "WriteFile", "MatchingFiles", "Save", "SaveSlices", "SaveV2", "Restore"]
_FILES += ["RestoreSlice", "RestoreV2", "MergeV2Checkpoints", "PrintV2", "WholeFileReaderV2"]

#: Well-known operators that are refused → what they do.
REFUSED = {
    **dict.fromkeys(_PYTHON, "calls Python code"),
    **dict.fromkeys(_FILES, "reads or writes files"),
    **dict.fromkeys(["HashTableV2", "LookupTableFindV2", "InitializeTableV2"], "looks up a table"),
    "InitializeTableFromTextFileV2": "reads a table from a file",
    "XlaLaunch": "runs a compiled program",
}
