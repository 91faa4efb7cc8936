//! Every read of the measured world: Prometheus to typed facts.
