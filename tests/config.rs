//! The configuration as a user meets it: which layer wins, and what is said about mistakes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use isochrome::config::{self, Acknowledge, Config, Flags, Source};

/// Loads with a file of this text (if any), these variables and these flags.
fn load(file: &str, variables: &[(&str, &str)], mut flags: Flags) -> Result<Config, Vec<String>> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let named = (!file.is_empty()).then(|| write_file(file));
    flags.config = named.as_ref().map(|file| file.path().to_path_buf());
    Config::load(&flags, &environment).map_err(|errors| {
        let path = flags.config.map_or("no file".to_owned(), |path| path.display().to_string());
        errors.0.iter().map(|problem| problem.to_string().replace(&path, "FILE")).collect()
    })
}

#[allow(clippy::unwrap_used, reason = "a helper of tests; a full disk is no case of theirs")]
fn write_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn from_file(file: &str) -> Result<Config, Vec<String>> {
    load(file, &[], Flags::default())
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    load("", variables, Flags::default())
}

fn with_instances(instances: &[&str]) -> Flags {
    Flags { instances: instances.iter().map(|item| (*item).to_owned()).collect(), ..Flags::default() }
}

fn listed(config: &Config) -> Vec<String> {
    config.instances.iter().map(|instance| format!("{}={}", instance.name, instance.url)).collect()
}

