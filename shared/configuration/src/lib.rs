//! CNCF Distribution's configuration as plain data: YAML, REGISTRY_* variables, defaults, and every problem with its path and line.
