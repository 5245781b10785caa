# SPDX-License-Identifier: GPL-2.0-or-later
# Everything is built under build/. 'make help' lists targets and knobs.

BASE   ?= v7.3
KSRC   ?=
KERNEL ?=
ACCEL  ?= auto
TPM    ?= 2.0
TPM_IF ?= tis
BANKS  ?= sha256
V      ?= 0
PREFIX ?= /usr/local
SUITES ?=
SIGNOFF ?=
FUZZ_SECONDS ?= 60
ROUNDS ?= 20
TIME   ?= 600
RECORDS ?= 1000000
STORM_SEED ?=
CYCLES ?= 100
KILLS  ?= 500
WEEK_TIME ?= 3600
IMA_FOREIGN_LOGS ?=
export BASE KSRC KERNEL ACCEL TPM TPM_IF BANKS V IMA_FOREIGN_LOGS SIGNOFF ROUNDS TIME RECORDS STORM_SEED CYCLES KILLS WEEK_TIME
export PYTHONDONTWRITEBYTECODE = 1

harness := qemu-harness
vm      := $(harness)/vm
build   := $(or $(IMA_BUILD_DIR),build)

.DEFAULT_GOAL := help
.PHONY: help deps deps-demo kernel stock userspace selftests check demo vm hosts matrix bench lint tidy sanitizers threads stress mutations fuzz coverage \
	series kernel-check kernel-tree kernel-refresh deb install clean

help: ## show this list
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo 'Knobs (make TARGET NAME=VALUE):'
	@echo '  BASE=$(BASE)       the kernel base'
	@echo '  KSRC=TREE       a kernel git tree of your own: the series is fitted to its HEAD'
	@echo '  KERNEL=BZIMAGE  an image that was built elsewhere: kunit, selftests and e2e boot it'
	@echo '  ACCEL=$(ACCEL)      auto, kvm or tcg; auto tries KVM once and falls back'
	@echo '  TPM=$(TPM)         2.0, 1.2 or none; TPM_IF=$(TPM_IF): tis or crb'
	@echo '  BANKS=$(BANKS)    active PCR banks: sha1,sha256,sha384,sha512'
	@echo '  SUITES="..."    what make check runs: lint sanitizers fuzz tidy package harness'
	@echo '                  kernel kunit selftests e2e other-bases, which are the default;'
	@echo '                  also userspace matrix threads stress debug storm disks week'
	@echo '  SIGNOFF="Name <address>"  who certifies what make series writes'
	@echo '  ROUNDS=$(ROUNDS)       how often make stress runs the selftests'
	@echo '  TIME=$(TIME)        how many seconds each storm of make stress takes'
	@echo '  RECORDS=$(RECORDS) how long the list is when the long storm of make stress begins'
	@echo '  CYCLES=$(CYCLES)  KILLS=$(KILLS)  power cuts and kills of make stress'
	@echo '  WEEK_TIME=$(WEEK_TIME)  how many seconds the week of make stress takes'
	@echo '  STORM_SEED=N    the seed that a storm printed, to run it again'
	@echo '  FUZZ_SECONDS=$(FUZZ_SECONDS)  how long make fuzz runs each target'
	@echo '  IMA_FOREIGN_LOGS=DIR   measurement lists of other machines, for the parser'"'"'s tests'
	@echo '  PREFIX=$(PREFIX)  where make install puts the programs, below DESTDIR'
	@echo '  V=1             show the compilers at work'

deps: ## install what make check needs (apt, as root); without apt, list it
	scripts/deps check

deps-demo: ## install what make demo needs
	scripts/deps demo

kernel: ## fetch, patch and build the kernel of BASE
	$(vm) kernel

stock: ## build the same kernel without the series
	$(vm) kernel --stock

userspace: ## build the C++ programs
	$(harness)/build userspace

selftests: ## build the kernel's selftests
	$(harness)/build selftests

check: deps ## run all tests; the last line counts them
	$(harness)/check $(SUITES)

demo: deps-demo kernel userspace ## show the whole snapshot cycle, step by step
	$(harness)/demo

vm: deps-demo kernel userspace ## open a shell in the guest
	$(vm) shell

hosts: ## run the commands of README.md in chroots of HOSTS (bookworm trixie sid); needs root, takes hours
	$(harness)/hosts $(HOSTS)

matrix: ## run snapshots over kexec for each pair of settings of TPM, IMA and kernel; takes hours
	ARCH=arm64 scripts/deps check
	$(harness)/matrix

bench: deps $(if $(filter host view evidence,$(PART)),,kernel stock) ## measure size and speed; PART= runs one of reading slab tpm latency scale (guest) host view evidence
	$(harness)/bench/run $(PART)

lint: ## check the source text
	scripts/lint

tidy: deps ## check the C++ programs with clang-tidy
	$(harness)/check tidy

sanitizers: deps ## run the unit tests under AddressSanitizer and UBSan
	$(harness)/check sanitizers

threads: deps ## run the unit tests that start threads under ThreadSanitizer
	$(harness)/check threads

stress: deps ## the long forms: selftests ROUNDS times and on debug kernels, storms of TIME seconds, CYCLES power cuts, KILLS kills, failing disks, a week in WEEK_TIME seconds
	$(harness)/check stress debug storm disks week

mutations: deps ## break one promise of the series at a time and check that the tests notice; MUTATION= runs one
	$(harness)/mutations $(MUTATION)

fuzz: deps ## fuzz each parser for FUZZ_SECONDS; crashes stay in build/fuzz
	$(harness)/fuzz --seconds $(FUZZ_SECONDS)

coverage: deps ## what the unit tests reach, and a fuzzer in the kernel's new files; PART= runs userspace or kernel
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(harness)/coverage $(PART)

kernel-check: ## check each patch: applies, builds, W=1, sparse, checkpatch; the last: other architectures, boots
	scripts/kernel-check

kernel-tree: ## make a git tree with the series applied, in build/ktree
	scripts/kernel-tree

kernel-refresh: ## write that tree's commits back to kernel-patches
	scripts/kernel-refresh

series: ## write patches and selftests to be mailed to build/series; PART=fixes|reading|snapshot|all
	scripts/series $(PART)

deb: ## build the Debian package, in build/deb
	$(harness)/build deb

install: userspace ## install programs, manuals and units below PREFIX
	cmake -D CMAKE_INSTALL_PREFIX=$(PREFIX) -D CMAKE_INSTALL_SYSCONFDIR=/etc $(build)/userspace >/dev/null
	cmake --install $(build)/userspace

clean: ## remove what was built; downloads stay
	find $(build) -mindepth 1 -maxdepth 1 ! -name downloads -exec rm -rf {} +
