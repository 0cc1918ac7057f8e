# make demo    a GRU trained, evaluated, saved and exported on real speech data
# make deploy-demo    another, exported in every form, each run in its own runtime
# make test    the test suite
# make test-peers    the tests that need heavier peers
# make test-matrix   the tests of one wheel on the oldest and the newest TensorFlow
# make lint    ruff and mypy
# make native  rebuild the native engine in place
# make wheel   a wheel for this platform, in dist
# make example   build and run the example that uses the kernels without TensorFlow
# make sanitize  the test of the native kernels under the sanitizers
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
newest_tests := native ops/every_engine_test.py ops/engines_test.py ops/native_test.py

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo deploy-demo test test-peers test-matrix test-oldest test-newest native wheel \
  example sanitize lint bench clean

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

# Remove the last build: setuptools would also pack its files.
wheel: $(VENV)/demo.stamp
	rm -rf build/lib build/bdist.* dist/*.whl
	$(PIP) wheel --no-deps -w dist .

# The kernels as a static library, without TensorFlow's ops: $(call kernels,FOLDER,FLAGS).
# cell/kernels.cc is compiled once for each instruction set, as setup.py does.
CXX ?= g++
NATIVE := tf_gru_addon/native
KERNELS := $(NATIVE)/cell/kernels.cc
SOURCES := $(filter-out $(KERNELS) $(NATIVE)/tf/%,$(wildcard $(NATIVE)/*/*.cc))
X86_SETS := avx2,-mavx2,-mfma avx512,-mavx512f,-mfma
SETS = generic $(if $(findstring x86_64,$(shell $(CXX) -dumpmachine)),$(X86_SETS))
define kernels
  mkdir -p $(1) && rm -f $(1)/*.o $(1)/libgru.a; \
  compile="$(CXX) -std=c++17 -ffp-contract=fast -Wall -Wextra -pthread $(2) -I$(NATIVE)"; \
  for set in $(SETS); do \
    isa=$${set%%,*}; \
    flags=$$(echo "$${set#$$isa}" | tr , " "); \
    $$compile -DGRU_ISA=$$isa $$flags -c $(KERNELS) -o $(1)/$$isa.o || exit 1; \
  done; \
  for source in $(SOURCES); do \
    $$compile -c $$source -o $(1)/$$(basename $$source .cc).o || exit 1; \
  done; \
  ar rcs $(1)/libgru.a $(1)/*.o || exit 1
endef

example:
	@folder=build/example; $(call kernels,$$folder,-O3); \
	$$compile examples/native/gru.cc $$folder/libgru.a -o $$folder/gru && $$folder/gru

# Each sanitizer needs its own build; address and undefined behaviour share one.
sanitize:
	@for kind in address,undefined thread; do \
	  folder=build/sanitize-$$kind; \
	  flags="-g -O1 -fsanitize=$$kind -fno-sanitize-recover=all"; \
	  $(call kernels,$$folder,$$flags); \
	  $$compile tests/native/kernels_test.cc $$folder/libgru.a -o $$folder/kernels_test || exit 1; \
	  echo "== $$kind"; \
	  $$folder/kernels_test || exit 1; \
	done

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/peers.stamp
	$(BIN)/python -m benchmarks.engines

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest build dist *.egg-info runs
