"""Operations of a function, counted in the graph that a backend traces of it.

On TensorFlow the count is our own walk over the traced function, not `tf.compat.v1.profiler`,
although the profiler does know the gradients of convolutions. A training step holds gradients that
nobody uses (the tape of a gradient penalty derives the filters' too); TensorFlow prunes them before
it runs the step, and the profiler counts them all the same, a tenth too much for `r3gan`. On JAX it
is a walk over the jaxpr, because XLA's `cost_analysis` counts elementwise work as well. A training
step has fewer operations on JAX, whose derivatives know which of them are zero.
"""

import math
from collections.abc import Callable, Iterable

import keras

from vgzoo.errors import VgzooError


def flops(function: Callable, *inputs) -> int:
    """Multiplications and additions of the convolutions and matrix products that a call runs.

    A loop counts as often as it may run at most, of a choice the dearer side.

    Args:
        function: a function of tensors, gradients and updates of variables included.
        inputs: what it is called with; only shapes and dtypes count.

    Raises:
        VgzooError: a product that this does not know how to count.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> flops(ops.matmul, np.zeros((2, 3), "float32"), np.zeros((3, 4), "float32"))
    48
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_flops(function, *inputs)
    import jax

    return _jaxpr_flops(jax.make_jaxpr(function)(*inputs).jaxpr)


def _tensorflow_flops(function: Callable, *inputs) -> int:
    import tensorflow as tf

    graph = tf.function(function, autograph=False).get_concrete_function(*inputs).graph
    return _graph_flops(graph)


def _graph_flops(graph) -> int:
    import tensorflow as tf

    # What neither a result nor a side effect needs is pruned before the graph runs.
    live: set = set()
    waiting = [*(t.op for t in tf.nest.flatten(graph.outputs)), *graph.control_outputs]
    while waiting:
        op = waiting.pop()
        if op not in live:
            live.add(op)
            waiting += [*(t.op for t in op.inputs), *op.control_inputs]
    return sum(_op_flops(op) if _is_product(op.type) else _nested_flops(op) for op in live)


def _nested_flops(op) -> int:
    """Of an operation that runs other graphs."""
    import tensorflow as tf

    def inner(*attributes: str) -> list[int]:
        # The graph behind a name is had in no public way.
        found = (op.graph._get_function(op.get_attr(name).name) for name in attributes)
        return [_graph_flops(function.graph) for function in found]

    if op.type in ("If", "StatelessIf"):
        return max(inner("then_branch", "else_branch"))
    if op.type in ("PartitionedCall", "StatefulPartitionedCall"):
        return sum(inner("f"))
    if op.type not in ("While", "StatelessWhile"):
        return 0
    once = sum(inner("body", "cond"))
    rounds = tf.get_static_value(op.inputs[1]) if once else 0
    if rounds is None or rounds < 0:
        raise VgzooError("cannot count a loop that has no maximum_iterations")
    return once * int(rounds)


def _is_product(op_type: str) -> bool:
    return any(word in op_type for word in ("Conv2", "Conv3", "MatMul", "Einsum"))


def _op_flops(op) -> int:
    shapes = [x.shape.as_list() for x in op.inputs]
    out = op.outputs[0].shape.as_list()
    if op.type in ("MatMul", "BatchMatMulV2"):
        first = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        return 2 * math.prod(out) * shapes[0][-2 if first else -1]
    # A convolution and both its gradients do the same work: every value of the output side meets
    # every weight that leads to it.
    if op.type in ("Conv2D", "Conv3D"):
        values, kernel = out, shapes[1]
    elif op.type in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"):
        values, kernel = shapes[2], shapes[1]
    elif op.type in ("Conv2DBackpropFilter", "Conv3DBackpropFilterV2"):
        values, kernel = shapes[2], out
    else:
        raise VgzooError(f"cannot count the operations of {op.type}; add it to vgzoo._flops")
    return 2 * math.prod(values) * math.prod(kernel[:-1])


def _jaxpr_flops(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * equation.outvars[0].aval.size * math.prod(shape[i] for i in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            filters = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
            # The gradient of a strided convolution pads with zeros that earn nothing.
            zeros = math.prod(equation.params["lhs_dilation"])
            total += 2 * equation.outvars[0].aval.size * kernel.size // filters // zeros
        else:
            inner = [_jaxpr_flops(each) for each in _inner(equation.params.values())]
            kind = equation.primitive.name
            if kind == "while" and sum(inner):
                raise VgzooError("cannot count a loop of which JAX does not know how long it is")
            times = equation.params["length"] if kind == "scan" else 1
            total += times * (max(inner) if kind == "cond" else sum(inner))
    return total


def _inner(values: Iterable) -> Iterable:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _inner(value)
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
        elif hasattr(value, "eqns"):
            yield value
