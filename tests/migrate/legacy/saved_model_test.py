"""SavedModel folders that are damaged or of another kind get a clear error."""

import shutil

import numpy as np
import pytest
from support.legacy_files import refuses

from tf_gru_addon import load_legacy_model


def test_a_folder_that_is_not_a_saved_model(tmp_path):
    refuses(tmp_path, "no SavedModel", "saved_model.pb")


def test_a_saved_model_without_keras(saved_model, tmp_path):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    (folder / "keras_metadata.pb").unlink()
    refuses(folder, "without Keras' metadata", "model.h5")


@pytest.mark.parametrize("name", ["keras_metadata.pb", "saved_model.pb"])
def test_metadata_cut_short(saved_model, tmp_path, name):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    if name == "saved_model.pb":
        (folder / "keras_metadata.pb").unlink()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    refuses(folder, name, "damaged")


@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
def test_a_checkpoint_cut_short(saved_model, tmp_path, name):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    file = folder / "variables" / name
    file.write_bytes(file.read_bytes()[:20])
    refuses(folder, "checkpoint", "cut short")


def test_metadata_of_tensorflow_before_2_5(tf_keras, saved_model, tmp_path):
    """Those versions stored it in saved_model.pb."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tf_keras.protobuf import saved_metadata_pb2

    folder = shutil.copytree(saved_model, tmp_path / "model")
    metadata = saved_metadata_pb2.SavedMetadata()
    metadata.ParseFromString((folder / "keras_metadata.pb").read_bytes())
    (folder / "keras_metadata.pb").unlink()
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    (root,) = (node for node in metadata.nodes if node.node_path == "root")
    nodes[0].user_object.metadata = root.metadata
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    x = np.ones((1, 3), "float32")
    np.testing.assert_array_equal(
        load_legacy_model(folder)(x), load_legacy_model(saved_model)(x)
    )
