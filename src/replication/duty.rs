//! What an operator wants of the instances: to serve, to be drained, to be left alone; and who decides first.
//!
//! | duty | answers reads | decides | follows |
//! | --- | --- | --- | --- |
//! | serve | yes | yes | yes |
//! | drain | where nobody else can | where nobody else can | yes |
//! | maintenance | no | no | no: it is down, and the log is kept for it |
//!
//! A duty takes effect when it is durable, and survives a restart.

use super::core::{Availability, Core};
use super::durable::Later;
use super::event::{Action, DownReason};
use crate::chroma::ids::InstanceId;
use crate::wal::record::Record;
use crate::wal::record::duty::{Duties, Duty, DutyChange};

impl Core {
    /// An operator wants something else than what was wanted last, durable or not.
    pub(super) fn want_duty(&mut self, change: DutyChange) {
        let duties = self.wanted_duties().unwrap_or(&self.duties).clone().changed(change);
        self.record(Record::Duties(duties.clone()), Later::Duties(duties));
    }

    /// What is wanted and not durable yet.
    fn wanted_duties(&self) -> Option<&Duties> {
        self.later.iter().rev().find_map(|(_, later)| match later {
            Later::Duties(duties) => Some(duties),
            _ => None,
        })
    }

    /// True where all that operators want holds.
    #[must_use]
    pub fn duties_hold(&self) -> bool {
        self.wanted_duties().is_none()
    }

    /// That is durable.
    pub(super) fn take_duties(&mut self, duties: Duties) {
        let before = std::mem::replace(&mut self.duties, duties);
        for instance in self.instance_ids() {
            let (was, is) = (before.of(instance), self.duties.of(instance));
            if is == was {
                continue;
            }
            if is == Duty::Maintenance {
                self.instance_down(instance, DownReason::Maintenance);
                self.actions.push(Action::Rest { instance, rests: true });
            } else if was == Duty::Maintenance {
                self.actions.push(Action::Rest { instance, rests: false });
                self.instances[instance.index()].availability = Availability::Checking;
                self.recheck(instance, "its maintenance is over".to_owned());
            }
        }
        self.touch_all_lanes();
        self.moved.everything();
    }

    /// What is wanted now.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.duties
    }

    /// Who decides first now, and whether an instance that lost its state is filled again.
    #[must_use]
    pub fn outlook(&self) -> (InstanceId, bool) {
        (self.preferred(), self.settings.rebuild)
    }

    /// True while an instance decides and answers like any other.
    pub(super) fn serves(&self, instance: InstanceId) -> bool {
        self.is_up(instance) && self.duties.of(instance) == Duty::Serve
    }
}
