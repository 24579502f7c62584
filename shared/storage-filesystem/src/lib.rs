//! The filesystem driver: durable writes, atomic renames, reads without a copy.
