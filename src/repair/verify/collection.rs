//! One collection on all its instances.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;
use xxhash_rust::xxh3::Xxh3;

use super::description::Description;
use super::mend::Wrong;
use super::page::{Embeddings, Found, Page, order, presence};
use super::report::{CollectionReport, Difference, NotCompared, Report};
use super::still::{Answers, Need, Question, Reader, Stop};
use crate::catalog::Collection;
use crate::chroma::ids::InstanceId;
use crate::chroma::requests::parse_get_ids;
use crate::delivery::handle::Replication;
use crate::repair::jobs::Progress;

/// Records of a chunk: of the first, and at most.
const FIRST_CHUNK: usize = 200;
const MAX_CHUNK: usize = 1_000;
/// Chunks are made about as large as this, so that reading one takes a moment.
const CHUNK_BYTES: usize = 8 << 20;

/// Why a collection is not looked at further.
enum End {
    /// It was dropped: nothing is wrong.
    Gone,
    /// Fewer than two instances are left.
    Alone,
}

/// What the instances say to one question, and in what the others differ from the first.
struct Judged<T> {
    answers: Answers,
    read: Vec<T>,
    found: Vec<(InstanceId, Found)>,
}

/// Compares a collection, and puts what it found, and what it mended where that is wanted, into the report.
pub(super) async fn compare(
    replication: &Replication,
    collection: &Collection,
    instances: Vec<InstanceId>,
    report: &mut Report,
    progress: &Progress,
) {
    let mut told = CollectionReport::from(collection);
    let absent = replication.instances().iter().filter(|instance| !instances.contains(&instance.id));
    let why = "it is not up, or has no copy yet";
    told.not_compared =
        absent.map(|instance| NotCompared { instance: instance.name.clone(), why: why.to_owned() }).collect();
    let reader = Reader { replication, collection, instances };
    let reference = reader.instances.first().copied().unwrap_or(InstanceId(0));
    let mut comparison = Comparison {
        reader,
        told,
        report,
        told_by_lists: BTreeMap::new(),
        wrong: BTreeMap::new(),
        reference,
        embeddings: Embeddings::BitByBit,
    };
    let ended = comparison.run(progress).await;
    if comparison.report.repair && comparison.told.differences > 0 {
        comparison.repair(progress).await;
    }
    let Comparison { reader, mut told, .. } = comparison;
    match ended {
        Err(End::Gone) => return,
        Err(End::Alone) => {}
        Ok(()) => told.compared = reader.instances.iter().map(|id| name(replication, *id)).collect(),
    }
    report.add(told);
}

pub(super) struct Comparison<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) told: CollectionReport,
    pub(super) report: &'a mut Report,
    /// What the lists of ids told already.
    told_by_lists: BTreeMap<InstanceId, ToldByList>,
    /// What differs from the first instance.
    pub(super) wrong: BTreeMap<InstanceId, Wrong>,
    /// The first instance at the begin; nothing is taken from another.
    pub(super) reference: InstanceId,
    pub(super) embeddings: Embeddings,
}

/// What the list of an instance's ids told, and need not be told again.
#[derive(Default)]
struct ToldByList {
    /// Records that one of the two lacks.
    records: HashSet<String>,
    order: bool,
}

impl ToldByList {
    fn add(&mut self, found: &Found) {
        self.order |= found.field == "order";
        if found.field == "record" {
            self.records.extend(found.record.clone());
        }
    }

    fn knows(&self, found: &Found) -> bool {
        match found.field.as_str() {
            "order" => self.order,
            "record" => found.record.as_ref().is_some_and(|record| self.records.contains(record)),
            _ => false,
        }
    }
}

