# make demo    a GRU trained, evaluated, saved and exported on real speech data
# make deploy-demo    another, exported in every form, each run in its own runtime
# make test    the test suite
# make test-peers    the tests that need heavier peers
# make test-matrix   the tests of one wheel on the oldest and the newest TensorFlow
# make lint    ruff
# make native  the native engine built anew, in place
# make wheel   a wheel for this platform, in dist
# make sanitize  the native kernels' own test under the sanitizers
# make bench   every engine beside every peer, some ten minutes
# Everything happens in .venv, which the first of them makes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_OPTIONS := --disable-pip-version-check -q
PIP := $(BIN)/python -m pip $(PIP_OPTIONS)
# A test file runs in one of so many processes.
JOBS ?= 2
PYTEST := pytest -n $(JOBS) --dist loadfile

# The versions that `make test-matrix` tests, and the tests that it runs there.
# TensorFlow 2.16 needs Python 3.12 or earlier.
oldest_versions := tensorflow-cpu==2.16.2 keras==3.3.3
oldest_tf_keras := tf_keras==2.16.0
oldest_tests := native layers ops config datasets activations_test.py \
  serialization_test.py saved_model_test.py imports_test.py
newest_versions := tensorflow-cpu==2.21.0 keras==3.15.1
newest_tf_keras := tf_keras==2.21.0
newest_tests := native ops/agreement_test.py ops/engines_test.py ops/native_test.py

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo deploy-demo test test-peers test-matrix test-oldest test-newest native wheel \
  sanitize lint bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/demo.stamp: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e ".[cpu,train]"
	@touch $@

# tf_keras requires the distribution `tensorflow`, which pip would install over
# tensorflow-cpu; without its dependencies it takes the TensorFlow that is here.
$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(PIP) install -e ".[cpu,train,test]"
	$(PIP) install --no-deps "tf_keras==$$($(BIN)/python -c \
	  'from importlib.metadata import packages_distributions, version; \
	   name, *_ = packages_distributions()["tensorflow"]; \
	   print(".".join(version(name).split(".")[:2]))').*"
	@touch $@

$(VENV)/export.stamp: $(VENV)/demo.stamp
	$(PIP) install -e ".[cpu,train,export]"
	@touch $@

# torch is of the release that the tests have been run with, as a newer one is gigabytes.
# g2p_en is a published model to convert; of its dependencies the tests need none.
$(VENV)/peers.stamp: $(VENV)/test.stamp
	$(PIP) install -e ".[cpu,train,test,peers]" "torch==2.13.0"
	$(PIP) install --no-deps "g2p_en==2.1.0"
	@touch $@

# A run that is complete prints its table again; one that was stopped goes on.
demo: $(VENV)/demo.stamp
	$(BIN)/python -m tf_gru_addon train --config configs/japanese_vowels.yaml \
	  --workdir runs/japanese_vowels --resume

# Of a model that can also run frame by frame.
deploy-demo: $(VENV)/export.stamp
	$(BIN)/python -m tf_gru_addon train \
	  --config configs/japanese_vowels_causal.yaml \
	  --workdir runs/japanese_vowels_causal --resume
	rm -rf runs/deployed
	$(BIN)/python -m tf_gru_addon deploy --workdir runs/japanese_vowels_causal \
	  --output runs/deployed

test: $(VENV)/test.stamp
	$(BIN)/python -m $(PYTEST) -m "not peer"

test-peers: $(VENV)/peers.stamp
	$(BIN)/python -m $(PYTEST) -m peer

test-matrix: test-oldest test-newest

.venv-%/test.stamp: pyproject.toml setup.py | wheel
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip $(PIP_OPTIONS) install \
	  "$$(ls $(CURDIR)/dist/*.whl)[train,test]" $($*_versions)
	.venv-$*/bin/python -m pip $(PIP_OPTIONS) install --no-deps $($*_tf_keras)
	@touch $@

# From an empty folder: neither pytest nor a process that a test starts sees the sources.
test-oldest test-newest: test-%: .venv-%/test.stamp wheel
	.venv-$*/bin/python -m pip $(PIP_OPTIONS) install --no-deps --force-reinstall dist/*.whl
	@mkdir -p build/$*
	cd build/$* && TEST_WHAT_IS_INSTALLED=1 ../../.venv-$*/bin/$(PYTEST) \
	  -c ../../pyproject.toml -m "not peer" $(addprefix ../../tests/,$($*_tests))

native: $(VENV)/demo.stamp
	$(PIP) install --no-deps -e .

# Of the sources that there are now: setuptools would take those of the last build too.
wheel: $(VENV)/demo.stamp
	rm -rf build/lib build/bdist.* dist/*.whl
	$(PIP) wheel --no-deps -w dist .

# Each sanitizer is a build of its own; the address and undefined behaviour ones share.
NATIVE := tf_gru_addon/native
KERNELS := $(addprefix $(NATIVE)/,gru.cc panels.cc schedule.cc pool.cc dispatch.cc)
CXX ?= g++
sanitize:
	@mkdir -p build
	@for kind in address,undefined thread; do \
	  flags="-g -O1 -std=c++17 -Wall -Wextra -pthread -fsanitize=$$kind \
	    -fno-sanitize-recover=all -I$(NATIVE)"; \
	  objects=; \
	  for isa in generic avx2 avx512; do \
	    case $$isa in \
	      generic) architecture= ;; \
	      avx2) architecture="-mavx2 -mfma" ;; \
	      avx512) architecture="-mavx512f -mfma" ;; \
	    esac; \
	    $(CXX) $$flags $$architecture -c $(NATIVE)/kernels_$$isa.cc \
	      -o build/kernels_$$isa.o || exit 1; \
	    objects="$$objects build/kernels_$$isa.o"; \
	  done; \
	  $(CXX) $$flags tests/native/kernels_test.cc $(KERNELS) $$objects \
	    -o build/kernels_test || exit 1; \
	  echo "== $$kind"; \
	  build/kernels_test || exit 1; \
	done

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/peers.stamp
	$(BIN)/python -m benchmarks.engines

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest build dist *.egg-info runs
