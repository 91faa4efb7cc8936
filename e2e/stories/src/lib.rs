//! Stories on the real cluster and on real API servers.
