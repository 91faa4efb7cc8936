//! Why a run is not complete: one word for scripts, and what follows from it. Pure; shared by every kind.

use plimsoll_analysis::record::SourceReason;

/// Why a run has no complete record. The words stand in conditions and Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumIter)]
pub enum RunReason {
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The namespace's quota leaves no room for the pod.
    QuotaExceeded,
    /// An admission rule refuses the pod or the Job.
    PodRefused,
    /// No node takes the pod.
    Unschedulable,
    /// The container was killed for its memory limit.
    OutOfMemory,
    /// The run took longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// The node put the pod out.
    Evicted,
    /// The Job or its log is gone, and so is the record.
    ResultLost,
    /// The log holds something that is not this run's one record.
    ResultInvalid,
    /// Something that is not ours has the name of the run.
    NameCollision,
    /// Secrets are named and the admission policy that guards them is not installed.
    PolicyMissing,
    /// A field of the spec means nothing.
    InvalidSpec,
    /// The kubelet cannot make the container.
    ContainerRefused,
}

impl RunReason {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether waiting can mend it, so that the run is tried again by itself.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Evicted | Self::Unschedulable)
    }

    /// What to do, as a sentence.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ImagePullFailed => {
                "Check the operator's image and the chart's jobs.imagePullSecrets: the Secret must exist in this namespace."
            }
            Self::QuotaExceeded => {
                "Raise the namespace's ResourceQuota, or lower the chart's jobs.resources."
            }
            Self::PodRefused => {
                "Ask who runs the cluster to allow Jobs of the operator in this namespace; they meet the restricted pod security standard."
            }
            Self::Unschedulable => {
                "Add capacity, or set the chart's jobs.nodeSelector, jobs.tolerations or jobs.resources."
            }
            Self::OutOfMemory => {
                "Raise jobs.resources.limits.memory in the chart, or narrow the matchers so that fewer series are read."
            }
            Self::DeadlineExceeded => "Raise spec.activeDeadlineSeconds, or shorten spec.window.",
            Self::Evicted => "It is tried again; look at the node's memory and disk if it comes back.",
            Self::ResultLost => {
                "Leave the run's Job and pod alone until it is finished; set a new value of the annotation plimsoll.dev/run to run again."
            }
            Self::ResultInvalid => {
                "Look who may create Jobs or exec into pods here (docs/security.md); set a new value of the annotation plimsoll.dev/run to run again."
            }
            Self::NameCollision => {
                "Delete or rename it, then set a new value of the annotation plimsoll.dev/run."
            }
            Self::PolicyMissing => {
                "Install the chart plimsoll-cluster, or allow it with policies.required=false in the chart plimsoll."
            }
            Self::InvalidSpec => "Correct the field.",
            Self::ContainerRefused => "Look at the events of the run's pod.",
        }
    }
}

/// What to do about a source's failure, as a sentence.
#[must_use]
pub fn source_remedy(reason: SourceReason) -> &'static str {
    match reason {
        SourceReason::AuthenticationFailed => {
            "Check the Secret that sources.*.auth names, then request a run."
        }
        SourceReason::Forbidden => "Give these credentials the right to query, then request a run.",
        SourceReason::Unreachable => {
            "Check the address, the Service and this namespace's network policy; it is tried again by itself."
        }
        SourceReason::Timeout => "The server is slow or overloaded; it is tried again by itself.",
        SourceReason::TLSFailed => {
            "Check tls.ca and tls.serverName against the server's certificate, then request a run."
        }
        SourceReason::BadAnswer => "Check that the URL is the base of a Prometheus API, then request a run.",
        SourceReason::Unavailable => {
            "The server says that it cannot answer now; it is tried again by itself."
        }
        SourceReason::SecretMissing => {
            "Create the Secret or ConfigMap in this namespace, then request a run."
        }
        SourceReason::KeyMissing => "Add the key to the Secret or ConfigMap, then request a run.",
        SourceReason::ExtensionMissing => "Install the extension, then request a run.",
        SourceReason::NoData => {
            "Check the metric names and matchers, and that the server scrapes this namespace; it is tried again by itself."
        }
    }
}
