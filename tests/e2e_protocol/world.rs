//! Isochrome in front of one server, behind a proxy that spoils and a recorder that keeps.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::recorder::Recorder;
use crate::support::api::{Api, id_of};
use crate::support::chroma::Chroma;
use crate::support::isochrome::{Isochrome, Setup};
use crate::support::proxy::{Fault, Proxy, Rule};
use crate::wire::{Wire, bare, post};

pub const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

pub struct World {
    pub isochrome: Isochrome,
    /// Between Isochrome and the recorder.
    pub proxy: Proxy,
    /// Between the proxy and the server.
    pub recorder: Recorder,
    pub chroma: Chroma,
}

impl World {
    /// With these environment variables of Isochrome's, and lines of the server's configuration.
    pub fn start(variables: &[(&str, &str)], settings: &[&str]) -> Self {
        let chroma = Chroma::start_with(settings);
        let recorder = Recorder::start(chroma.port());
        let proxy = Proxy::start(recorder.port());
        let mut setup = Setup::urls(&[proxy.url()]);
        for (name, value) in variables {
            setup = setup.variable(name, value);
        }
        Self { isochrome: setup.start(), proxy, recorder, chroma }
    }

    /// The one that tests share which end nothing: browsers may come, answers from 1 KiB on are compressed.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| {
            let variables = [
                ("ISOCHROME_HTTP_CORS_ALLOW_ORIGINS", "https://app.example,http://localhost:3000"),
                ("ISOCHROME_HTTP_COMPRESS_MIN_BYTES", "1024"),
                ("ISOCHROME_HTTP_BODY_LATE_MS", "2000"),
                ("ISOCHROME_LOG_LEVEL", "info,isochrome::gateway=debug"),
            ];
            let origins = "cors_allow_origins: [\"https://app.example\", \"http://localhost:3000\"]";
            Self::start(&variables, &[origins])
        })
    }

    pub fn port(&self) -> u16 {
        self.isochrome.port()
    }

    pub fn wire(&self) -> Wire {
        Wire::connect(self.port())
    }

    pub fn api(&self) -> Api {
        Api::new(&self.isochrome.url())
    }

    /// Makes a collection; the path of what is under it.
    pub fn collection(&self, name: &str) -> String {
        let body = json!({ "name": name }).to_string();
        let (head, body) = self.wire().send(post(COLLECTIONS, &[], body.as_bytes())).answer();
        assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&body));
        let id =
            serde_json::from_slice::<Value>(&body).expect("JSON")["id"].as_str().expect("an id").to_owned();
        format!("{COLLECTIONS}/{id}")
    }

    /// How many records a collection has.
    pub fn count(&self, collection: &str) -> u64 {
        let (head, body) = self.wire().send(bare("GET", &format!("{collection}/count"), &[])).answer();
        assert_eq!(head.status, 200);
        serde_json::from_slice(&body).expect("a count")
    }

    /// The next request whose line contains `path` gets these bytes from the server's side.
    pub fn replace_answer(&self, path: &str, bytes: Vec<u8>) {
        let fault = Fault::Replace(bytes);
        self.proxy.rule(Rule { method: "", path: path.to_owned(), times: 1, fault });
    }

    /// Resident memory that Isochrome's work takes more than at rest, as its peak, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.isochrome.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") >> 10
    }
}

/// One at a time: tests that look at the memory of the whole process.
pub fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    struct Alone<'a>(Option<std::sync::MutexGuard<'a, ()>>);
    impl Drop for Alone<'_> {
        fn drop(&mut self) {
            self.0 = None;
        }
    }
    Alone(Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The public id of a collection, for those who talk by other means.
pub async fn new_collection(api: &Api, name: &str) -> String {
    id_of(&api.create(&json!({ "name": name })).await.success())
}