impl Comparison<'_> {
    async fn run(&mut self, progress: &Progress) -> Result<(), End> {
        let Judged { read, found, .. } =
            self.judge(&Question::Description, Description::read, Description::differences).await?;
        self.embeddings = read.first().map_or(Embeddings::BitByBit, Description::embeddings);
        for (instance, found) in found {
            self.note(instance, found);
        }

        let read_ids =
            |answer: &[u8]| parse_get_ids(answer).ok_or_else(|| "its ids can't be read".to_owned());
        let mut listed = self.judge(&Question::Ids, read_ids, differing_ids).await?;
        self.told.positions = [listed.answers.position; 2];
        for (instance, found) in listed.found {
            self.told_by_lists.entry(instance).or_default().add(&found);
            self.note(instance, found);
        }
        let ids = if listed.read.is_empty() { Vec::new() } else { listed.read.swap_remove(0) };
        self.records(ids, progress).await
    }

    /// Goes through the records of the list, chunk by chunk.
    async fn records(&mut self, ids: Vec<String>, progress: &Progress) -> Result<(), End> {
        let embeddings = self.embeddings;
        let mut digest = Xxh3::new();
        let mut chunk = FIRST_CHUNK;
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            let (ids, after) = rest.split_at(chunk.min(rest.len()));
            let question = Question::Records(ids.to_vec());
            let differ = move |a: &Page, b: &Page| a.differences(b, embeddings);
            let Some(judged) = self.judge_once(&question, Page::read, differ).await? else {
                chunk = (chunk / 4).max(1);
                continue;
            };
            self.told.positions[1] = judged.answers.position;
            if let (Some(page), Some((_, answer))) = (judged.read.first(), judged.answers.of.first()) {
                page.feed(&mut digest);
                self.told.records += page.len() as u64;
                chunk = (CHUNK_BYTES / (answer.len() / ids.len()).max(1)).clamp(1, MAX_CHUNK);
            }
            for (instance, found) in judged.found {
                if !self.told_by_lists.get(&instance).is_some_and(|told| told.knows(&found)) {
                    self.note(instance, found);
                }
            }
            progress.advance(ids.len() as u64);
            rest = after;
        }
        self.told.digest = format!("{:032x}", digest.digest128());
        Ok(())
    }

    async fn judge<T: Send + Sync + 'static>(
        &mut self,
        question: &Question,
        read: impl Fn(&[u8]) -> Result<T, String> + Copy + Send + Sync + 'static,
        differ: impl Fn(&T, &T) -> Vec<Found> + Send + Sync + 'static,
    ) -> Result<Judged<T>, End> {
        self.judge_once(question, read, differ).await?.ok_or(End::Alone)
    }

    /// Asks all instances, and again at a held position where their answers differ: only what is seen there counts.
    /// `None` where the answer is too large.
    async fn judge_once<T: Send + Sync + 'static>(
        &mut self,
        question: &Question,
        read: impl Fn(&[u8]) -> Result<T, String> + Copy + Send + Sync + 'static,
        differ: impl Fn(&T, &T) -> Vec<Found> + Send + Sync + 'static,
    ) -> Result<Option<Judged<T>>, End> {
        let differ = Arc::new(differ);
        let mut need = Need::Either;
        loop {
            let Some(answers) = self.ask(question, need).await? else { return Ok(None) };
            let judged = judged(answers, read, Arc::clone(&differ)).await;
            let judged = match judged {
                Ok(judged) => judged,
                Err((instance, why)) => {
                    self.leave_out(instance, &why)?;
                    continue;
                }
            };
            self.told.holds += u64::from(judged.answers.was_held);
            if judged.found.is_empty() || judged.answers.was_held {
                return Ok(Some(judged));
            }
            need = Need::Held;
        }
    }

    /// Asks those that can be asked; `None` where the answer is too large.
    async fn ask(&mut self, question: &Question, need: Need) -> Result<Option<Answers>, End> {
        loop {
            if self.reader.instances.len() < 2 {
                return self.end_alone();
            }
            match self.reader.ask(question, need).await {
                Ok(answers) => return Ok(Some(answers)),
                Err(Stop::TooLarge) => return Ok(None),
                Err(Stop::Gone) => return Err(End::Gone),
                Err(Stop::Without { instance, why }) => self.leave_out(instance, &why)?,
                Err(Stop::Lacks { instance }) => {
                    self.note_lack(instance);
                    self.reader.instances.retain(|one| *one != instance);
                }
                Err(Stop::Broken { instance, why }) => {
                    self.note_broken(instance, why);
                    self.reader.instances.retain(|one| *one != instance);
                }
                Err(Stop::Never { why }) => {
                    for instance in std::mem::take(&mut self.reader.instances) {
                        self.told.not_compared.push(self.not_compared(instance, &why));
                    }
                    return Err(End::Alone);
                }
            }
        }
    }

    fn leave_out(&mut self, instance: InstanceId, why: &str) -> Result<(), End> {
        self.told.not_compared.push(self.not_compared(instance, why));
        self.reader.instances.retain(|one| *one != instance);
        if self.reader.instances.len() < 2 { self.end_alone().map(|_: Option<Answers>| ()) } else { Ok(()) }
    }

    /// The last one has nobody to be compared with.
    fn end_alone<T>(&mut self) -> Result<T, End> {
        if self.told.differences == 0 && self.told.not_compared.is_empty() {
            let why = "no other instance has a copy";
            let alone = self.reader.instances.iter().map(|instance| self.not_compared(*instance, why));
            self.told.not_compared = alone.collect();
        }
        Err(End::Alone)
    }

    fn not_compared(&self, instance: InstanceId, why: &str) -> NotCompared {
        NotCompared { instance: name(self.reader.replication, instance), why: why.to_owned() }
    }

    /// An instance does not know the collection, which lives there at that position.
    fn note_lack(&mut self, lacking: InstanceId) {
        let instances = self.reader.instances.iter().map(|instance| {
            let word = if *instance == lacking { "lacks it" } else { "has it" };
            (name(self.reader.replication, *instance), word.to_owned())
        });
        let instances = instances.collect();
        self.note_between(None, "collection".to_owned(), instances);
        self.wrong.entry(lacking).or_default().whole = true;
    }

    /// The copy of an instance can't be read: it is made again, whether or not mending was asked for.
    fn note_broken(&mut self, broken: InstanceId, why: String) {
        let replication = self.reader.replication;
        let instances = self.reader.instances.iter().map(|instance| {
            let word = if *instance == broken { why.clone() } else { "can be read".to_owned() };
            (name(replication, *instance), word)
        });
        let instances = instances.collect();
        self.note_between(None, "index".to_owned(), instances);
        let collection = self.reader.collection;
        if let Some(copy) = collection.real_ids.get(&broken) {
            replication.report_broken_copy(broken, collection.id, *copy, why);
        }
    }

    fn note(&mut self, other: InstanceId, found: Found) {
        let Some(reference) = self.reader.instances.first() else { return };
        let wrong = self.wrong.entry(other).or_default();
        match &found.record {
            Some(record) => _ = wrong.records.insert(record.clone()),
            None => wrong.whole = true,
        }
        let names = [*reference, other].map(|instance| name(self.reader.replication, instance));
        let instances = names.into_iter().zip(found.sides).collect();
        self.note_between(found.record, found.field, instances);
    }

    fn note_between(&mut self, record: Option<String>, field: String, instances: BTreeMap<String, String>) {
        self.told.differences += 1;
        self.report.note(Difference {
            tenant: self.told.tenant.clone(),
            database: self.told.database.clone(),
            collection: self.told.name.clone(),
            record,
            field,
            instances,
        });
    }
}

