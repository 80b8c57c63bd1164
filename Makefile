# Natter's commands. `make help` lists them; `make run` and `make test` are the two that matter.
#
# Everything that can be missing on a fresh Debian or Ubuntu with rustup and Node 20+ is installed on the way, each
# in one place below, and only when it is not there already. Nothing here needs to be set.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The tools of `make dev`. wasm-bindgen's must be of exactly the version in Cargo.toml.
CARGO_LEPTOS := 0.3.10
WASM_BINDGEN := 0.2.130
# Those of `make deps`.
CARGO_DENY := 0.20.2
CARGO_MACHETE := 0.9.2
TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)

# Output goes to target/, whatever the caller's shell has set: the checks and tests look for it there.
override CARGO_TARGET_DIR := $(CURDIR)/target
export CARGO_TARGET_DIR
unexport CARGO_BUILD_TARGET_DIR

# cargo's own folder first: tools installed below go there, so that a bare `cargo leptos watch` finds them too.
# wasm-opt comes with the npm packages and is called through frontend/bin; nginx lives in /usr/sbin, which is not on
# everybody's PATH.
CARGO_HOME ?= $(HOME)/.cargo
export CARGO_HOME

# rustc's allocator (jemalloc) takes huge pages. In a virtual machine, where memory that is touched first is dear, the
# WASM was built in 50 s instead of 9 minutes. Measured on one such machine only.
MALLOC_CONF ?= thp:always
export MALLOC_CONF
export PATH := $(CARGO_HOME)/bin:$(CURDIR)/frontend/bin:$(CURDIR)/end2end/node_modules/.bin:$(PATH):/usr/sbin:/sbin

# The browser of the tests: Chromium without its windows, which is what Playwright drives by default and takes a third of
# the time; or the whole of it, where that is all there is. Looked for when it is needed, after it may have been installed.
BROWSER = $(or $(CHROMIUM),$(shell command -v chromium-headless-shell || command -v chromium))

BINARY := target/release/natter
# Folders count as well as files, so that a deleted file rebuilds too.
SOURCES := $(shell find protocol/src chat app frontend server/src xtask/src style public -not -name '.*' 2>/dev/null) \
	$(wildcard */Cargo.toml */build.rs) Cargo.toml Cargo.lock rust-toolchain.toml .cargo/config.toml end2end/package-lock.json
NATIVE := -p protocol -p chat -p app -p server -p headless -p trials -p xtask --features app/ssr
WASM := -p frontend --target wasm32-unknown-unknown
PLAYWRIGHT = cd end2end && CHROMIUM="$(BROWSER)" npx --no-install playwright test

define say
	@printf '\n\033[1m== %s\033[0m\n' "$(1)"
endef

##@ The two commands

run: $(BINARY) ## Build the release if needed and serve http://127.0.0.1:3000 on ./data (ARGS="…" adds settings)
	@exec $(BINARY) $(ARGS)

test: ## Everything: format, lints, all Rust tests, the release and its budgets, its faults, the browser tests
	@start=$$SECONDS; status=0; \
	$(MAKE) --no-print-directory lint rust-test release-check faults-short e2e || status=$$?; \
	took=$$((SECONDS - start)); \
	if [ $$status = 0 ]; then word=passed; else word=FAILED; fi; \
	printf '\nmake test %s after %d min %02d s\n' "$$word" $$((took / 60)) $$((took % 60)); \
	exit $$status

##@ Parts of them

dev: toolchain tools ## Serve a debug build that reloads itself on every change (cargo leptos watch)
	cargo leptos watch

build: $(BINARY) ## Build target/release/natter, page included

