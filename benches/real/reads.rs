//! Reads: what passing through costs, and what two instances give.

use std::time::Duration;

use crate::corpus::{self, DIFFERENT, Read};
use crate::peak;
use crate::proxy::{Kind, Proxy};
use crate::rate::{Requests, per_second};
use crate::setting;
use crate::subject::is_installed;
use crate::support::chroma::Chroma;
use crate::support::isochrome::{Isochrome, Setup};
use crate::table::{median, print};
use crate::upstream::Upstream;

const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// Bounds the memory for kept answers.
const CACHE: &str = "ISOCHROME_READ_CACHE_MAX_BYTES";
/// Connections of the tables of kept answers.
const FEW: usize = 8;
/// More queries than a table asks, so that none is asked twice.
const MANY: usize = 20_000;

/// One column of a table.
struct Column {
    name: &'static str,
    port: u16,
    requests: Requests,
}

/// Measures every column in turn, round after round, so that what slows the machine down slows all of them.
async fn rounds(columns: &[Column], connections: usize) -> Vec<Vec<f64>> {
    let rounds: usize = setting("ISOCHROME_BENCH_READ_ROUNDS", 5);
    let time = Duration::from_millis(setting("ISOCHROME_BENCH_READ_ROUND_MS", 700));
    let mut rates = vec![Vec::new(); columns.len()];
    for round in 0..rounds {
        for turn in 0..columns.len() {
            // Who comes first changes, for nobody shall always come after the same one.
            let column = (turn + round) % columns.len();
            let Column { port, requests, .. } = &columns[column];
            rates[column].push(per_second(*port, requests, connections, time).await);
        }
    }
    rates
}

/// The cells of a row: the first column's rate, the others' ratios to it, round by round.
fn cells(rates: &[Vec<f64>]) -> Vec<String> {
    let base = &rates[0];
    let mut cells = vec![format!("{:.0}", median(base.clone()))];
    for column in &rates[1..] {
        let ratios = column.iter().zip(base).map(|(rate, base)| rate / base).collect();
        cells.push(format!("{:.2}", median(ratios)));
    }
    cells
}

async fn row(label: &str, columns: &[Column], connections: usize, front: &[&Isochrome]) -> Vec<String> {
    for isochrome in front {
        peak::forget(isochrome.id());
    }
    let rates = rounds(columns, connections).await;
    let peak = front.iter().map(|isochrome| peak::mib(isochrome.id())).max().unwrap_or(0);
    let mut row = vec![label.to_owned(), connections.to_string()];
    row.extend(cells(&rates));
    row.push(format!("{peak} MiB"));
    row
}

fn table(title: &str, columns: &[Column], rows: &[Vec<String>]) {
    let base = columns[0].name;
    let mut head = vec!["read".to_owned(), "connections".to_owned(), format!("{base}, requests/s")];
    head.extend(columns[1..].iter().map(|column| format!("{}, of {base}", column.name)));
    head.push("peak memory of Isochrome".to_owned());
    print(title, &head.iter().map(String::as_str).collect::<Vec<_>>(), rows);
}

/// Those that are installed.
fn proxies(upstream: u16, kinds: &[Kind]) -> Vec<Proxy> {
    let found = kinds.iter().filter(|kind| is_installed(**kind));
    found.filter_map(|kind| kind.before(upstream)).collect()
}

/// The columns of the proxies. Without any there is nothing to compare with, and the way without one takes their place.
async fn compared(proxies: &[Proxy], upstream: u16, kind: Read) -> Vec<Column> {
    let requests = corpus::reads(&format!("http://127.0.0.1:{upstream}"), kind, DIFFERENT).await;
    if proxies.is_empty() {
        return vec![Column { name: "no proxy", port: upstream, requests }];
    }
    let column =
        |proxy: &Proxy| Column { name: proxy.kind.name(), port: proxy.port(), requests: requests.clone() };
    proxies.iter().map(column).collect()
}

async fn isochrome_column(name: &'static str, isochrome: &Isochrome, kind: Read) -> Column {
    let requests = corpus::reads(&isochrome.url(), kind, DIFFERENT).await;
    Column { name, port: isochrome.port(), requests }
}

/// Every read goes to an instance.
fn plain(setup: Setup) -> Setup {
    setup.variable(CACHE, "0")
}