#[test]
fn without_any_configuration_everything_stays_on_this_machine() {
    let config = from_environment(&[]).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("./isochrome-data"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert!(config.instances.is_empty());
    assert!(!config.allow_reset);
    assert_eq!(config.write.acknowledge, Acknowledge::One);
    assert_eq!(config.write.wait, Duration::from_millis(5_000));
    assert_eq!(config.write.timeout, Duration::from_millis(60_000));
    assert_eq!(config.write.max_body_bytes, 41_943_040);
    assert_eq!(config.read.wait, Duration::from_millis(5_000));
    assert_eq!(config.wal.keep, Duration::from_secs(86_400));
    assert_eq!(config.source("write.wait_ms"), &Source::Default);
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let file =
        "listen = '127.0.0.1:1001'\ndata_dir = 'from-file'\n[write]\nwait_ms = 1\nacknowledge = 'all'\n";
    let variables = [("ISOCHROME_LISTEN", "127.0.0.1:1002"), ("ISOCHROME_WRITE_WAIT_MS", "2")];
    let flags = Flags { listen: Some("127.0.0.1:1003".to_owned()), ..Flags::default() };
    let config = load(file, &variables, flags).unwrap();

    assert_eq!(config.listen.port(), 1003);
    assert_eq!(config.source("listen"), &Source::Flag("--listen"));
    assert_eq!(config.write.wait, Duration::from_millis(2));
    let variable = "ISOCHROME_WRITE_WAIT_MS".to_owned();
    assert_eq!(config.source("write.wait_ms"), &Source::Environment(variable));
    assert_eq!(config.data_dir, PathBuf::from("from-file"));
    assert_eq!(config.write.acknowledge, Acknowledge::All);
    assert!(matches!(config.source("data_dir"), Source::File(_)));
}

#[test]
fn a_list_of_instances_replaces_the_whole_list_below_it() {
    let file =
        "[[instances]]\nname = 'x'\nurl = 'http://x:8000'\n[[instances]]\nname = 'y'\nurl = 'nonsense'\n";
    let variables = [("ISOCHROME_INSTANCES", "p=http://p:8000, q=http://q:8000")];
    let config = load(file, &variables, Flags::default()).unwrap();
    assert_eq!(listed(&config), ["p=http://p:8000", "q=http://q:8000"]);

    let config = load(file, &variables, with_instances(&["only=http://[::1]:9"])).unwrap();
    assert_eq!(listed(&config), ["only=http://[::1]:9"]);
    assert_eq!(config.source("instances"), &Source::Flag("--instance"));
}

#[test]
fn the_predecessors_variables_still_work() {
    let config = from_environment(&[
        ("PORT", "9000"),
        ("PRIMARY_URL", "http://one:8000"),
        ("REPLICA_URL", "http://two:8000/"),
        ("MAX_MEMORY_MB", "400"),
        ("MAX_WORKERS", "3"),
        ("REQUEST_TIMEOUT", "120"),
        ("CHECK_INTERVAL", "2"),
        ("ALLOW_RESET", "TRUE"),
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(listed(&config), ["primary=http://one:8000", "replica=http://two:8000"]);
    assert_eq!(config.resources.max_memory_mb, Some(400));
    assert_eq!(config.resources.max_workers, Some(3));
    assert_eq!(config.write.timeout, Duration::from_secs(120));
    assert_eq!(config.health.interval, Duration::from_secs(2));
    assert!(config.allow_reset);
}

#[test]
fn our_own_variables_win_over_the_predecessors() {
    let config = from_environment(&[
        ("PORT", "9000"),
        ("ISOCHROME_LISTEN", "127.0.0.1:9001"),
        ("PRIMARY_URL", "http://old:8000"),
        ("ISOCHROME_INSTANCES", "new=http://new:8000"),
        ("REQUEST_TIMEOUT", "120"),
        ("ISOCHROME_WRITE_TIMEOUT_MS", "30000"),
    ])
    .unwrap();
    assert_eq!(config.listen.port(), 9001);
    assert_eq!(listed(&config), ["new=http://new:8000"]);
    assert_eq!(config.write.timeout, Duration::from_secs(30));
}

#[test]
fn port_changes_the_port_of_the_file_and_only_that() {
    let config = load("listen = '0.0.0.0:7000'", &[("PORT", "7001")], Flags::default()).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:7001");
    assert_eq!(config.source("listen"), &Source::Environment("PORT".to_owned()));
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let config =
        from_environment(&[("PORT", ""), ("PRIMARY_URL", " "), ("ISOCHROME_READ_WAIT_MS", "")]).unwrap();
    assert_eq!(config.listen.port(), 8000);
    assert!(config.instances.is_empty());
}

#[test]
fn every_problem_is_told_at_once_with_key_source_and_cure() {
    let file =
        "lisen = '127.0.0.1:1'\nread = 5\n[write]\nwait_ms = 'soon'\nacknowledge = 'both'\n[wall]\nx = 1\n";
    let variables = [("ISOCHROME_WAL_KEEP_S", "-1"), ("PORT", "70000"), ("REQUEST_TIMEOUT", "1h")];
    let flags = Flags { data_dir: Some(PathBuf::new()), ..Flags::default() };
    let mut problems = load(file, &variables, flags).unwrap_err();
    problems.sort();
    assert_eq!(
        problems,
        [
            "data_dir (flag --data-dir): \"\" is not a path; write one in quotes",
            "lisen (file FILE:1): unknown key; did you mean listen?",
            "listen (environment variable PORT): \"70000\" does not fit here; write a whole number from 0 to 65535",
            "read (file FILE:2): is a section; write [read] on a line of its own and its keys below",
            "wal.keep_s (environment variable ISOCHROME_WAL_KEEP_S): \"-1\" does not fit here; \
             write a whole number from 0 to 315360000",
            "wall (file FILE:6): unknown key; remove it",
            "write.acknowledge (file FILE:5): \"both\" is not known here; write \"one\" or \"all\"",
            "write.timeout_ms (environment variable REQUEST_TIMEOUT): \"1h\" does not fit here; \
             write a whole number from 1 to 3600",
            "write.wait_ms (file FILE:4): \"soon\" does not fit here; write a whole number from 0 to 600000",
        ]
    );
}

#[test]
fn a_file_that_is_missing_or_broken_is_named() {
    let flags = Flags { config: Some(PathBuf::from("/nowhere/isochrome.toml")), ..Flags::default() };
    let missing = Config::load(&flags, &|_| None).unwrap_err().to_string();
    assert!(
        missing.starts_with("config (flag --config): cannot read /nowhere/isochrome.toml: "),
        "{missing}"
    );

    let broken = from_file("listen = '127.0.0.1:1'\ntoken = \"geheim\n").unwrap_err();
    assert_eq!(broken.len(), 1);
    assert!(broken[0].starts_with("config (file FILE): line 2 is not valid TOML: "), "{broken:?}");
    assert!(!broken[0].contains("geheim"), "a line of the file may hold a secret: {broken:?}");
}

#[test]
fn addresses_of_instances_are_checked() {
    for (url, words) in [
        ("127.0.0.1:8001", "does not start with http://"),
        ("https://chroma:8001", "plain HTTP"),
        ("http://chroma:8001/api/v2", "without a path"),
        ("http://chroma:8001?x=1", "without a path"),
        ("http://chroma:99999", "port"),
        ("http://chroma:0", "no valid port"),
        ("http://:8001", "http://HOST:PORT"),
        ("http://", "http://HOST:PORT"),
    ] {
        let problems = load("", &[], with_instances(&[&format!("a={url}")])).unwrap_err();
        assert_eq!(problems.len(), 1, "{url}: {problems:?}");
        assert!(problems[0].starts_with("instances[0].url (flag --instance): "), "{problems:?}");
        assert!(problems[0].contains(words), "{url}: {problems:?}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let problems = load("", &[("PRIMARY_URL", "http://me:geheim@db:8000")], Flags::default()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("http://***@db:8000"), "{problems:?}");
    assert!(!problems[0].contains("geheim"), "{problems:?}");
}

#[test]
fn no_server_and_no_name_is_listed_twice() {
    for (second, words) in [
        ("b=http://localhost:8001", "the same server as instance a"),
        ("b=http://[::1]:8001", "the same server as instance a"),
        ("b=http://LOCALHOST.:8001", "the same server as instance a"),
        ("A=http://127.0.0.1:8002", "the name A is given twice"),
        ("b=http://127.0.0.1:8000", "the address that Isochrome itself listens on"),
        ("b/c=http://127.0.0.1:8002", "no name for an instance"),
        ("http://127.0.0.1:8002", "has no name"),
    ] {
        let problems = load("", &[], with_instances(&["a=http://127.0.0.1:8001", second])).unwrap_err();
        assert_eq!(problems.len(), 1, "{second}: {problems:?}");
        assert!(problems[0].contains(words), "{second}: {problems:?}");
    }
    load("", &[], with_instances(&["a=http://127.0.0.1:8001", "b=http://127.0.0.2:8001"])).unwrap();
}

#[test]
fn instances_of_the_file_are_checked_one_by_one() {
    let problems =
        from_file("[[instances]]\nname = 'a'\n[[instances]]\nname = 'b'\nurl = 'http://b:1'\nweight = 2\n")
            .unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("instances[0] (file FILE:1): write each instance as [[instances]]"));
    assert!(problems[1].starts_with("instances[1].weight (file FILE:3): unknown key"));
    assert!(from_file("instances = 'a'").unwrap_err()[0].starts_with("instances (file FILE:1): write each"));
}

#[test]
fn values_are_also_checked_against_each_other() {
    let file =
        "[write]\nwait_ms = 5000\ntimeout_ms = 4000\nmax_body_bytes = 4194304\nmax_pending_bytes = 2097152\n";
    let problems = from_file(file).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("write.wait_ms (file FILE:2): 5000 is longer than write.timeout_ms (4000)")
    );
    assert!(problems[1].starts_with("write.max_pending_bytes (file FILE:5): 2097152 has no room"));
}

#[test]
fn the_data_directory_is_found_while_the_rest_is_wrong() {
    let file = write_file("data_dir = 'kept'\nlisten = 'nonsense'\n[write]\nunknown = 1\n");
    let flags = Flags { config: Some(file.path().to_path_buf()), ..Flags::default() };
    assert_eq!(config::data_dir(&flags, &|_| None).unwrap(), PathBuf::from("kept"));
    assert!(Config::load(&flags, &|_| None).is_err());
}

#[test]
fn what_is_printed_can_be_used_as_a_file_and_means_the_same() {
    let file = "allow_reset = true\n[read]\nwait_ms = 7 # seven\n";
    let variables = [("ISOCHROME_DATA_DIR", "a \"b\"\\c"), ("REQUEST_TIMEOUT", "9")];
    let flags = with_instances(&["x=http://one:1", "y=http://two:2"]);
    let printed = load(file, &variables, flags).unwrap().effective();
    for line in [
        "data_dir = 'a \"b\"\\c'  # environment variable ISOCHROME_DATA_DIR",
        "listen = \"127.0.0.1:8000\"  # default",
        "timeout_ms = 9000  # environment variable REQUEST_TIMEOUT",
        "# max_workers  # default: the cores",
        "[[instances]]  # flag --instance",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
    assert!(printed.lines().any(|line| line.starts_with("wait_ms = 7  # file /") && line.ends_with(":3")));

    let again = from_file(&printed).unwrap();
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&again.effective()), values(&printed));
    assert_eq!(listed(&again), ["x=http://one:1", "y=http://two:2"]);
    assert_eq!(again.data_dir, PathBuf::from("a \"b\"\\c"));
    assert!(again.allow_reset);
}

#[test]
fn the_reference_document_is_up_to_date() {
    let written = std::fs::read_to_string("docs/configuration.md").unwrap_or_default();
    assert!(written == config::reference(), "renew it with: {}", config::RENEW);
}

#[test]
fn every_key_is_told_with_its_description() {
    let reference = config::reference();
    let rows: Vec<_> = reference.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| cell.len() > 1), "{row}");
    }
}

