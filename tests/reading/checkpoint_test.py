"""The object graphs of TensorFlow 2's checkpoints."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from tf_gru_addon.reading import FileRefusedError
from tf_gru_addon.reading.checkpoint import ObjectCheckpoint


def save(path, graph, **variables):
    """Saves a graph of objects, and variables by their names."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    tensors = {"_CHECKPOINTABLE_OBJECT_GRAPH": content, **variables}
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(tensor) for tensor in tensors.values()],
    )
    return ObjectCheckpoint(path)


def graph_of(*nodes):
    """Returns a graph. Each node is a dict of children by name, or a variable's key."""
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    for content in nodes:
        node = graph.nodes.add()
        if isinstance(content, str):
            node.attributes.add(name="VARIABLE_VALUE", checkpoint_key=content)
        else:
            for name, index in content.items():
                node.children.add(local_name=name, node_id=index)
    return graph


def test_shortest_paths_in_a_graph_with_cycles(tmp_path):
    graph = graph_of({"root": 0, "a": 1, "b": 2}, {"b": 2, "up": 0}, {"v": 3}, "key")
    checkpoint = save(tmp_path / "ckpt", graph, key=[1.5, 2.0])
    assert list(checkpoint.objects()) == [("b", {"v": "key"})]
    assert checkpoint.shape("key") == (2,)
    assert checkpoint.read("key").tolist() == [1.5, 2.0]


def test_optimizer_slots_are_left_out(tmp_path):
    root = tf.train.Checkpoint(v=tf.Variable(1.0))
    root.write(str(tmp_path / "ckpt"))
    assert [names.keys() for _, names in ObjectCheckpoint(tmp_path / "ckpt").objects()]
    graph = graph_of({"v": 1, "optimizer": 2}, "v", {}, "slot")
    graph.nodes[2].slot_variables.add(slot_name="m", slot_variable_node_id=3)
    checkpoint = save(tmp_path / "slots", graph, v=1.0, slot=2.0)
    assert list(checkpoint.objects()) == [("", {"v": "v"})]


def test_files_that_are_not_object_based_checkpoints(tmp_path):
    with pytest.raises(FileRefusedError, match="has the unknown child 9"):
        list(save(tmp_path / "a", graph_of({"v": 9})).objects())
    checkpoint = save(tmp_path / "b", graph_of({"v": 1}, "missing"))
    ((_, variables),) = checkpoint.objects()
    with pytest.raises(FileRefusedError, match="lacks the variable 'missing'"):
        checkpoint.read(variables["v"])
    assert list(save(tmp_path / "c", graph_of()).objects()) == []
    with pytest.raises(Exception, match="pars"):
        save(tmp_path / "d", b"\xff" * 9)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "e"),
        tensor_names=["v"],
        shape_and_slices=[""],
        tensors=[tf.ones(2)],
    )
    with pytest.raises(FileRefusedError, match="not a checkpoint of objects"):
        ObjectCheckpoint(tmp_path / "e")


def test_a_long_chain_of_objects_is_fast(tmp_path):
    count = 20_000
    nodes = [{"next": index + 1, "v": count} for index in range(count)]
    checkpoint = save(tmp_path / "ckpt", graph_of(*nodes, "v"), v=1.0)
    with pytest.raises(FileRefusedError, match="the path of an object claims"):
        list(checkpoint.objects())
