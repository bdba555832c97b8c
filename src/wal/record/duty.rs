//! What an operator wants of each instance.

use serde::Serialize;
use wincode::{SchemaRead, SchemaWrite};

use crate::chroma::ids::InstanceId;

/// What an operator wants of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Everything.
    #[default]
    Serve,
    /// It follows, and decides and answers only where nobody else can.
    Drain,
    /// Nothing is sent to it, whatever it is.
    Maintenance,
}

/// What an operator wants to be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DutyChange {
    Duty(InstanceId, Duty),
    /// Who decides first; `None` for the order of the configuration.
    Preferred(Option<InstanceId>),
}

/// What an operator wants of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Duties {
    /// By instance; the rest serves.
    duties: Vec<Duty>,
    /// Who decides first; `None` for the order of the configuration.
    pub preferred: Option<InstanceId>,
}

impl Duties {
    /// What is wanted of an instance.
    #[must_use]
    pub fn of(&self, instance: InstanceId) -> Duty {
        self.duties.get(instance.index()).copied().unwrap_or_default()
    }

    /// The same after a change.
    #[must_use]
    pub fn changed(self, change: DutyChange) -> Self {
        match change {
            DutyChange::Duty(instance, duty) => self.with(instance, duty),
            DutyChange::Preferred(preferred) => Self { preferred, ..self },
        }
    }

    /// The same, with another duty for one of them.
    #[must_use]
    pub fn with(&self, instance: InstanceId, duty: Duty) -> Self {
        let mut duties = self.duties.clone();
        duties.resize(duties.len().max(instance.index() + 1), Duty::Serve);
        duties[instance.index()] = duty;
        Self { duties, preferred: self.preferred }
    }

    /// The same for what is left when an instance goes, and those behind it move up.
    #[must_use]
    pub fn without(&self, gone: InstanceId) -> Self {
        let mut duties = self.duties.clone();
        if gone.index() < duties.len() {
            duties.remove(gone.index());
        }
        let preferred = self.preferred.filter(|preferred| *preferred != gone);
        let preferred = preferred.map(|InstanceId(number)| InstanceId(number - u8::from(number > gone.0)));
        Self { duties, preferred }
    }
}
