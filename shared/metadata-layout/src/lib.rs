//! CNCF Distribution's files as metadata, over any storage driver.
