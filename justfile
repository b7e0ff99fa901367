# Every recipe is one plain command, which also works without just.

# List the recipes.
default:
    @just --list

# Serve on this machine, with everything embedded.
dev:
    cargo run -- dev

# Install what the tests need, then check and test everything.
test:
    tests/run

# Only the tests whose names hold NAME.
only NAME:
    cargo test --locked {{NAME}}

# Only the customer vault's function.
vault:
    node --test vault/*.test.mjs

# Format.
fmt:
    cargo fmt

# Lint.
lint:
    cargo clippy --locked --all-targets -- -D warnings

# Advisories, licences, sources, and no second rustls or hyper (cargo install cargo-deny).
deny:
    cargo deny check

# Spelling (cargo install typos-cli).
typos:
    typos

# Measure against a bare axum server, on two cores (wrk: apt-get install wrk); target/bench has the results.
bench *ARGUMENTS:
    python3 benches/run.py {{ARGUMENTS}}

# Measure the parts of a read.
bench-parts:
    cargo bench --locked --bench parts
