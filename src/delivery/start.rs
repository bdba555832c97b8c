//! Puts log, core, couriers and watches together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::book::Book;
use super::copies::Rebuilt;
use super::courier::Courier;
use super::handle::{Message, Replication, Shared};
use super::hold::Holds;
use super::measure::Runs;
use super::owner::Owner;
use super::rebuild::Rebuilds;
use crate::catalog::Catalog;
use crate::chroma::ids::InstanceId;
use crate::instances::claims::ClaimsError;
use crate::instances::client::Instance;
use crate::instances::fence::Fence;
use crate::instances::health::{Report, Watch};
use crate::instances::proof::{Identity, Unfit, prove};
use crate::replication::core::{Core, Settings};
use crate::replication::event::Event;
use crate::replication::recover::Recovery;
use crate::wal::record::brief::Work;
use crate::wal::record::{Lane, Lsn, Op, Record};
use crate::wal::{Committed, OpenError, Recovered, Setup, Wal};

/// Why replication can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Epochs(#[from] ClaimsError),
    #[error("{0}")]
    Instances(String),
}

/// An opened log with the channel that its news come through; nothing runs yet.
pub struct Opened {
    wal: Arc<Wal>,
    recovered: Recovered,
    sender: mpsc::UnboundedSender<Message>,
    messages: mpsc::UnboundedReceiver<Message>,
    fence: Arc<Fence>,
}

/// The instances with what the store knows of them, looked at and found fit or merely absent.
pub struct Ready {
    opened: Opened,
    instances: Vec<Arc<Instance>>,
    identities: Vec<Identity>,
    early: Vec<(InstanceId, Report)>,
}

/// Running replication.
pub struct Running {
    pub replication: Replication,
    watches: JoinSet<()>,
    owner: tokio::task::JoinHandle<()>,
    wal: Arc<Wal>,
}

impl Opened {
    /// Opens the log, which takes the lock of the data directory. Blocks.
    ///
    /// # Errors
    /// [`StartError`] where the directory is held, damaged or newer.
    pub fn open(setup: &Setup<'_>) -> Result<Self, StartError> {
        let (sender, messages) = mpsc::unbounded_channel();
        let news = sender.clone();
        let on_commit = Box::new(move |committed: Committed| _ = news.send(Message::Committed(committed)));
        let (wal, recovered) = Wal::open(setup, on_commit)?;
        let wal = Arc::new(wal);
        let durable = {
            let wal = Arc::clone(&wal);
            Box::new(move || wal.durable_lsn().0)
        };
        let fence = Arc::new(Fence::open(setup.dir, recovered.cluster.clone(), durable)?);
        Ok(Self { wal, recovered, sender, messages, fence })
    }

    /// Reaches every instance once. One that is the wrong server is an error; one that can't be reached is waited
    /// for later.
    ///
    /// # Errors
    /// [`StartError::Instances`] with every reason.
    pub async fn reach(self, instances: Vec<Arc<Instance>>) -> Result<Ready, StartError> {
        let names: Vec<&str> = instances.iter().map(|instance| instance.name.as_str()).collect();
        fits(&self.recovered, &names).map_err(StartError::Instances)?;
        self.fence.begin(&instances).await?;
        let mut identities = Vec::new();
        let mut early = Vec::new();
        let mut wrong = Vec::new();
        for instance in &instances {
            let is_lost = self.recovered.lost.iter().any(|(lost, _)| *lost == instance.id);
            let known = self.recovered.instances.iter().find(|known| known.id == instance.id);
            let mut identity = Identity {
                cluster: self.recovered.cluster.clone(),
                joined: known.is_some_and(|known| known.joined),
                counter: known.map_or(0, |known| known.marker_counter),
                fence: Arc::clone(&self.fence),
            };
            let reports = Mutex::new(Vec::new());
            let report =
                |report| reports.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(report);
            let proven = if is_lost {
                Ok(Err(Unfit::waits_to_be_restored()))
            } else {
                tokio::time::timeout(FIRST_PROOF, prove(instance, &mut identity, &report)).await
            };
            match proven {
                // Known to be up before the first write comes, so that the preferred instance leads from the start.
                Ok(Ok(())) => {
                    instance.set_available(true);
                    report(Report::Up { proof: 0 });
                }
                Ok(Err(Unfit { detail, wrong_server: true, .. })) => {
                    wrong.push(format!("instance {} ({}): {detail}", instance.name, instance.authority));
                }
                Ok(Err(unfit)) => {
                    let (name, detail) = (&instance.name, unfit.detail);
                    tracing::warn!(instance = name, detail, "instance is not usable yet");
                }
                Err(_) => tracing::warn!(instance = instance.name, "instance does not answer yet"),
            }
            let reports = reports.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            early.extend(reports.into_iter().map(|report| (instance.id, report)));
            identities.push(identity);
        }
        if !wrong.is_empty() {
            return Err(StartError::Instances(wrong.join("\n")));
        }
        Ok(Ready { opened: self, instances, identities, early })
    }
}

/// How long the first look at an instance may take.
const FIRST_PROOF: Duration = Duration::from_secs(10);

