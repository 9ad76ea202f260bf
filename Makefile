# The front door. meson builds; this file only opens it. `make help` lists the targets.

ARGS =
BUILD = build
BUILD_TEST = build-test
CLIENTS = tests/clients/node_modules/.package-lock.json

.DEFAULT_GOAL = build
.PHONY: deps build run test test-build lint bench clean help

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## installs what every other target needs
	@tools/deps build test lint bench

build: ## an optimised, hardened build/sallyport
	@tools/deps build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --buildtype=release -Db_lto=true
	@ninja -C $(BUILD)

run: build ## builds and starts the demo
	@$(BUILD)/sallyport serve --demo $(ARGS)

test: test-build ## every test that a change must keep
	@tests/run

# What the tests need: the release build, one under AddressSanitizer and UndefinedBehaviorSanitizer
# with the unit tests, and the client libraries.
test-build: build
	@tools/deps build test
	@test -f $(BUILD_TEST)/build.ninja || meson setup $(BUILD_TEST) --buildtype=debugoptimized \
		-Dtests=true -Db_sanitize=address,undefined -Db_lto=false
	@ninja -C $(BUILD_TEST)
	@$(MAKE) --no-print-directory $(CLIENTS)

$(CLIENTS): tests/clients/package-lock.json
	@cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

lint: ## layout, includes, static analysis, forbidden functions
	@tools/deps lint
	@tools/lint

bench: build ## measures beside nginx and prints a table
	@tools/deps bench
	@bench/run $(ARGS)

clean: ## removes what was built
	rm -rf $(BUILD) $(BUILD_TEST) tests/clients/node_modules
