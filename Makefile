# The front door. meson builds; this file only opens it. `make help` lists the targets.

ARGS =
SECONDS = 60
TARGET =
BUILD = build
BUILD_TEST = build-test
BUILD_FAULTS = build-faults
BUILD_FUZZ = build-fuzz
BUILD_TSAN = build-tsan
FUZZ_FLAGS = -fsanitize=fuzzer-no-link -fno-sanitize-recover=all
CLIENTS = tests/clients/node_modules/.package-lock.json

.DEFAULT_GOAL = build
.PHONY: deps build run test test-build soak tsan fuzz lint bench clean help

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## installs what every other target needs
	@tools/deps build test soak fuzz lint bench

build: ## an optimised, hardened build/sallyport
	@tools/deps build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --buildtype=release -Db_lto=true
	@ninja -C $(BUILD)

run: build ## builds and starts the demo
	@$(BUILD)/sallyport serve --demo $(ARGS)

test: test-build ## every test that a change must keep
	@tests/run

# The long forms of the fault and differential tests; heads and bodies split at every offset; and the wire tests with
# one event loop, and over TLS with four.
soak: test-build ## the long forms of the tests, an hour at most
	@tools/deps soak
	@SALLYPORT_SOAK=1 tests/run faults differential
	@SALLYPORT_THOROUGH=1 tests/wire/run test_heads test_chunks test_targets test_json
	@SALLYPORT_WORKERS=1 tests/run wire
	@SALLYPORT_WORKERS=4 SALLYPORT_TLS=1 tests/run wire

# Data races, which no other build sees: the threaded unit tests, and requests over two event loops.
tsan: build ## unit and wire tests under ThreadSanitizer
	@tools/deps build test
	@test -f $(BUILD_TSAN)/build.ninja || meson setup $(BUILD_TSAN) --buildtype=debugoptimized \
		-Dtests=true -Db_sanitize=thread -Db_lto=false
	@ninja -C $(BUILD_TSAN)
	@SALLYPORT_BUILD_TEST=$(CURDIR)/$(BUILD_TSAN) SALLYPORT_WORKERS=2 tests/run unit wire

# What the tests need: the release build, one under AddressSanitizer and UndefinedBehaviorSanitizer
# with the unit tests, the same with calls that fail on demand, and the client libraries.
test-build: build
	@tools/deps build test
	@test -f $(BUILD_TEST)/build.ninja || meson setup $(BUILD_TEST) --buildtype=debugoptimized \
		-Dtests=true -Db_sanitize=address,undefined -Db_lto=false
	@ninja -C $(BUILD_TEST)
	@test -f $(BUILD_FAULTS)/build.ninja || meson setup $(BUILD_FAULTS) --buildtype=debugoptimized \
		-Dfaults=true -Db_sanitize=address,undefined -Db_lto=false
	@ninja -C $(BUILD_FAULTS)
	@$(MAKE) --no-print-directory $(CLIENTS)

$(CLIENTS): tests/clients/package-lock.json
	@cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Its corpora and what it finds are in build-fuzz/ too.
fuzz: ## each codec against another reader, SECONDS=60 each; TARGET=name for one
	@tools/deps build fuzz
	@test -f $(BUILD_FUZZ)/build.ninja || CC=clang CXX=clang++ meson setup $(BUILD_FUZZ) \
		--buildtype=debugoptimized -Dfuzz=true -Db_sanitize=address,undefined -Db_lto=false \
		-Db_lundef=false -Dc_args='$(FUZZ_FLAGS)' -Dcpp_args='$(FUZZ_FLAGS)'
	@ninja -C $(BUILD_FUZZ) fuzz
	@tests/fuzz/run $(SECONDS) $(TARGET)

lint: ## layout, includes, static analysis, forbidden functions
	@tools/deps lint
	@tools/lint

bench: build ## measures beside a relay, nginx and HAProxy; writes bench/report
	@tools/deps bench
	@bench/run $(ARGS)

clean: ## removes what was built
	rm -rf $(BUILD) $(BUILD_TEST) $(BUILD_FAULTS) $(BUILD_FUZZ) $(BUILD_TSAN) tests/clients/node_modules
