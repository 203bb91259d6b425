# The tools live in .tools, at the versions of local/requirements-*.txt, local/kql/package.json and the four lines
# below; a stamp beside each says what is installed, so nothing is fetched twice.
MACHETE_VERSION := 0.9.2
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
CYCLONEDX_VERSION := 0.5.9

ARCH ?= arm64
BIN_DIR ?= target/debug
EVENT ?= events/s3-notification.json
FUZZ ?= $(sort $(basename $(notdir $(wildcard fuzz/targets/*.rs))))
FUZZ_SECONDS ?= 20
RELEASE_ARCHES ?= arm64 x86_64
SANITIZER ?= none

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
LOCAL := .tools/local/bin/python
DEPLOY := .tools/deploy/bin
LOCAL_STAMP := .tools/local.stamp
DEPLOY_STAMP := .tools/deploy.stamp
POLICY_STAMP := .tools/policy.stamp
JUDGES_STAMP := .tools/judges.stamp
KUSTO_STAMP := .tools/kusto.stamp
MACHETE_STAMP := .tools/machete-$(MACHETE_VERSION).stamp
DENY_STAMP := .tools/deny-$(DENY_VERSION).stamp
FUZZ_STAMP := .tools/fuzz-$(FUZZ_VERSION).stamp
CYCLONEDX_STAMP := .tools/cyclonedx-$(CYCLONEDX_VERSION).stamp

export BIN_DIR
export SAM_CLI_TELEMETRY := 0
# What `sentinelctl --version` names.
export SENTINELCTL_COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: run
run: binaries $(LOCAL_STAMP) ## Send sample logs through the whole chain on this machine and show what landed (KEEP=1 leaves it running)
	@$(LOCAL) -m local.run

.PHONY: stop
stop: $(LOCAL_STAMP) ## End what KEEP=1 make run left running
	@$(LOCAL) -m local.run --stop

.PHONY: invoke
invoke: binaries $(LOCAL_STAMP) $(DEPLOY_STAMP) ## Invoke the local function with one event: make invoke EVENT=events/s3-notification.json
	@$(LOCAL) -m local.invoke $(DEPLOY)/cargo-lambda $(EVENT)

.PHONY: test
test: $(JUDGES_STAMP) cargo-test end-to-end ## Run all tests, the end-to-end ones with the real function on a local AWS

.PHONY: cargo-test
cargo-test: ## Run the tests of the crate alone
	cargo test --locked

.PHONY: end-to-end
end-to-end: binaries $(LOCAL_STAMP) $(JUDGES_STAMP) ## Run the end-to-end tests alone (ARGS='-k finding' picks some)
	$(LOCAL) -m pytest -q -p no:cacheprovider tests/end_to_end $(ARGS)

.PHONY: chaos
chaos: binaries $(LOCAL_STAMP) ## Kill and starve the real function, then account for every record (CHAOS_SEED, CHAOS_MINUTES, CHAOS_FILES)
	@$(LOCAL) -m local.chaos

.PHONY: large
large: binaries release-binary $(LOCAL_STAMP) ## Forward one file of 1 GB with 128 MB and 12 s at a time (LARGE_MB=100 takes a smaller one)
	@$(LOCAL) -m local.large target/release/sentinel-forwarder

.PHONY: check
check: fmt clippy test doc floors deny machete template policy kql ## Run all that CI runs

.PHONY: bench
bench: ## Measure the pipeline on trails of 1 GB beside its bound, stage by stage (BENCH_MB=100 takes smaller ones)
	cargo bench --locked --bench pipeline

.PHONY: bench-uploads
bench-uploads: ## Measure whether the pipeline waits for an endpoint that answers late (BENCH_MB=100 takes a smaller trail)
	cargo bench --locked --bench pipeline -- uploads

# The programs are built as they are deployed; the one that starts them needs no speed.
.PHONY: bench-cold
bench-cold: release-binary ## Measure the cold start beside a bare program's (BENCH_STARTS=40 of each)
	cargo build --release --locked --no-default-features --example bare
	cargo bench --profile dev --locked --bench cold -- $(addprefix $(CURDIR)/target/release/,sentinel-forwarder examples/bare)

# The stable compiler sanitizes too, given leave to; here it costs much of the speed, and no code of ours is unsafe.
.PHONY: fuzz
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: $(FUZZ_STAMP) fuzz/Cargo.lock ## Fuzz each target for FUZZ_SECONDS=20 (FUZZ='row batch' picks some, SANITIZER=address)
	@$(PYTHON) fuzz/seeds.py
	@.tools/bin/cargo-fuzz build --sanitizer $(SANITIZER)
	@for target in $(FUZZ); do \
	  echo "Fuzzing $$target for $(FUZZ_SECONDS) seconds"; \
	  .tools/bin/cargo-fuzz run --sanitizer $(SANITIZER) $$target -- -dict=fuzz/json.dict -max_total_time=$(FUZZ_SECONDS) \
	    -len_control=0 -timeout=20 -verbosity=0 -print_final_stats=1; \
	done

.PHONY: fmt
fmt: ## Check the formatting
	cargo fmt --check

.PHONY: clippy
clippy: ## Lint, with and without the command line
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --bin sentinel-forwarder -- -D warnings

.PHONY: doc
doc: ## Build the documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

.PHONY: floors
floors: ## Check that imports go down only
	$(PYTHON) local/floors.py src

.PHONY: deny
deny: $(DENY_STAMP) ## Check licences, sources and banned crates
	.tools/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources

.PHONY: advisories
advisories: $(DENY_STAMP) ## Check for known vulnerabilities (fetches the advisory database from GitHub)
	.tools/bin/cargo-deny --locked check advisories

.PHONY: machete
machete: $(MACHETE_STAMP) ## Check for dependencies that nothing uses
	.tools/bin/cargo-machete --skip-target-dir

# `sam validate` wants a region, and any will do. A deployment takes that of the profile.
.PHONY: template
template: export AWS_DEFAULT_REGION ?= us-east-1
template: $(DEPLOY_STAMP) ## Lint the templates
	$(DEPLOY)/sam validate --lint --template template.yaml
	$(DEPLOY)/cfn-lint template.yaml deploy/*.yaml

# Each finding that is passed over has its reason beside it in the template.
.PHONY: policy
policy: $(POLICY_STAMP) ## Check the templates against security rules
	.tools/policy/bin/checkov --framework cloudformation --skip-download --compact --quiet --file template.yaml deploy/*.yaml

# The binder comes from npm. Without it the queries run all the same, and the last line says that nothing was bound.
.PHONY: kql
kql: binaries $(LOCAL_STAMP) $(if $(shell command -v npm),$(KUSTO_STAMP)) ## Bind all KQL with Microsoft's binder and run the queries on sample rows
	@$(BIN_DIR)/sentinelctl azure-template --tables | $(LOCAL) -m local.kql --also lake=true \
	  --also 'tables=["AWSCloudTrail", "AWSGuardDuty"]' deploy/azure/mainTemplate.json .tools/kusto

# A machine without the other processor's standard library builds for itself, unless a processor was asked for.
.PHONY: build
build: $(DEPLOY_STAMP) ## Build the function for Lambda into target/lambda (ARCH=arm64 or x86_64)
	@arch=$(ARCH); host=$$(uname -m | sed 's/aarch64/arm64/'); \
	target=$${arch/arm64/aarch64}-unknown-linux-gnu; \
	if [[ ! -d "$$(rustc --print sysroot)/lib/rustlib/$$target" ]]; then \
	  echo "Rust's standard library for $$target is not installed: rustup target add $$target" >&2; \
	  if [[ "$(origin ARCH)" != file ]]; then exit 1; fi; \
	  arch=$$host; \
	  echo "Building for this machine instead; deploy it with Architecture=$$arch" >&2; \
	fi; \
	PATH="$(CURDIR)/$(DEPLOY):$$PATH" cargo-lambda lambda build --locked --release --no-default-features \
	  --bin sentinel-forwarder $$([[ $$arch == arm64 ]] && echo --arm64 || echo --x86-64) --lambda-dir target/lambda; \
	echo "target/lambda/sentinel-forwarder/bootstrap is built for $$arch"

# What `sam build` runs: never for another processor than the template's.
.PHONY: build-ForwarderFunction
build-ForwarderFunction:
	$(MAKE) build ARCH=$(ARCH)
	cp target/lambda/sentinel-forwarder/bootstrap "$(ARTIFACTS_DIR)/bootstrap"

.PHONY: deploy
deploy: $(DEPLOY_STAMP) ## Build, and deploy to the region of the AWS profile, asking for the parameters unless PARAMETERS='Name=value …' gives them (ARCH=arm64 or x86_64)
	ARCH=$(ARCH) $(DEPLOY)/sam build --parameter-overrides Architecture=$(ARCH)
	$(DEPLOY)/sam deploy $(if $(PARAMETERS),,--guided) $(if $(AWS_REGION),--region $(AWS_REGION)) --parameter-overrides Architecture=$(ARCH) $(PARAMETERS)

.PHONY: release
release: $(DEPLOY_STAMP) $(CYCLONEDX_STAMP) ## Build the files of a release into target/release-files (RELEASE_ARCHES='arm64 x86_64')
	@PATH="$(CURDIR)/$(DEPLOY):$$PATH" $(PYTHON) -m local.release $(DEPLOY)/cargo-lambda .tools/bin/cargo-cyclonedx $(RELEASE_ARCHES)

.PHONY: clean
clean: ## Remove what was built (the tools stay; rm -r .tools removes them)
	cargo clean
	rm -rf .aws-sam fuzz/target

.PHONY: binaries
binaries:
	cargo build --locked --bins

.PHONY: release-binary
release-binary:
	cargo build --release --locked --no-default-features --bin sentinel-forwarder

$(LOCAL_STAMP): local/requirements-local.txt
	$(call venv,local,$<,$@)

# What builds and deploys is the files that were chosen, and no other. The list is whole: pip need not look for more.
$(DEPLOY_STAMP): local/requirements-deploy.txt
	$(call venv,deploy,$<,$@,--require-hashes --only-binary :all: --no-deps)

$(POLICY_STAMP): local/requirements-policy.txt
	$(call venv,policy,$<,$@)

$(JUDGES_STAMP): local/requirements-judges.txt
	$(call venv,judges,$<,$@)

$(KUSTO_STAMP): local/kql/package.json local/kql/package-lock.json
	@echo "Installing Microsoft's KQL binder into .tools/kusto"
	@rm -rf .tools/kusto
	@mkdir -p .tools/kusto
	@cp $^ .tools/kusto
	@npm ci --loglevel=error --no-audit --no-fund --prefix .tools/kusto >/dev/null
	@touch $@

$(MACHETE_STAMP):
	$(call crate,cargo-machete,$(MACHETE_VERSION),$@)

$(DENY_STAMP):
	$(call crate,cargo-deny,$(DENY_VERSION),$@)

$(FUZZ_STAMP):
	$(call crate,cargo-fuzz,$(FUZZ_VERSION),$@)

$(CYCLONEDX_STAMP):
	$(call crate,cargo-cyclonedx,$(CYCLONEDX_VERSION),$@)

# What is fuzzed is built with the package's own versions.
fuzz/Cargo.lock: Cargo.lock fuzz/Cargo.toml
	@cp Cargo.lock $@

define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; PYTHON=python3.12 make … takes another")'
	@echo "Installing $(2) into .tools/$(1)"
	@rm -rf .tools/$(1)
	@mkdir -p .tools
	@$(PYTHON) -m venv .tools/$(1)
	@.tools/$(1)/bin/pip install --quiet $(4) --requirement $(2)
	@.tools/$(1)/bin/pip check >/dev/null
	@touch $(3)
endef

define crate
	@echo "Building $(1) $(2) into .tools/bin (minutes, once)"
	@mkdir -p .tools
	@CARGO_TARGET_DIR=.tools/build cargo install --quiet --locked --debug --root .tools $(1)@$(2)
	@rm -rf .tools/build
	@touch $(3)
endef
