//! `isochrome serve`: the story of the process, from the configuration to the last flush.

use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use uuid::Uuid;

use super::Exit;
use super::anew::{self, Beginning};
use super::log::SetLevel;
use super::reload::Reloading;
use crate::admin::{self, Operators};
use crate::chroma::ids::InstanceId;
use crate::config::{Acknowledge, Config, Flags};
use crate::delivery::rebuild::Rebuilds;
use crate::delivery::start::{Opened, Running};
use crate::gateway::workers::Workers;
use crate::gateway::{Front, Gateway, listener};
use crate::instances::client::Instance;
use crate::instances::managed::{self, ManagedServers};
use crate::instances::processes;
use crate::repair::Repair;
use crate::replication::core::Settings;
use crate::resources::Budget;
use crate::wal::{Setup, WalOptions};

/// How long requests under way may take once we are told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long managed servers may take to stop before they are killed.
const MANAGED_GRACE: Duration = Duration::from_secs(10);
/// Requests under way at one instance at most. Chroma applies writes through one queue; what this allows for is lanes
/// that overlap on the way, and reads are not counted.
const MAX_IN_FLIGHT: usize = 16;

/// Serves until a signal says stop.
///
/// `flags` are those that the configuration was read with, for reading it again; `set_level` changes what is logged.
pub async fn serve(config: &Config, flags: Flags, set_level: SetLevel, beginning: Beginning) -> Exit {
    match run(config, flags, set_level, beginning).await {
        Ok(()) => Exit::Well,
        Err(reason) => {
            tracing::error!("{reason}");
            Exit::Failed
        }
    }
}

async fn run(
    config: &Config,
    flags: Flags,
    set_level: SetLevel,
    mut beginning: Beginning,
) -> Result<(), String> {
    let reloading = Reloading::new(flags, set_level)?;
    if beginning.socket.is_none() {
        // Tried first, so that a taken port is said at once; it is bound for good when everything stands.
        drop(bind(config.listen).await?);
    }
    let opened = open_log(config).await?;
    let managed = start_managed(config)?;
    let stop = stop_signal()?;
    let served =
        serve_instances(config, opened, managed.as_ref(), (reloading, beginning.socket.take()), stop).await;
    if let Some(managed) = managed {
        tracing::info!("stopping the managed servers");
        managed.stop(MANAGED_GRACE).await;
    }
    match served? {
        None => Ok(()),
        Some(socket) => Err(format!("can't begin anew: {}", anew::begin(socket))),
    }
}

/// Serves until a signal says stop. Gives the socket for clients where the process is to begin anew with it.
async fn serve_instances(
    config: &Config,
    opened: Opened,
    managed: Option<&ManagedServers>,
    (reloading, handed_over): (Reloading, Option<net::TcpListener>),
    mut stop: watch::Receiver<bool>,
) -> Result<Option<net::TcpListener>, String> {
    if let Some(managed) = managed {
        tracing::info!("starting two Chroma servers");
        let failed = tokio::select! {
            failed = managed.first_starts() => failed,
            _ = stop.changed() => return Ok(None),
        };
        for (name, reason) in failed {
            tracing::error!(instance = name, reason, "a managed server did not start; it is tried again");
        }
    }
    let instances = instances(config, managed);
    let ready = opened.reach(instances.clone()).await.map_err(|error| error.to_string())?;
    let (socket, kept) = socket(config.listen, handed_over).await?;
    let chunk_size = usize::try_from(config.repair.chunk_size).unwrap_or(usize::MAX);
    let rebuilds = Rebuilds::open(&config.data_dir, chunk_size).map_err(|error| error.to_string())?;
    let running = ready.run(settings(config, instances.len()), config.health.interval, rebuilds);
    let app = Gateway::new(running.replication.clone(), config);
    let control = managed.map(ManagedServers::control);
    let repair =
        Repair::start(&config.data_dir, running.replication.clone(), control, config.verify.every).await;
    let state = Operators { app, repair: repair.map_err(|error| error.to_string())? };
    let mut reloading = tokio::spawn(reloading.run(config.clone(), state.clone()));
    let admin_listener = admin::socket::bind(&config.data_dir)?;
    welcome(config, &instances);
    let (end, ended) = watch::channel(false);
    let until = |mut stop: watch::Receiver<bool>| async move { _ = stop.wait_for(|stop| *stop).await };
    let admin = axum::serve(admin_listener, admin::router(state.clone()));
    let admin = tokio::spawn(admin.with_graceful_shutdown(until(ended.clone())).into_future());
    let origins = &config.http.cors_allow_origins;
    let front = Front::new(state.app.clone(), origins, admin::public_router(state.clone()));
    let workers = Workers::start(Budget::of(&config.resources).workers);
    let workers = Arc::new(workers.map_err(|error| format!("can't start the threads for clients: {error}"))?);
    let server = listener::serve(socket, front, config.http.clone(), Arc::clone(&workers), ended);
    let server = tokio::spawn(server);
    let anew = tokio::select! {
        () = until(stop.clone()) => false,
        grown = &mut reloading => grown.is_ok(),
    };
    end.send_replace(true);
    reloading.abort();
    state.repair.stop();
    shut_down(config, server, admin, running).await;
    // Writes whose senders went away ran there until now.
    drop(workers);
    // One who wants it to end meanwhile is not answered with a new beginning.
    Ok((anew && !*stop.borrow()).then_some(kept))
}