/// Whether the log can bring each of these instances to the same state.
fn fits(recovered: &Recovered, names: &[&str]) -> Result<(), String> {
    for (place, name) in names.iter().enumerate() {
        let known = recovered.instances.iter().find(|known| known.name == *name);
        if known.is_none_or(|known| known.id.index() != place) {
            let known: Vec<&str> = recovered.instances.iter().map(|known| known.name.as_str()).collect();
            return Err(format!(
                "this data directory keeps the instances {} the same, in this order; give the same names in the same order, \
                 new ones last, or take one out with `isochrome remove`",
                known.join(", ")
            ));
        }
    }
    let missing =
        recovered.instances.iter().find(|known| known.joined && !names.contains(&known.name.as_str()));
    if let Some(missing) = missing {
        return Err(format!(
            "the instance {} of this data directory is missing from the configuration; name it again, or take it out with \
             `isochrome remove`",
            missing.name
        ));
    }
    let catalog = catalog(recovered);
    let created: HashSet<_> = recovered
        .entries
        .iter()
        .flatten()
        .filter(|entry| matches!(&entry.work, Work::Other(op) if matches!(**op, Op::CreateCollection { .. })))
        .map(|entry| &*entry.lane)
        .collect();
    for (place, name) in names.iter().enumerate() {
        let id = InstanceId(u8::try_from(place).unwrap_or(u8::MAX));
        let lacking = catalog.all_living().into_iter().find(|collection| {
            let lane = Lane::Collection(collection.id);
            let is_copied = recovered.divergent.iter().any(|(key, target, _)| *key == lane && *target == id);
            !collection.real_ids.contains_key(&id) && !created.contains(&lane) && !is_copied
        });
        if let Some(lacking) = lacking {
            return Err(format!(
                "the instance {name} never got the collection {} and the log no longer holds its writes; take it out with \
                 `isochrome remove`, empty its server, and name it last",
                lacking.name
            ));
        }
    }
    Ok(())
}

fn catalog(recovered: &Recovered) -> Catalog {
    let mut catalog = Catalog::default();
    recovered.changes.iter().for_each(|change| catalog.apply(change));
    catalog
}

impl Ready {
    /// Starts the owner of the core, and a watch for each instance.
    #[must_use]
    pub fn run(self, mut settings: Settings, heartbeat_pause: Duration, rebuilds: Rebuilds) -> Running {
        let Opened { wal, recovered, sender, messages, fence } = self.opened;
        settings.cluster = xxhash_rust::xxh3::xxh3_128(recovered.cluster.as_bytes());
        let catalog = catalog(&recovered);
        let book = Arc::new(Book::new(catalog.clone()));
        let mut watches = JoinSet::new();
        let mut watched = Vec::new();
        for (instance, identity) in self.instances.iter().zip(self.identities) {
            let (id, sender) = (instance.id, sender.clone());
            let report = Box::new(move |report| report_to(&sender, id, report));
            let book = Arc::clone(&book);
            let catalog = Box::new(move |since| book.kept(id, since));
            let watch = Watch::new(Arc::clone(instance), identity, report, catalog, heartbeat_pause);
            watched.push(Arc::clone(&watch.watched));
            watches.spawn(watch.run());
        }
        self.early.into_iter().for_each(|(id, report)| report_to(&sender, id, report));
        let (core, actions) = Core::recover(settings, 0, recovery(recovered, catalog));
        let shared = Arc::new(Shared {
            messages: sender,
            catalog: book,
            board: core.board(),
            instances: self.instances.clone(),
            next_ticket: AtomicU64::new(1),
            tickets: Mutex::default(),
            wal: Arc::clone(&wal),
            watched: watched.clone(),
            runs: Runs::default(),
            fence: Arc::clone(&fence),
            rebuilt: Rebuilt::default(),
        });
        let rebuilds = Arc::new(rebuilds);
        let courier = Courier { wal: Arc::clone(&wal), instances: self.instances.into(), rebuilds, fence };
        let mut owner = Owner {
            core,
            wal: Arc::clone(&wal),
            courier,
            shared: Arc::clone(&shared),
            watched,
            messages,
            started: Instant::now(),
            writers: HashMap::new(),
            readers: HashMap::new(),
            next_read: 1,
            cancels: HashMap::new(),
            holds: Holds::default(),
            deliveries: JoinSet::new(),
            records: Vec::new(),
            hurried: false,
        };
        for action in actions {
            owner.perform(action);
        }
        Running { replication: Replication { shared }, watches, owner: tokio::spawn(owner.run()), wal }
    }
}

impl Running {
    /// Stops: gives up what is under way at the instances (the log knows it as in doubt), flushes and closes the log.
    pub async fn stop(mut self) {
        self.watches.shutdown().await;
        let (done, stopped) = oneshot::channel();
        self.replication.send(Message::Stop(done));
        _ = stopped.await;
        _ = self.owner.await;
        let wal = self.wal;
        _ = tokio::task::spawn_blocking(move || wal.close()).await;
    }
}

fn report_to(sender: &mpsc::UnboundedSender<Message>, instance: InstanceId, report: Report) {
    let event = match report {
        Report::Up { proof } => Event::InstanceUp { instance, proof },
        Report::Down(reason) => Event::InstanceDown { instance, reason },
        Report::Joined => Event::Note { record: Record::Joined { instance } },
        Report::Prepared => Event::Prepared { instance },
        Report::Marked(counter) => Event::Note { record: Record::Marker { instance, counter } },
    };
    _ = sender.send(Message::event(event));
}

fn recovery(recovered: Recovered, catalog: Catalog) -> Recovery {
    let positions: BTreeMap<_, _> =
        recovered.positions.into_iter().map(|(lane, instance, lsn)| ((lane, instance), lsn)).collect();
    Recovery {
        catalog,
        last_logged: Lsn(recovered.next_lsn.0 - 1),
        entries: recovered.entries,
        decisions: recovered.decisions,
        resolved: recovered.resolved,
        positions,
        divergent: recovered.divergent,
        rebuilds: recovered.rebuilds,
        lost: recovered.lost.into_iter().map(|(instance, _)| instance).collect(),
        duties: recovered.duties,
        suspects: recovered.suspects.into_iter().map(|(lsn, instance, _)| (lsn, instance)).collect(),
    }
}
