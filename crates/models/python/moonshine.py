"""Moonshine base, as its publisher ships it, to three int8 ONNX graphs.

    moonshine.py PACKAGES IN OUT

IN holds encoder_model.ort and decoder_model_merged.ort; OUT gets encoder.onnx, first.onnx and next.onnx. PACKAGES is the
folder into which the pinned onnx and onnxruntime were installed. Each finished file is named on standard output.

Why at all: the shipped graphs keep int8 weights and expand them to floats again at every token, and the decoder carries
both of its cases behind an If. Here the cases become two graphs (the first step, which makes the caches, and a next step,
which takes them), the weights are folded to floats once, and MatMuls are then quantised as onnxruntime computes fastest.
The same input gives the same bytes; the caller checks them against pinned digests.
"""

import os
import sys

packages, source, target = sys.argv[1:4]
sys.path.insert(0, packages)

import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: E402

OPSET = 14
IR = 8


def rewritten(path, to, level):
    """What onnxruntime makes of a graph at this level of optimisation, as ONNX."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = to
    options.add_session_config_entry("session.save_model_format", "ONNX")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model = onnx.load(to)
    os.remove(to)
    # onnxruntime lists every domain it knows; the graph uses the plain one.
    plain = [o for o in model.opset_import if o.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(plain)
    model.ir_version = IR
    return model


def case(graph, branch, name, wanted):
    """One branch of the decoder's If, with what stands around it, as a graph of its own."""
    chooser = next(n for n in graph.node if n.op_type == "If")
    nodes = [n for n in graph.node if n.op_type != "If"] + list(branch.node)
    outputs = []
    for inner, outer in zip(branch.output, chooser.output):
        if wanted(outer):
            if inner.name != outer:
                nodes.append(onnx.helper.make_node("Identity", [inner.name], [outer]))
            outputs.append(next(o for o in graph.output if o.name == outer))
    # From the outputs backwards: only what they need stays.
    needed = {o.name for o in outputs}
    live = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
    initializers = [i for i in list(graph.initializer) + list(branch.initializer) if i.name in needed]
    inputs = [i for i in graph.input if i.name in needed]
    made = onnx.helper.make_graph(live[::-1], name, inputs, outputs, initializer=initializers)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    return model


def folded(path, name):
    """With constants computed: int8 weights and their scales become floats."""
    model = rewritten(path, os.path.join(target, name + ".folded"), ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    model.graph.name = name
    return model


def finish(model, name):
    wide, path = os.path.join(target, name + ".wide"), os.path.join(target, name + ".onnx")
    onnx.save(model, wide)
    quantize_dynamic(
        wide, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True, op_types_to_quantize=["MatMul"]
    )
    os.remove(wide)
    print(name, flush=True)


def main():
    encoder = os.path.join(source, "encoder_model.ort")
    merged = os.path.join(source, "decoder_model_merged.ort")
    step = os.path.join(target, "step")

    onnx.save(rewritten(encoder, step, ort.GraphOptimizationLevel.ORT_DISABLE_ALL), step)
    finish(folded(step, "encoder"), "encoder")

    graph = rewritten(merged, step, ort.GraphOptimizationLevel.ORT_DISABLE_ALL).graph
    chooser = next(n for n in graph.node if n.op_type == "If")
    branches = {a.name: a.g for a in chooser.attribute}
    # The encoder's part of the caches does not change after the first step; the next ones need not hand it on.
    cases = [
        ("first", branches["else_branch"], lambda output: True),
        ("next", branches["then_branch"], lambda output: ".encoder." not in output),
    ]
    for name, branch, wanted in cases:
        onnx.save(case(graph, branch, name, wanted), step)
        finish(folded(step, name), name)
    os.remove(step)


main()
