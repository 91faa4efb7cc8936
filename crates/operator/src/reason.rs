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
    /// Somebody has suspended the Job.
    JobSuspended,
    /// The Job is deleted and something keeps it.
    JobStuck,
    /// The Job passed its deadline and its pod did not end.
    NodeLost,
    /// The log of a pod that has ended cannot be read now.
    LogUnavailable,
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
        matches!(self, Self::Evicted | Self::Unschedulable | Self::NodeLost | Self::LogUnavailable)
    }

    /// What to do, as a sentence that says nothing of when it is tried again.
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
                "Raise jobs.resources.limits.memory in the chart, or narrow matchers and topTables, topQueries or sampleKeys so that less is read."
            }
            Self::DeadlineExceeded => {
                "Raise spec.activeDeadlineSeconds, or shorten spec.window or spec.sampleDuration."
            }
            Self::Evicted => "Look at the node's memory and disk if it comes back.",
            Self::ResultLost => "Leave the run's Job and pod alone until it is finished.",
            Self::ResultInvalid => "Look who may create Jobs or exec into pods here (docs/security.md).",
            Self::NameCollision => "Delete or rename it.",
            Self::PolicyMissing => {
                "Install the chart plimsoll-cluster, or allow it with policies.required=false in the chart plimsoll."
            }
            Self::InvalidSpec => "Correct the field.",
            Self::ContainerRefused => "Look at the events of the run's pod.",
            Self::JobSuspended => "Set suspend to false in the Job's spec, or delete the Job.",
            Self::JobStuck => {
                "Look at the finalizers of the Job and of its pod; the run goes on when it is gone."
            }
            Self::NodeLost => "Look at the pod's node, and delete the node if it is gone.",
            Self::LogUnavailable => "Look whether the kubelet of the pod's node answers the API server.",
        }
    }
}

/// What to do about a source's failure, as a sentence that says nothing of when it is tried again.
#[must_use]
pub fn source_remedy(reason: SourceReason) -> &'static str {
    match reason {
        SourceReason::AuthenticationFailed => {
            "Check the Secret that the source names: its user and its password or token."
        }
        SourceReason::Forbidden => "Give that right.",
        SourceReason::Unreachable => {
            "Check host and port or URL, the Service, and this namespace's network policies."
        }
        SourceReason::Timeout => {
            "The server is slow or overloaded, or the run had too little time: see activeDeadlineSeconds and sampleDuration."
        }
        SourceReason::TLSFailed => {
            "Check tls.ca, tls.serverName and, for PostgreSQL, sslMode against the server and its certificate."
        }
        SourceReason::BadAnswer => {
            "Check that the address is that of such a server, and of nothing in between."
        }
        SourceReason::Unavailable => "The server says that it cannot answer now.",
        SourceReason::SecretMissing => "Create the Secret or ConfigMap in this namespace.",
        SourceReason::KeyMissing => "Add the key to the Secret or ConfigMap.",
        SourceReason::ExtensionMissing => "Install it.",
        SourceReason::NoData => {
            "Check that the server has what the spec names: metrics and matchers, or statistics."
        }
    }
}
