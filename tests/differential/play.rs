//! Playing a story on both sides.

use crate::allowed::{self, Exchange};
use crate::body::{Kind, difference};
use crate::identities::Identities;
use crate::openapi::Operations;
use crate::pair::Pair;
use crate::request::{Names, Step};
use crate::support::http::Answer;

/// How often a refusal that is spelled differently is asked for again: Chroma words some in random order.
const SPELLINGS: u32 = 12;

/// What came of a story.
#[derive(Debug, Default)]
pub struct Played {
    /// The differences that are not listed: the request's place in the story, and what differs.
    pub differences: Vec<(usize, String)>,
    /// The headings of the listed differences that were met.
    pub met: Vec<&'static str>,
    /// What we answered last.
    pub last_status: u16,
}

/// Plays `steps` and notes the answers in `operations`. What follows a difference may differ because of it.
/// `label` names what the story leaves behind.
pub async fn play(pair: &Pair, label: &str, steps: &[Step], operations: &mut Operations) -> Played {
    let run = pair.new_run(label);
    let mut sides = [Names::new(&run), Names::new(&run)];
    let mut ids = Identities::default();
    let mut played = Played::default();
    for (place, step) in steps.iter().enumerate() {
        let [ours, theirs] = both(pair, step, &sides).await;
        played.last_status = ours.status;
        operations.answered(&step.method, &step.path, theirs.status);
        if let Some(name) = &step.bind {
            for (names, answer) in sides.iter_mut().zip([&ours, &theirs]) {
                if let Some(id) =
                    answer.is_success().then(|| answer.json()["id"].as_str().map(str::to_owned)).flatten()
                {
                    names.ids.insert(name.clone(), id);
                }
            }
        }
        let Some(what) = difference(kind(step), &ours, &theirs, &mut ids) else { continue };
        let exchange = Exchange { step, ours: &ours, theirs: &theirs };
        if let Some(heading) = allowed::heading_of(&exchange) {
            played.met.push(heading);
        } else if !spelled_at_random(pair, step, &sides, (&ours, &theirs), &mut ids).await {
            let what = format!("{what}\n  ours    {}\n  Chroma  {}", shown(&ours), shown(&theirs));
            played.differences.push((place, what));
        }
    }
    played
}

/// Sends a request to both sides; a connection that ends without an answer counts as an answer of status 0.
async fn both(pair: &Pair, step: &Step, sides: &[Names; 2]) -> [Answer; 2] {
    let [our_base, their_base] = pair.bases();
    let ours = pair.http.send(step.to_request(&our_base, &sides[0]));
    let theirs = pair.http.send(step.to_request(&their_base, &sides[1]));
    let (ours, mut theirs) = tokio::join!(ours, theirs);
    // With several at it, a server may give up on its own lock. Nothing is done then.
    while theirs
        .as_ref()
        .is_ok_and(|answer| answer.status == 500 && answer.text().contains("database is locked"))
    {
        theirs = pair.http.send(step.to_request(&their_base, &sides[1])).await;
    }
    [ours, theirs].map(|answer| {
        answer.unwrap_or_else(|error| Answer {
            status: 0,
            headers: http::HeaderMap::new(),
            body: error.into(),
        })
    })
}

fn kind(step: &Step) -> Kind {
    let (path, query) = step.path.split_once('?').unwrap_or((&step.path, ""));
    if step.method == "HEAD" {
        Kind::Head
    } else if step.method != "GET" || !path.ends_with("/collections") {
        Kind::Other
    } else if !query.is_empty() {
        Kind::PageOfCollections
    } else {
        Kind::Collections
    }
}

/// True where both sides refuse, and Chroma comes to spell it like us, or we like it, when asked again.
async fn spelled_at_random(
    pair: &Pair,
    step: &Step,
    sides: &[Names; 2],
    (ours, theirs): (&Answer, &Answer),
    ids: &mut Identities,
) -> bool {
    if ours.status != theirs.status || !(400..500).contains(&ours.status) {
        return false;
    }
    for _ in 0..SPELLINGS {
        let [ours_again, theirs_again] = both(pair, step, sides).await;
        let same = |ours: &Answer, theirs: &Answer, ids: &mut Identities| {
            difference(Kind::Other, ours, theirs, ids).is_none()
        };
        if same(ours, &theirs_again, ids) || same(&ours_again, theirs, ids) {
            return true;
        }
    }
    false
}

fn shown(answer: &Answer) -> String {
    let headers: Vec<String> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    format!("{answer}\n          {}", headers.join(", "))
}

/// A story as lines from which it can be played again.
pub fn lines(steps: &[Step]) -> String {
    steps.iter().map(Step::line).collect::<Vec<_>>().join("\n")
}