/// Reads what each instance answered, and holds all against the first, on the pool for computation.
///
/// # Errors
/// The instance whose answer can't be read, and why.
async fn judged<T: Send + Sync + 'static>(
    answers: Answers,
    read: impl Fn(&[u8]) -> Result<T, String> + Copy + Send + Sync + 'static,
    differ: Arc<impl Fn(&T, &T) -> Vec<Found> + Send + Sync + 'static>,
) -> Result<Judged<T>, (InstanceId, String)> {
    use rayon::prelude::*;
    let first = answers.of.first().map_or(InstanceId(0), |(instance, _)| *instance);
    let (sender, computed) = oneshot::channel();
    rayon::spawn(move || {
        let all = answers.of.par_iter().map(|(instance, bytes)| read(bytes).map_err(|why| (*instance, why)));
        let all: Result<Vec<T>, _> = all.collect();
        _ = sender.send(all.map(|all| {
            let found = all.par_iter().zip(&answers.of).skip(1).flat_map_iter(|(other, (instance, _))| {
                differ(&all[0], other).into_iter().map(|found| (*instance, found))
            });
            Judged { found: found.collect(), read: all, answers }
        }));
    });
    computed.await.unwrap_or_else(|_| Err((first, "its answer could not be judged".to_owned())))
}

fn differing_ids(ours: &Vec<String>, theirs: &Vec<String>) -> Vec<Found> {
    if ours == theirs {
        return Vec::new();
    }
    let [left, right] = [ours, theirs].map(|ids| ids.iter().map(String::as_str).collect::<HashSet<_>>());
    let missing = ours.iter().filter(|id| !right.contains(id.as_str()));
    let extra = theirs.iter().filter(|id| !left.contains(id.as_str()));
    let missing = missing.map(|id| presence(id, [true, false]));
    let mut found: Vec<Found> = missing.chain(extra.map(|id| presence(id, [false, true]))).collect();
    let common = |ids: &'_ [String], others: &HashSet<&str>| -> Vec<String> {
        ids.iter().filter(|id| others.contains(id.as_str())).cloned().collect()
    };
    let (left, right) = (common(ours, &right), common(theirs, &left));
    found.extend(order(left.iter().map(String::as_str), right.iter().map(String::as_str)));
    found
}

/// An instance's name.
pub(super) fn name(replication: &Replication, instance: InstanceId) -> String {
    replication.instances().get(instance.index()).map_or_else(String::new, |instance| instance.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ids_differ_by_what_one_lacks_and_by_the_first_place_out_of_order() {
        let list = |ids: &str| ids.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let fields = |a: &str, b: &str| {
            let found = differing_ids(&list(a), &list(b));
            let found = found
                .into_iter()
                .map(|found| format!("{} {}", found.record.unwrap_or_default(), found.field));
            found.collect::<Vec<_>>()
        };
        assert_eq!(fields("a b c", "a b c"), [""; 0]);
        assert_eq!(fields("a b c", "a c d"), ["b record", "d record"]);
        assert_eq!(fields("a b c", "c a b"), ["a order"]);
        assert_eq!(fields("a a", "a"), ["a order"], "an id that comes twice");
    }
}