/// Queries that cost their server nothing.
pub async fn pass_through() {
    let upstream = Upstream::start();
    let isochrome = plain(Setup::urls(&[upstream.url()])).start();
    corpus::fill(&isochrome.url()).await;
    let proxies = proxies(upstream.port, &[Kind::HaProxy, Kind::Nginx]);
    let mut columns = compared(&proxies, upstream.port, Read::Query).await;
    columns.push(isochrome_column("Isochrome", &isochrome, Read::Query).await);
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        rows.push(row("4 KiB answer", &columns, connections, &[&isochrome]).await);
    }
    table("Passing through to a trivially fast upstream, nothing kept", &columns, &rows);
    println!("wanted: Isochrome 1.0 of HAProxy at 1 connection, 0.9 at 8 and 32");
}

/// Reads of real servers. The proxy stands before the server that Isochrome over one has.
pub async fn real_servers() {
    let servers = Chroma::start_many(3);
    let (one, two) = (plain(Setup::over(&servers[..1])).start(), plain(Setup::over(&servers[1..])).start());
    corpus::fill(&one.url()).await;
    corpus::fill(&two.url()).await;
    let proxies = proxies(servers[0].port(), &[Kind::HaProxy]);
    let mut rows = Vec::new();
    let mut columns = Vec::new();
    for kind in Read::ALL {
        columns = compared(&proxies, servers[0].port(), kind).await;
        let requests = columns[0].requests.clone();
        columns.push(Column { name: "Chroma directly", port: servers[0].port(), requests });
        columns.push(isochrome_column("Isochrome over one", &one, kind).await);
        columns.push(isochrome_column("Isochrome over two", &two, kind).await);
        for connections in CONNECTIONS {
            rows.push(row(kind.name(), &columns, connections, &[&one, &two]).await);
        }
    }
    table("Reads of real servers, nothing kept", &columns, &rows);
    println!("wanted: Isochrome over one 1.0 of HAProxy, over two 1.5 where the cores allow it");
}

/// Queries that repeat, and queries of which each is asked once.
pub async fn kept_answers() {
    let servers = Chroma::start_many(1);
    let mut isochrome = Setup::over(&servers).start();
    corpus::fill(&isochrome.url()).await;
    let direct = Column {
        name: "Chroma directly",
        port: servers[0].port(),
        requests: corpus::reads(&servers[0].url(), Read::Query, DIFFERENT).await,
    };
    let columns = [direct, isochrome_column("Isochrome", &isochrome, Read::Query).await];
    let rows = [row("the same 256 queries", &columns, FEW, &[&isochrome]).await];
    table("Queries that repeat, answers kept", &columns, &rows);
    println!("wanted: 10 times Chroma");
    unrepeated(&mut isochrome).await;
}

/// One process in turn with and without kept answers, in front of the same server.
async fn unrepeated(isochrome: &mut Isochrome) {
    let rounds: usize = setting("ISOCHROME_BENCH_READ_ROUNDS", 5);
    let time = Duration::from_millis(2 * setting::<u64>("ISOCHROME_BENCH_READ_ROUND_MS", 700));
    let requests = corpus::reads(&isochrome.url(), Read::Query, MANY).await;
    let mut rates = [Vec::new(), Vec::new()];
    let mut peak = 0;
    for turn in 0..2 * rounds {
        // Off, on, on, off: a drift of the machine meets both alike.
        let on = (turn + turn / 2) % 2;
        isochrome.setup.environment.retain(|(name, _)| name != CACHE);
        if on == 0 {
            isochrome.setup.environment.push((CACHE.to_owned(), "0".to_owned()));
        }
        let _ = isochrome.terminate(Duration::from_secs(30));
        isochrome.restart();
        rates[on].push(per_second(isochrome.port(), &requests, FEW, time).await);
        peak = peak.max(peak::mib(isochrome.id()));
    }
    let [off, on] = rates;
    let ratio = median(on) / median(off.clone());
    let cells = [
        "each query once".to_owned(),
        FEW.to_string(),
        format!("{:.0}", median(off)),
        format!("{ratio:.3}"),
        format!("{peak} MiB"),
    ];
    let head = [
        "read",
        "connections",
        "nothing kept, requests/s",
        "answers kept, of it",
        "peak memory of Isochrome",
    ];
    print("Queries that do not repeat", &head, &[cells.to_vec()]);
    println!("wanted: 0.98");
}