#[test]
fn a_reload_takes_live_keys_and_names_those_that_need_a_restart() {
    let before = load("[read]\nwait_ms = 1\n", &[], with_instances(&["a=http://x:1"])).unwrap();
    let file = "[read]\nwait_ms = 2\n[wal]\nkeep_s = 3\n[resources]\nmax_workers = 4\n";
    let next = load(file, &[], with_instances(&["a=http://y:1"])).unwrap();
    let reloaded = before.reloaded(&next).unwrap();
    let named = |changes: &[config::Change]| {
        let told = |change: &config::Change| format!("{}: {} -> {}", change.key, change.old, change.new);
        changes.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(named(&reloaded.applied), ["read.wait_ms: 1 -> 2", "wal.keep_s: 86400 -> 3"]);
    assert_eq!(
        named(&reloaded.needs_restart),
        ["resources.max_workers: the cores -> 4", "instances: a=http://x:1 -> a=http://y:1"]
    );
    assert_eq!(reloaded.config.read.wait, Duration::from_millis(2));
    assert_eq!(reloaded.config.resources.max_workers, None);
    assert_eq!(listed(&reloaded.config), ["a=http://x:1"]);

    // Told again as long as it waits.
    let again = reloaded.config.reloaded(&next).unwrap();
    assert_eq!((again.applied.len(), again.needs_restart.len()), (0, 2));
}
