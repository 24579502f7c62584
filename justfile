# `just` lists these. Each line is what a person would type; nothing hides here.

# List the recipes
default:
    @just --list

# Build the server
build:
    cargo build --release -p roadstead

# Every test: installs the clients it needs where it may
test *filter:
    tests/run {{filter}}

# What a change has to pass
ci:
    .ci/run

# Put the code into its canonical form
format:
    cargo fmt --all

# The lints, as the checks run them
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# What the tree depends on
dependencies:
    cargo deny check bans licenses sources

# Validate template.yaml, and build the function with all routes, by AWS's SAM
template *what:
    tests/emulators/sam.py {{what}}

# The container image, by buildah and without a base image; then run it
image:
    infra/image build && infra/image try

# Serve a directory on port 5000, for trying things out
serve config="registry.yml":
    cargo run -p roadstead -- serve {{config}}

# Serve the whole registry as a function on port 9000, with S3 and DynamoDB emulated, for trying things out
watch port="9000":
    tests/emulators/watch.py {{port}}
