# `make up` runs Hereabouts here. Each target installs what it finds missing; stamps keep repeats short.

# The distribution's own interpreter: the platform's unprivileged processes must be able to run it too, and
# one under somebody's home they could not.
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := nginx libnginx-mod-http-lua lua-resty-core runc nftables iproute2 virtualenvwrapper \
	golang-github-containers-common ca-certificates python3-venv
TEST_PACKAGES := postgresql pebble faketime e2fsprogs chromium nodejs systemd
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
# Settings of the environment reach the platform through sudo, too.
SETTINGS := $(if $(SUDO),$(addprefix --preserve-env=,$(filter HEREABOUTS_%,$(.VARIABLES))))
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.PHONY: up test check static bench chaos screenshots packages clean
.DEFAULT_GOAL := up

up: packages $(VENV)/stamp  ## run the platform in the foreground
	@exec $(SUDO) $(SETTINGS) $(BIN)/hereabouts up

test: PACKAGES += $(TEST_PACKAGES)
test: packages $(VENV)/stamp-dev $(VENV)/sslyze/stamp  ## every test: unit, integration, contract
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: PACKAGES += $(TEST_PACKAGES)
check: packages $(VENV)/stamp-dev $(VENV)/sslyze/stamp  ## what a change must pass
	@$(MAKE) --no-print-directory --jobs 2 static test

static: $(VENV)/stamp-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: packages $(VENV)/stamp-dev  ## the whole platform measured
	$(BIN)/python -m benchmarks

SECONDS ?= 60
SEED ?= 1
chaos: packages $(VENV)/stamp-dev  ## kill processes at random under traffic: make chaos SECONDS=600 SEED=1
	$(BIN)/python -m benchmarks.chaos --seconds $(SECONDS) --seed $(SEED)

screenshots: PACKAGES += $(TEST_PACKAGES)
screenshots: packages $(VENV)/stamp-dev  ## pictures of every page, for docs/screenshots
	$(BIN)/python -m tests.browser.screenshots

# Services don't start while packages are installed: the platform runs an nginx of its own.
packages:
	@missing=$$(for name in $(PACKAGES); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$name 2>/dev/null)" = installed ] || echo $$name; done); \
	[ -z "$$missing" ] || { \
		echo "Installing system packages:" $$missing; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive sh -euc '\
			apt-get update -qq; \
			policy=/usr/sbin/policy-rc.d; \
			[ -e $$policy ] || { printf "#!/bin/sh\nexit 101\n" > $$policy; chmod 755 $$policy; \
				trap "rm -f $$policy" EXIT; }; \
			apt-get install -y -qq --no-install-recommends "$$@" > /dev/null' install $$missing; }

$(VENV)/bin/python: | packages
	@echo "Making the virtual environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# The lock holds the build tool too, so that nothing is fetched that has no hash.
$(VENV)/stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the Python libraries of requirements.lock"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/stamp-dev: requirements-dev.lock $(VENV)/stamp
	@echo "Installing the Python libraries of requirements-dev.lock"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# It looks at TLS from outside, and needs other versions of libraries than the platform.
$(VENV)/sslyze/stamp: requirements-sslyze.lock | $(VENV)/bin/python
	@echo "Installing the Python libraries of requirements-sslyze.lock"
	@$(PYTHON) -m venv $(VENV)/sslyze
	@$(VENV)/sslyze/bin/python -m pip --quiet --quiet --disable-pip-version-check install \
		--require-hashes --requirement requirements-sslyze.lock
	@touch $@

clean:  ## forget the virtual environment and caches; the data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
