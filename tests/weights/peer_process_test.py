"""Frameworks in processes of their own."""

import numpy as np
import pytest
from support.random_weights import random_stack

from tf_gru_addon.weights.peer_process import peer_in_process

SCRIPT = """
import json, sys
import numpy as np
np.save(sys.argv[3], np.load(sys.argv[2]) + float(hasattr(json, "loads")))
"""


@pytest.mark.parametrize("module", ["json", "numpy"])
def test_no_module_of_the_current_folder_is_imported(tmp_path, monkeypatch, module):
    (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    peer = peer_in_process("NumPy", "numpy", SCRIPT)
    assert peer.package().__version__ == np.__version__
    x = np.ones([1, 2, 3])
    np.testing.assert_array_equal(peer.run("unused", random_stack(), x), x + 1)
