//! What is done about the copies that differ: mended in place, or made again.

use std::collections::{BTreeMap, HashSet};

use super::collection::{Comparison, name};
use super::mend::{NotMended, Wrong, mend};
use super::rebuild::rebuild;
use super::report::{NotCompared, Repair};
use super::still::Reader;
use crate::chroma::ids::InstanceId;
use crate::repair::jobs::Progress;

impl Comparison<'_> {
    /// Makes every other instance what the first one is: in place where that can be done, else the copy is made again.
    pub(super) async fn repair(&mut self, progress: &Progress) {
        let Some(from) = self.reader.instances.first().copied() else { return };
        if from != self.reference {
            return;
        }
        let wrong = std::mem::take(&mut self.wrong);
        let outvoted = outvoted(&wrong);
        let mut to_rebuild = BTreeMap::new();
        for (instance, wrong) in wrong {
            if outvoted {
                let why = "several instances differ from it in the same records; look which one is right";
                self.note_repair(from, instance, Err(why.to_owned()));
                continue;
            }
            let pair = Reader { instances: vec![from, instance], ..self.reader };
            match mend(&pair, &wrong, self.embeddings).await {
                Ok(mended) => self.note_repair(from, instance, Ok(mended)),
                Err(NotMended::Stays(why)) => self.note_repair(from, instance, Err(why)),
                Err(NotMended::MustBeRebuilt(why)) => _ = to_rebuild.insert(instance, why),
            }
        }
        if !to_rebuild.is_empty() {
            self.rebuild(from, to_rebuild, progress).await;
        }
    }

    /// Any instance that is not to be rebuilt may be asked for records, so that all of them must have been compared.
    async fn rebuild(
        &mut self,
        from: InstanceId,
        reasons: BTreeMap<InstanceId, String>,
        progress: &Progress,
    ) {
        let failed = match self.told.not_compared.first() {
            None => rebuild(&self.reader, &reasons, progress).await,
            Some(NotCompared { instance, .. }) => {
                let why = format!("it must be rebuilt, perhaps from {instance}, which was not compared");
                reasons.keys().map(|target| (*target, why.clone())).collect()
            }
        };
        for (instance, reason) in reasons {
            let failed = failed.get(&instance);
            self.note_repair(from, instance, failed.map_or(Ok(0), |why| Err(format!("{reason}; {why}"))));
            if let (None, Some(done)) = (failed, self.report.repairs.last_mut()) {
                done.rebuilt = Some(reason);
            }
        }
    }

    fn note_repair(&mut self, from: InstanceId, instance: InstanceId, done: Result<u64, String>) {
        let replication = self.reader.replication;
        self.report.repairs.push(Repair {
            tenant: self.told.tenant.clone(),
            database: self.told.database.clone(),
            collection: self.told.name.clone(),
            instance: name(replication, instance),
            from: name(replication, from),
            mended: *done.as_ref().unwrap_or(&0),
            rebuilt: None,
            why_not: done.err(),
        });
    }
}

/// True where more than one instance differs from the first in a record, so that the first may be the wrong one.
fn outvoted(wrong: &BTreeMap<InstanceId, Wrong>) -> bool {
    let mut seen = HashSet::new();
    let twice = wrong.values().flat_map(|wrong| &wrong.records).any(|record| !seen.insert(record));
    twice || wrong.values().filter(|wrong| wrong.whole).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_instance_is_not_believed_against_several_others() {
        let wrong =
            |records: &str| Wrong { records: records.split(' ').map(str::to_owned).collect(), whole: false };
        let of =
            |one: &str, two: &str| BTreeMap::from([(InstanceId(1), wrong(one)), (InstanceId(2), wrong(two))]);
        assert!(outvoted(&of("a b", "b")));
        assert!(!outvoted(&of("a b", "c")));
    }
}
