//! Why an instance takes no requests.

/// Why an instance takes no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// It refuses connections, or closed them.
    Refused,
    /// Its heartbeats stay unanswered.
    Hung,
    /// A canary write got a definite error.
    CannotWrite,
    /// It is empty, or its marker is older than what it has acknowledged: it lost state.
    LostState,
    /// It is not ours.
    Foreign,
    /// Another Isochrome may be writing: nothing is sent anywhere until an operator chooses.
    Fenced,
    /// Whoever wrote before us is given the time to notice that we do now.
    HandingOver,
    /// An operator wants it left alone.
    Maintenance,
}

impl DownReason {
    /// The word that operators see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Hung => "hung",
            Self::CannotWrite => "cannot write",
            Self::LostState => "lost state",
            Self::Foreign => "not ours",
            Self::Fenced => "fenced",
            Self::HandingOver => "handing over",
            Self::Maintenance => "maintenance",
        }
    }
}
