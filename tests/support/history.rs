//! What clients did to records and saw of them, and whether that is linearizable, record by record.
//! The checker (Wing and Gong, Lowe) is a library's; here is what it must know of a record.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};
use todc_utils::specifications::Specification;

/// A request about one record. Its value is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An upsert.
    Put(u64),
    /// Changes nothing where the record is.
    Add(u64),
    /// Changes nothing where the record is not.
    Update(u64),
    Delete,
    /// What it showed; before it is answered, nothing.
    Read(Option<u64>),
}

impl Step {
    /// The record's value afterwards.
    pub fn after(self, value: Option<u64>) -> Option<u64> {
        match self {
            Self::Put(new) => Some(new),
            Self::Add(new) => value.or(Some(new)),
            Self::Update(new) => value.map(|_| new),
            Self::Delete => None,
            Self::Read(_) => value,
        }
    }
}

struct Record;

impl Specification for Record {
    type State = Option<u64>;
    type Operation = Step;

    fn init() -> Self::State {
        None
    }

    fn apply(step: &Step, value: &Self::State) -> (bool, Self::State) {
        (!matches!(step, Step::Read(shown) if shown != value), step.after(*value))
    }
}

/// Requests in the order in which they began and ended. Records are not there at first.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Events>>);

#[derive(Default)]
struct Events {
    calls: usize,
    noted: Vec<Event>,
}

#[derive(Clone)]
struct Event {
    record: String,
    call: usize,
    action: Action<Step>,
}

/// A request under way.
#[derive(Debug)]
pub struct Call {
    record: String,
    number: usize,
}

impl History {
    /// A request is about to be sent.
    pub fn begin(&self, record: &str, step: Step) -> Call {
        let mut events = self.0.lock().expect("events");
        let call = Call { record: record.to_owned(), number: events.calls };
        events.calls += 1;
        events.note(&call, Action::Call(step));
        call
    }

    /// It was answered with success; `step` says what a read showed.
    pub fn end(&self, call: &Call, step: Step) {
        self.0.lock().expect("events").note(call, Action::Response(step));
    }

    /// It had no effect, or is a read that showed nothing.
    ///
    /// A write of which nobody knows whether it had an effect is neither ended nor withdrawn: it may take effect at any
    /// time from its begin on, or so late that nobody sees it. The checker's work doubles with each of a record.
    pub fn withdraw(&self, call: &Call) {
        self.0.lock().expect("events").noted.retain(|event| event.call != call.number);
    }

    /// A write from its begin to its end.
    pub fn write(&self, record: &str, step: Step) {
        self.end(&self.begin(record, step), step);
    }

    /// A read from its begin to its end.
    pub fn read(&self, record: &str, shown: Option<u64>) {
        self.end(&self.begin(record, Step::Read(None)), Step::Read(shown));
    }

    /// Tells of a record whose history no order of its requests explains.
    pub fn violation(&self) -> Option<String> {
        let mut records: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        let events = self.0.lock().expect("events").noted.clone();
        for event in &events {
            records.entry(&event.record).or_default().push(event);
        }
        let wrong = records.into_iter().find(|(_, events)| !is_linearizable(events));
        wrong.map(|(record, events)| describe(record, &events))
    }
}

impl Events {
    fn note(&mut self, call: &Call, action: Action<Step>) {
        self.noted.push(Event { record: call.record.clone(), call: call.number, action });
    }
}

fn is_linearizable(events: &[&Event]) -> bool {
    let mut open: BTreeMap<usize, Step> = BTreeMap::new();
    let mut actions: Vec<(usize, Action<Step>)> = Vec::new();
    for event in events {
        match &event.action {
            Action::Call(step) => open.insert(event.call, *step),
            Action::Response(_) => open.remove(&event.call),
        };
        actions.push((event.call, event.action.clone()));
    }
    // What has no answer ends after everything else.
    actions.extend(open.into_iter().map(|(call, step)| (call, Action::Response(step))));
    WGLChecker::<Record>::is_linearizable(Actions::from_actions(numbered(actions)))
}

/// The checker takes one row for each process, and every request is its own.
fn numbered(actions: Vec<(usize, Action<Step>)>) -> Vec<(usize, Action<Step>)> {
    let mut rows = BTreeMap::new();
    let row = |call| {
        let next = rows.len();
        *rows.entry(call).or_insert(next)
    };
    let calls: Vec<usize> = actions.iter().map(|(call, _)| *call).map(row).collect();
    calls.into_iter().zip(actions).map(|(row, (_, action))| (row, action)).collect()
}

fn describe(record: &str, events: &[&Event]) -> String {
    let mut text = format!("{record} is not linearizable:");
    for event in events {
        let word = if matches!(event.action, Action::Call(_)) { "begins" } else { "ends" };
        let (Action::Call(step) | Action::Response(step)) = &event.action;
        // A string takes everything.
        let _ = write!(text, "\n  {} {word} {step:?}", event.call);
    }
    text
}
