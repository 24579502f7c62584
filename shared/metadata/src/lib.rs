//! What is in the registry: the noun traits for repositories, manifests, tags, links, referrers and uploads, and the records they exchange.