/// The socket for clients, and the same once more, which keeps its queue open.
async fn socket(
    listen: SocketAddr,
    handed_over: Option<net::TcpListener>,
) -> Result<(TcpListener, net::TcpListener), String> {
    let failed = |error: std::io::Error| format!("can't listen on {listen}: {error}");
    let socket = match handed_over {
        Some(socket) => socket,
        None => bind(listen).await?.into_std().map_err(failed)?,
    };
    let used = socket.try_clone().map_err(failed)?;
    used.set_nonblocking(true).map_err(failed)?;
    Ok((TcpListener::from_std(used).map_err(failed)?, socket))
}

type Server = tokio::task::JoinHandle<()>;
type Admin = tokio::task::JoinHandle<std::io::Result<()>>;

/// Stops in order: no new requests, those under way until the deadline, then the log.
async fn shut_down(config: &Config, server: Server, admin: Admin, running: Running) {
    tracing::info!("stopping: finishing what is under way");
    let abort = server.abort_handle();
    if tokio::time::timeout(DRAIN, server).await.is_err() {
        tracing::warn!("requests under way took longer than {} s and were cut off", DRAIN.as_secs());
        abort.abort();
    }
    admin.abort();
    // Before the lock is given back: then it might be another process's.
    _ = std::fs::remove_file(admin::socket::path(&config.data_dir));
    running.stop().await;
    tracing::info!("the log is flushed and closed");
}

async fn open_log(config: &Config) -> Result<Opened, String> {
    let names: Vec<String> = if config.instances.is_empty() {
        managed::NAMES.map(str::to_owned).to_vec()
    } else {
        config.instances.iter().map(|instance| instance.name.clone()).collect()
    };
    let budget = Budget::of(&config.resources);
    let options = WalOptions {
        segment_bytes: config.wal.segment_bytes,
        keep_s: config.wal.keep.as_secs(),
        max_bytes: config.wal.max_bytes,
        cache_bytes: budget.body_cache_bytes(),
        queue_bytes: budget.log_queue_bytes(),
        max_memory_bytes: budget.queue_bytes(),
        ..WalOptions::default()
    };
    let dir = config.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let new_cluster = Uuid::new_v4().to_string();
        Opened::open(&Setup { dir: &dir, options, instances: &names, new_cluster: &new_cluster })
    });
    opened.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn start_managed(config: &Config) -> Result<Option<ManagedServers>, String> {
    if !config.instances.is_empty() {
        return Ok(None);
    }
    ManagedServers::start(&config.managed, &config.data_dir).map(Some).map_err(|error| error.to_string())
}

fn instances(config: &Config, managed: Option<&ManagedServers>) -> Vec<Arc<Instance>> {
    let configured =
        config.instances.iter().map(|instance| (instance.name.clone(), instance.url.authority()));
    let own = managed.into_iter().flat_map(ManagedServers::servers);
    let own = own.map(|server| (server.name.to_owned(), server.url.authority()));
    let numbered = configured.chain(own).zip(0_u8..);
    numbered.map(|((name, authority), id)| Arc::new(Instance::new(InstanceId(id), name, authority))).collect()
}

/// What the core needs of the configuration.
pub(super) fn settings(config: &Config, instances: usize) -> Settings {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Settings {
        instances,
        acknowledge_all: config.write.acknowledge == Acknowledge::All,
        write_wait_ms: ms(config.write.wait),
        write_timeout_ms: ms(config.write.timeout),
        read_wait_ms: ms(config.read.wait),
        max_in_flight: MAX_IN_FLIGHT,
        run_records: 500,
        run_bytes: 16 << 20,
        run_ms: 250,
        min_stay_ms: 10_000,
        overdue_ms: 10_000,
        cluster: 0,
        rebuild: config.repair.rebuild,
        rebuild_lanes: usize::try_from(config.repair.workers).unwrap_or(usize::MAX),
        max_lag_ms: ms(config.write.max_lag),
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| {
        processes::explain_taken(listen)
            .filter(|_| error.kind() == std::io::ErrorKind::AddrInUse)
            .unwrap_or_else(|| {
                format!("can't listen on {listen}: {error}; choose another address with --listen")
            })
    })
}

/// Turns true on Ctrl-C and SIGTERM.
fn stop_signal() -> Result<watch::Receiver<bool>, String> {
    let failed = |error: std::io::Error| format!("can't listen for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        // Keeps the channel open for whoever waits later.
        stop.closed().await;
    });
    Ok(stopped)
}

#[expect(clippy::print_stdout, reason = "the answer to the person who started the command")]
fn welcome(config: &Config, instances: &[Arc<Instance>]) {
    println!("\nIsochrome listens on http://{}", config.listen);
    for instance in instances {
        println!("  instance {:<10} http://{}", instance.name, instance.authority);
    }
    println!("  data in  {}", config.data_dir.display());
    let python =
        config.managed.command.as_ref().and_then(|command| command.parent()).map(|bin| bin.join("python"));
    let python =
        python.filter(|python| python.exists()).map_or("python3".to_owned(), |p| p.display().to_string());
    println!(
        "\nTry it:\n  {python} - <<'END'\n  import chromadb\n  client = chromadb.HttpClient(host=\"{}\", port={})\n  \
         c = client.get_or_create_collection(\"hello\", embedding_function=None)\n  \
         c.upsert(ids=[\"1\"], embeddings=[[1.0, 2.0]], documents=[\"a first record\"])\n  \
         print(c.query(query_embeddings=[[1.0, 2.0]], n_results=1))\n  END\n\nStop with Ctrl-C.\n",
        if config.listen.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else {
            config.listen.ip().to_string()
        },
        config.listen.port(),
    );
}