lint: toolchain ## Format, clippy for both halves, rustdoc, structure, and what reaches the browser
	$(call say,Format)
	cargo fmt --all --check
	$(call say,Clippy: the server's half (first time: about 6 minutes on two cores))
	cargo clippy $(NATIVE),server/echo,xtask/page --all-targets -- -D warnings
	$(call say,Clippy: the browser's half (first time: about 2 minutes))
	cargo clippy $(WASM) -- -D warnings
	cargo clippy $(WASM) --features split -- -D warnings
	$(call say,The documentation of the code)
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --document-private-items $(NATIVE)
	$(call say,Structure: circles of imports$(comma) and what is too long)
	@cargo run --quiet -p xtask -- structure
	$(call say,What reaches the browser)
	@frontend/check-purity.sh

rust-test: toolchain ## All Rust tests
	$(call say,Rust tests (first time: about 8 minutes on two cores))
	cargo test $(NATIVE)
	$(call say,The hub under many interleavings of its threads)
	cargo test -p chat --features shuttle --lib hub::interleavings

release-check: $(BINARY) node_modules ## The release's budgets: first load, memory, and serving alone from an empty folder
	$(call say,The release: first load$(comma) memory at rest$(comma) alone in an empty folder)
	@node end2end/release-check.mjs $(BINARY)

e2e: $(BINARY) node_modules browser nginx ## The browser tests (ARGS="…" goes to Playwright)
	$(call say,Browser tests (about 14 minutes on two cores))
	@cd end2end && npx --no-install tsc --noEmit
	$(PLAYWRIGHT) $(ARGS)

faults-short: $(BINARY) toolchain strace ## The short lane of the faults
	$(call say,Faults$(comma) the short lane (about 6 minutes on two cores))
	@cargo build --quiet $(NATIVE) --bin faults
	@target/debug/faults --natter $(BINARY) --lane short $(ARGS)

faults: $(BINARY) toolchain strace ## Break the release in every way we know, then test the checker (LONG=1: the longest)
	$(call say,Faults$(comma) the $(if $(LONG),long,full) lane)
	@cargo build --quiet --release -p trials --bin faults
	@target/release/faults --natter $(BINARY) --lane $(if $(LONG),long,full) $(ARGS)
	@$(MAKE) --no-print-directory faults-planted $(if $(LONG),autobahn) ARGS=

# The same folder as all other debug builds, so that only what has the bugs is built anew; and out of the way at once,
# so that nobody takes it for the real one.
PLANTED := target/planted
faults-planted: toolchain strace ## The checker's own test: six bugs planted on purpose, each of which it has to catch
	$(call say,Planted bugs)
	@rm -rf $(PLANTED) && mkdir -p $(PLANTED)
	@cargo build --quiet $(NATIVE),server/planted,protocol/planted --bin natter --bin faults
	@mv target/debug/natter target/debug/faults $(PLANTED)/
	@$(PLANTED)/faults --natter $(PLANTED)/natter --planted $(ARGS)

# Without --url the program starts the release on a folder of its own, which keeps the accounts for the next run.
load: toolchain $(if $(findstring --url,$(ARGS)),,$(BINARY)) ## Drive a server as many people at once (ARGS="rate --rate 1000", "--help", …)
	@cargo build --quiet --release -p trials --bin load --bin relay
	@target/release/load $(if $(findstring --folder,$(ARGS)),,--folder target/load) $(or $(ARGS),rate --floor)

bench: $(BINARY) peers ## Natter beside Prosody, ejabberd and Socket.IO: writes docs/BENCHMARKS.md (20 minutes; ARGS=--quick tries it)
	@cargo build --quiet --release -p trials --bin bench --bin relay
	@target/release/bench $(ARGS)

# The suite is for Python 2.7 only, which Debian no longer has: pyenv does.
PYTHON2 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/2.7*/bin/python2.7) $(shell command -v python2.7))
autobahn: toolchain ## The Autobahn suite against an echo of our own socket (247 cases; needs Python 2.7)
	$(call say,Autobahn: RFC 6455$(comma) case by case)
	@if [ -z "$(PYTHON2)" ]; then \
	  echo "Left out: the suite needs Python 2.7 (for example 'pyenv install 2.7.18', or PYTHON2=/path/to/python2.7)."; \
	else \
	  cargo build $(NATIVE),server/echo --bin natter-echo; \
	  [ -e target/autobahn/site/autobahntestsuite ] || { rm -rf target/autobahn/site; \
	    "$(PYTHON2)" -m pip install -q --disable-pip-version-check --target target/autobahn/site autobahntestsuite==25.10.1; \
	    touch target/autobahn/site/zope/__init__.py; }; \
	  PYTHONPATH=target/autobahn/site "$(PYTHON2)" server/tests/autobahn.py target/debug/natter-echo target/autobahn; \
	fi

