//! SIGHUP: the configuration is read again, and what can change does.

use std::time::SystemTime;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::log::SetLevel;
use super::serve::settings;
use crate::admin::Operators;
use crate::config::{Config, ConfigErrors, Flags, Reloaded, process_environment};
use crate::gateway::LastReload;

/// What a reload needs of the start: the flags stay in force, and the log can be set.
pub struct Reloading {
    pub flags: Flags,
    pub set_level: SetLevel,
    pub hangup: Signal,
}

impl Reloading {
    /// From now on SIGHUP no longer ends the process. One that comes before [`Reloading::run`] is not lost.
    pub fn new(flags: Flags, set_level: SetLevel) -> Result<Self, String> {
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.map_err(|error| format!("can't listen for signals: {error}"))?;
        Ok(Self { flags, set_level, hangup })
    }

    /// Reloads at every signal, until instances join: then the process is to begin anew, and takes the whole configuration.
    pub async fn run(mut self, mut config: Config, operators: Operators) {
        let mut number = 0;
        while self.hangup.recv().await.is_some() {
            number += 1;
            let next = self.read(&config).await;
            let result = match next {
                Ok(reloaded) if !reloaded.joining.is_empty() => {
                    let names = reloaded.joining.join(", ");
                    tracing::warn!(
                        instances = names,
                        "instances join: beginning anew, clients are held meanwhile"
                    );
                    return;
                }
                Ok(reloaded) => {
                    config = reloaded.config.clone();
                    self.apply(&reloaded, &operators);
                    Ok((reloaded.applied, reloaded.needs_restart))
                }
                Err(errors) => {
                    for problem in &errors.0 {
                        tracing::error!("the new configuration is wrong: {problem}");
                    }
                    tracing::error!("the configuration was not reloaded; nothing changed");
                    Err(errors)
                }
            };
            operators.app.note_reload(LastReload { number, at: SystemTime::now(), result });
        }
    }

    async fn read(&self, config: &Config) -> Result<Reloaded, ConfigErrors> {
        let flags = self.flags.clone();
        let next = tokio::task::spawn_blocking(move || Config::load(&flags, &process_environment));
        match next.await {
            Ok(next) => config.reloaded(&next?),
            // The runtime ends, and nobody looks any more.
            Err(_) => Err(ConfigErrors(Vec::new())),
        }
    }

    fn apply(&self, reloaded: &Reloaded, operators: &Operators) {
        let app = &operators.app;
        let config = &reloaded.config;
        // Told before the level changes, which may hide it.
        for change in &reloaded.applied {
            tracing::info!("configuration changed: {change}");
        }
        for change in &reloaded.needs_restart {
            tracing::warn!("needs a restart, and stays as it is: {change}");
        }
        if let Err(reason) = (self.set_level)(&config.log.level) {
            tracing::error!(reason, "what is logged can't be changed");
        }
        app.configure(config);
        operators.repair.configure(config.verify.every);
        let core = settings(config, app.replication.instances().len());
        app.replication.configure(core, config.wal.keep.as_secs(), config.health.interval);
        let (applied, waiting) = (reloaded.applied.len(), reloaded.needs_restart.len());
        tracing::info!(applied, needs_restart = waiting, "the configuration was reloaded");
    }
}
