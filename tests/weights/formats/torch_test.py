"""PyTorch's state_dicts, against PyTorch itself."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from support.harness import assert_close
from support.pickles import Evil
from support.random_weights import (
    assert_identical,
    few,
    gru_stacks,
    gru_weights,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    from_torch,
    inspect_weights,
    read_weights,
    to_torch,
    torch_arrays,
    torch_prefixes,
)


@pytest.mark.peer
@given(gru_stacks(reset_after=True))
@few
def test_against_gru(stack):
    import torch

    x = inputs_for(stack)
    gru = torch.nn.GRU(
        stack[0].features,
        stack[0].units,
        num_layers=len(stack),
        bias=stack[0].use_bias,
        bidirectional=stack[0].backward is not None,
        batch_first=True,
    )
    gru.load_state_dict(to_torch(stack))
    with torch.no_grad():
        assert_close(gru(torch.from_numpy(x))[0], outputs_of(stack, x))
    assert from_torch(gru.state_dict()) == stack
    arrays = {name: v.numpy() for name, v in gru.state_dict().items()}
    assert_identical(torch_arrays(from_torch(gru.state_dict())), arrays)
    assert list(torch_arrays(stack)) == list(arrays)


@pytest.mark.peer
@given(gru_weights(reset_after=True, dtype="float32"))
@few
def test_against_gru_cell(weights):
    import torch

    x = inputs_for(weights)
    cell = torch.nn.GRUCell(
        weights.features, weights.units, bias=weights.bias is not None
    )
    cell.load_state_dict(to_torch(weights, cell=True))
    h, outputs = torch.zeros(len(x), weights.units), []
    with torch.no_grad():
        for t in range(x.shape[1]):
            h = cell(torch.from_numpy(x[:, t]), h)
            outputs.append(h.numpy())
    assert_close(np.stack(outputs, 1), outputs_of(weights, x))
    assert from_torch(cell.state_dict()) == (GRULayer(weights),)


@pytest.mark.peer
def test_tensors_of_every_kind():
    import torch

    gru = torch.nn.GRU(3, 4)
    # Parameters that require gradients; and float64.
    assert from_torch(dict(gru.named_parameters())) == from_torch(gru.state_dict())
    assert from_torch(gru.double().state_dict())[0].dtype == np.float64
    with pytest.raises(WeightsError, match=r"weight_ih_l0 .*torch\.bfloat16 .*Cast"):
        from_torch(gru.bfloat16().state_dict())


@given(gru_stacks(reset_after=True))
@few
def test_both_ways_to_the_bit(stack):
    arrays = torch_arrays(stack)
    assert from_torch(arrays) == stack
    assert_identical(torch_arrays(from_torch(arrays)), arrays)


def prefixed(prefix, stack):
    return {prefix + name: array for name, array in torch_arrays(stack).items()}


LSTM = {"lstm.weight_ih_l0": np.ones((8, 3)), "lstm.weight_hh_l0": np.ones((8, 2))}
RNN = {"weight_ih_l0": np.ones((2, 3)), "weight_hh_l0": np.ones((2, 2))}


def test_a_model_with_several_grus():
    one, other = random_stack(), random_stack(units=(2, 2), bidirectional=True)
    model = {"dense.weight": np.ones((2, 2)), **LSTM, **prefixed("encoder.rnn.", one)}
    assert from_torch(model) == one
    model |= prefixed("decoder.", other)
    assert torch_prefixes(model) == ["encoder.rnn.", "decoder."]
    with pytest.raises(WeightsError, match=r"several GRUs.*'encoder.rnn.', 'decoder.'"):
        from_torch(model)
    assert from_torch(model, "decoder.") == from_torch(model, "decoder") == other
    with pytest.raises(WeightsError, match=r"prefix 'x.' is not .*'decoder.'"):
        from_torch(model, "x")
    with pytest.raises(WeightsError, match=r"weight_hh_l0 must have the size 3"):
        from_torch(model, "lstm")
    model |= torch_arrays(one)
    assert from_torch(model, "") == one


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        (LSTM, "'lstm.' is an LSTM"),
        (
            {"weight_ih_l0": np.ones((2, 3)), "weight_hh_l0": np.ones((2, 2))},
            "a simple",
        ),
        ({"weight_ih_l0": np.ones((6, 3))}, "'' is no GRU"),
        ({"dense.weight": np.ones(1)}, "received dense.weight"),
        ({}, "received nothing"),
        ({str(i): 0 for i in range(9)}, "received 0, 1, 2, 3, 4, 5 and 3 more"),
    ],
)
def test_state_dicts_without_a_gru(state_dict, message):
    with pytest.raises(WeightsError, match=message):
        from_torch(state_dict)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias_hh_l1": None}, "The GRU 'a.' lacks bias_hh_l1. Expected weight_ih_l0"),
        ({"weight_hh_l1": None}, "lacks weight_hh_l1"),
        ({"weight_hr_l0": np.ones((2, 4))}, "has the surplus weight_hr_l0"),
        ({"weight_ih_l1_reverse": np.ones((12, 4))}, "lacks weight_ih_l0_reverse, wei"),
        ({"weight_ih_l3": np.ones((12, 4))}, "lacks weight_ih_l2"),
        ({"weight_ih_l999999999": np.ones((12, 4))}, "layers are missing"),
        ({"weight_ih": np.ones((12, 4))}, "has the surplus weight_ih"),
        ({"weight_ih_l1": np.ones((12, 5))}, "Layer 1 takes 5 features, but layer 0"),
        (
            {"weight_ih_l0": np.ones((9, 5))},
            r"weight_ih_l0 .*here \(12, \?\)",
        ),
        ({"weight_hh_l1": np.ones((12, 5))}, r"weight_hh_l1 .*here \(12, 4\)"),
        ({"bias_ih_l0": np.ones((12, 1))}, r"bias_ih_l0 .*here \(12,\)"),
        ({"bias_ih_l0": np.full(12, np.nan)}, r"bias_ih_l0\[0\] is nan"),
        ({"bias_ih_l0": np.ones(12, "i4")}, "bias_ih_l0 must be .*received int32"),
        ({"bias_ih_l0": np.array([None] * 12)}, "bias_ih_l0 must be .*received object"),
        ({"weight_ih_l0": np.ones((12, 3), "f4")}, "recurrent_kernel must have the dt"),
    ],
)
def test_errors_name_the_problem(changes, message):
    state_dict = prefixed("a.", random_stack(units=(4, 4), dtype="float64"))
    state_dict |= {"a." + name: array for name, array in changes.items()}
    state_dict = {name: v for name, v in state_dict.items() if v is not None}
    with pytest.raises(WeightsError, match=message):
        from_torch(state_dict)


@pytest.mark.parametrize(
    ("stack", "cell", "message"),
    [
        (random_weights(reset_after=False), False, "PyTorch's GRU applies .* after "),
        (
            GRULayer(random_weights(), recurrent_activation="hard_sigmoid"),
            False,
            "recurrent activation sigmoid, but this layer has hard_sigmoid",
        ),
        (random_stack(units=(4, 2)), False, "the same units .* 4, 2. Write them one"),
        (GRULayer(None, random_weights()), False, "only runs backward"),
        (
            (GRULayer(random_weights()), GRULayer(random_weights(4, 4, bias=False))),
            False,
            "the same use_bias .* True, False",
        ),
        (random_stack(units=(4, 4)), True, "one layer in one direction"),
        (random_stack(bidirectional=True), True, "one layer in one direction"),
    ],
)
def test_stacks_that_pytorch_cannot_hold(stack, cell, message):
    with pytest.raises(WeightsError, match=message):
        torch_arrays(stack, cell=cell)


@pytest.mark.peer
def test_pickles_are_not_run(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save({"weight_ih_l0": torch.ones(6, 3), "x": Evil()}, "zip.pt")
    torch.save({"x": Evil()}, "legacy.pt", _use_new_zipfile_serialization=False)
    with open("plain.pkl", "wb") as stream:
        pickle.dump(Evil(), stream)
    names = sorted(os.listdir())
    for name in names:
        reason = "an object of" if "pkl" in name else "not a file of tensors"
        with pytest.raises(WeightsError, match=rf"^{name}: .*{reason}"):
            read_weights(name)
    assert sorted(os.listdir()) == names, "the pickle was executed"


@pytest.mark.peer
def test_a_checkpoint_of_a_training_loop(tmp_path):
    import torch

    gru = torch.nn.GRU(3, 4)
    model = {"encoder": torch.nn.Linear(2, 2).state_dict(), "gru": gru.state_dict()}
    torch.save({"model": model, "epoch": 3, "loss": [0.1]}, tmp_path / "last.pt")
    file = inspect_weights(tmp_path / "last.pt")
    assert list(file.grus) == ["model.gru"]
    torch.save(gru.bfloat16().state_dict(), tmp_path / "bf16.pt")
    with pytest.raises(WeightsError, match=r"bf16.pt: .*bfloat16 .*Cast it first"):
        inspect_weights(tmp_path / "bf16.pt")
    torch.save([torch.ones(3)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="expected a state_dict; it holds a list"):
        inspect_weights(tmp_path / "list.pt")


@pytest.mark.peer
def test_an_old_pytorch_must_not_read_pickles(tmp_path, monkeypatch):
    import torch

    torch.save(torch.nn.GRU(3, 4).state_dict(), tmp_path / "gru.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(WeightsError, match=r"PyTorch 2.5.1.*CVE-2025-32434"):
        inspect_weights(tmp_path / "gru.pt")
