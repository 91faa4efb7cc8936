//! A real local Kubernetes from packages.