deps: toolchain ## Check the dependencies: licences, bans, sources, advisories where they can be fetched, and unused ones
	$(call say,Dependencies)
	@[ "$$(cargo-deny --version 2>/dev/null)" = "cargo-deny $(CARGO_DENY)" ] || { \
	  echo "== Installing cargo-deny $(CARGO_DENY) (about 5 minutes on two cores, once)"; \
	  $(TOOL) --locked cargo-deny@$(CARGO_DENY); }
	@[ "$$(cargo-machete --version 2>/dev/null)" = "$(CARGO_MACHETE)" ] || { \
	  echo "== Installing cargo-machete $(CARGO_MACHETE) (about 1 minute on two cores, once)"; \
	  $(TOOL) --locked cargo-machete@$(CARGO_MACHETE); }
	@rm -rf target/tools
	cargo fetch --locked --quiet
	cargo deny --offline check bans licenses sources
	cargo machete
	@if cargo deny fetch db 2>/dev/null; then cargo deny --offline check advisories; \
	  else echo "Advisories are left out: their database cannot be reached."; fi

same-page: toolchain tools node_modules ## Build the page with cargo-leptos too, and fail where it is not the page of the release
	$(call say,The page$(comma) as the release has it and as cargo-leptos makes it)
	@rm -rf target/same-page; mkdir -p target/same-page
	node frontend/build.mjs --page --whole
	@cp -r target/site target/same-page/release
	cargo leptos build --release --precompress --frontend-only --split --lib-features split
	@cp -r target/site target/same-page/cargo-leptos
	@node frontend/same-page.mjs target/same-page/release target/same-page/cargo-leptos

screenshots: $(BINARY) node_modules browser ## Take the pictures in docs/img again
	SCREENSHOTS=1 $(PLAYWRIGHT) screenshots.spec.ts

clean: ## Remove everything that was built (not ./data)
	rm -rf target end2end/node_modules end2end/test-results end2end/playwright-report

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9_-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ What they are made of

$(BINARY): $(SOURCES) | toolchain node_modules
	$(call say,Building the release (first time: about 12 minutes on two cores; later 1 to 4))
	@rm -f $(BINARY); mkdir -p target; touch target/build-began
	node frontend/build.mjs
	@touch --reference target/build-began $(BINARY) # what changed meanwhile is newer

toolchain: ## Install the Rust toolchain of rust-toolchain.toml, its WASM target and a C compiler, where missing
	@command -v rustup >/dev/null || { echo "Natter needs Rust. Please install rustup, then try again." >&2; exit 1; }
	@rustup run $(TOOLCHAIN) rustc --version >/dev/null 2>&1 || { \
	  echo "== Installing Rust $(TOOLCHAIN) (about 1 minute)"; \
	  rustup toolchain install $(TOOLCHAIN) --profile minimal --component clippy --component rustfmt; }
	@for part in clippy rustfmt; do \
	  rustup component list --toolchain $(TOOLCHAIN) --installed | grep -q "^$$part" || \
	    rustup component add --toolchain $(TOOLCHAIN) $$part; done
	@rustup target list --toolchain $(TOOLCHAIN) --installed | grep -qx wasm32-unknown-unknown || { \
	  echo "== Adding Rust's WASM target (seconds)"; \
	  rustup target add --toolchain $(TOOLCHAIN) wasm32-unknown-unknown; }
	@command -v cc >/dev/null || $(call debian,build-essential,a C compiler (cc))

