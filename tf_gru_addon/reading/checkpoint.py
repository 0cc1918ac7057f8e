"""TensorFlow's checkpoints, which consist of several files."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading.budget import Budget, FileRefusedError, require_regular

#: The variable in which TensorFlow 2 keeps the graph of the objects that were saved.
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
#: What a name in a path takes beside its text.
_NAME_COST = 64


def checkpoint_budget(prefix: str | os.PathLike[str]) -> Budget:
    """Returns the budget of a checkpoint, from the total size of its files.

    Args:
        prefix: The checkpoint's path: its files' name without `.index` and
            `.data-00000-of-00001`. In the oldest format, it is the only file.

    Raises:
        FileRefusedError: A file is not a regular file.
    """
    prefix = Path(prefix)
    name = glob.escape(prefix.name)
    files = [
        *prefix.parent.glob(f"{name}.index"),
        *prefix.parent.glob(f"{name}.data-*"),
    ]
    if not files and prefix.exists():
        files = [prefix]
    return Budget(sum(map(require_regular, files)))


class ObjectCheckpoint:
    """A checkpoint of objects, as TensorFlow 2 saves them.

    Args:
        prefix: The name of the files without `.index` and `.data-00000-of-00001`.

    Raises:
        FileRefusedError: It is no checkpoint of objects, or claims too much memory.
        Exception: Whatever TensorFlow raises for a damaged file; see `boundary`.

    Example:
        >>> import tensorflow as tf
        >>> from tf_gru_addon.reading.checkpoint import ObjectCheckpoint
        >>> root = tf.train.Checkpoint(step=tf.Variable(3))
        >>> path = root.write("model.ckpt")
        >>> checkpoint = ObjectCheckpoint(path)
        >>> [(path, list(names)) for path, names in checkpoint.objects()]
        [('', ['step'])]
    """

    def __init__(self, prefix: str | os.PathLike[str]):
        import tensorflow as tf
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        self._budget = checkpoint_budget(prefix)
        self._reader = tf.train.load_checkpoint(os.fspath(prefix))
        self._shapes = self._reader.get_variable_to_shape_map()
        self._dtypes = self._reader.get_variable_to_dtype_map()
        if self._shapes.get(OBJECT_GRAPH) != []:
            raise FileRefusedError("it is not a checkpoint of objects.")
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self._reader.get_tensor(OBJECT_GRAPH))
        self._nodes = graph.nodes

    def objects(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yields the objects that hold variables, those near the root first.

        The slot variables of optimizers belong to no object, and are left out.

        Yields:
            The shortest path from the root, such as "layer_with_weights-0/cell"; and
            the names of the variables in the file, by their names in the object.
        """
        parents: dict[int, tuple[int, str] | None] = {0: None}
        for index in self._reachable(parents):
            variables = {}
            for child in self._nodes[index].children:
                for attribute in self._node(child.node_id).attributes:
                    if attribute.name == _VALUE:
                        variables[child.local_name] = attribute.checkpoint_key
            if variables:
                yield self._path(index, parents), variables

    def _reachable(self, parents: dict[int, tuple[int, str] | None]) -> Iterator[int]:
        """Yields all objects, breadth first, and fills in their parents."""
        pending = [0] if self._nodes else []
        for index in pending:
            yield index
            for child in self._nodes[index].children:
                if child.node_id not in parents:
                    parents[child.node_id] = index, child.local_name
                    pending.append(child.node_id)

    def _node(self, index: int) -> Any:
        if not 0 <= index < len(self._nodes):
            raise FileRefusedError(f"an object in it has the unknown child {index}.")
        return self._nodes[index]

    def _path(self, index: int, parents: dict[int, tuple[int, str] | None]) -> str:
        names: list[str] = []
        while (parent := parents[index]) is not None:
            index, name = parent
            names.append(name)
            # A chain of objects makes long paths of short names.
            self._budget.take(len(name) + _NAME_COST, "the path of an object")
        return "/".join(reversed(names))

    def shape(self, variable: str) -> tuple[int, ...]:
        """Returns the shape of a variable, by its name in the file.

        Raises:
            FileRefusedError: There is no such variable.
        """
        if variable not in self._shapes:
            raise FileRefusedError(f"it lacks the variable {variable!r}.")
        return tuple(self._shapes[variable])

    def read(self, variable: str) -> np.ndarray:
        """Returns the numbers of a variable, by its name in the file.

        Raises:
            FileRefusedError: There is no such variable, or it claims too much memory.
        """
        size = math.prod(self.shape(variable)) * self._dtypes[variable].size
        self._budget.take(size, f"the variable {variable!r}")
        array: Any = self._reader.get_tensor(variable)
        return np.asarray(array)