# The tools are optimised less than they could be: that makes minutes of their builds instead of half an hour.
# They share one folder to build in, which goes when they are installed. wasm-bindgen-cli goes without --locked:
# its lock file may name versions that the registry does not have.
TOOL := env -u RUSTFLAGS CARGO_TARGET_DIR="$(CURDIR)/target/tools" CARGO_PROFILE_RELEASE_LTO=off \
	CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	cargo install --root "$(CARGO_HOME)" --force
tools: toolchain ## Install what only `make dev` needs, where missing: cargo-leptos and wasm-bindgen
	@[ "$$(cargo-leptos --version 2>/dev/null)" = "cargo-leptos $(CARGO_LEPTOS)" ] || { \
	  echo "== Installing cargo-leptos $(CARGO_LEPTOS) (about 10 minutes on two cores, once)"; \
	  perl -MFindBin -MIPC::Cmd -e 1 2>/dev/null && command -v make >/dev/null || $(call debian,build-essential,perl); \
	  $(TOOL) --locked --features no_downloads cargo-leptos@$(CARGO_LEPTOS); }
	@[ "$$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $(WASM_BINDGEN)" ] || { \
	  echo "== Installing wasm-bindgen $(WASM_BINDGEN) (about 2 minutes on two cores, once)"; \
	  $(TOOL) wasm-bindgen-cli@$(WASM_BINDGEN); }
	@rm -rf target/tools

node_modules: end2end/node_modules/.package-lock.json ## Install the npm packages: wasm-opt, terser, lightningcss, Playwright, axe
end2end/node_modules/.package-lock.json: end2end/package.json end2end/package-lock.json
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
	  echo "Natter's build needs Node 20 or newer with npm (for the page and the browser tests). Please install it, then try again." >&2; \
	  exit 1; }
	@echo "== Installing the npm packages (seconds)"
	cd end2end && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-fund --no-audit --loglevel=error
	@touch $@

browser: ## Install Chromium's headless shell, where missing (another browser: CHROMIUM=/path/to/chrome)
	@[ -n "$(CHROMIUM)" ] || command -v chromium-headless-shell >/dev/null || \
	  ( $(call debian,chromium-headless-shell,Chromium's headless shell) ) 2>/dev/null || \
	  command -v chromium >/dev/null || $(call debian,chromium,Chromium (CHROMIUM=/path/to/chrome names another one))

nginx: ## Install nginx for the test behind a proxy, where missing
	@command -v nginx >/dev/null || $(call debian,nginx-light,nginx)

peers: ## Install what the benchmark compares with, where missing: Prosody, ejabberd, Socket.IO (no service is started)
	@trials/peers/install.sh

strace: ## Install strace, with which the faults make a disk fail, where missing and possible
	@command -v strace >/dev/null || ( $(call debian,strace,strace) ) || true

# $(call debian,PACKAGE,WHAT): install a Debian package if we may, else say what is missing.
debian = { \
	  if ! command -v apt-get >/dev/null; then may=no; elif [ "$$(id -u)" = 0 ]; then may="env"; \
	  elif sudo -n true 2>/dev/null; then may="sudo env"; else may=no; fi; \
	  [ "$$may" != no ] || { echo "Missing: $(2). Please install it (Debian, Ubuntu: sudo apt-get install $(1)), then try again." >&2; exit 1; }; \
	  echo "== Installing $(1) with apt-get (about 1 minute)"; \
	  $$may apt-get update -qq; \
	  $$may DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null </dev/null; }

comma := ,

.PHONY: run test dev build deps same-page lint rust-test release-check e2e faults faults-short faults-planted load bench autobahn screenshots clean \
	help toolchain tools node_modules browser nginx strace peers
