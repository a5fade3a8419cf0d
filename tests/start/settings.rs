//! Where settings come from, and which of them wins.

use std::fs;

use opentaco_tests::server::free_port;
use rustix::process::Signal;

use crate::program::{Program, get};

#[test]
fn version_and_help_are_printed_and_start_nothing() {
    for flag in ["-version", "--version", "-V"] {
        let program = Program::new(&[flag]);
        let ended = program.run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{flag}: {ended:?}");
        let version = ended.stdout.trim().strip_prefix("opentacosvc ").unwrap();
        assert!(version.split('.').count() == 3, "{version}");
        assert_eq!(fs::read_dir(program.folder.path()).unwrap().count(), 0);
    }
    for flag in ["-help", "--help", "-h"] {
        let ended = Program::new(&[flag]).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{flag}: {ended:?}");
        for part in ["-listen", "OPENTACO_STORAGE", "localhost:8080", "OPENTACO_MAX_STATE_BYTES", "512MiB"] {
            assert!(ended.stdout.contains(part), "{part} is not in {}", ended.stdout);
        }
    }
}

#[test]
fn flags_work_with_one_dash_and_two_with_a_space_and_an_equals_sign() {
    for form in ["-port N", "--port N", "-port=N", "--port=N"] {
        let port = free_port();
        let port_set = form.replace('N', &port.to_string());
        let mut args: Vec<&str> = port_set.split(' ').collect();
        args.extend(["-storage", "memory"]);
        let program = Program::new(&args);
        let mut going = program.spawn();
        going.ready(port);
        going.signal(Signal::TERM);
        assert_eq!(going.end().code, Some(0), "{form}");
    }
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_file() {
    let [flag, env, file] = [(); 3].map(|()| free_port());
    let in_file = format!("port = {file}\nstorage = \"memory\"");
    let port = flag.to_string();
    let by_flag = Program::new(&["-port", &port]).env("OPENTACO_PORT", &env.to_string()).file(&in_file);
    let by_env = Program::new(&[]).env("OPENTACO_PORT", &env.to_string()).file(&in_file);
    let by_file = Program::new(&[]).file(&in_file);
    for (program, port) in [(by_flag, flag), (by_env, env), (by_file, file)] {
        let mut going = program.spawn();
        going.ready(port);
        for other in [flag, env, file].into_iter().filter(|other| *other != port) {
            assert_eq!(get(other, "/healthz"), "", "only one port");
        }
    }
}

#[test]
fn a_config_flag_beats_the_variable() {
    let port = free_port();
    let program = Program::new(&["-config", "mine.toml"]).file("nonsense = 1");
    fs::write(program.folder.path().join("mine.toml"), format!("port = {port}\nstorage = \"memory\""))
        .unwrap();
    program.spawn().ready(port);
}

#[test]
fn variables_of_others_do_not_stop_the_start() {
    let port = free_port();
    let program = Program::new(&["-storage", "memory", "-port", &port.to_string()])
        .env("OPENTACO_PORT", "tcp://10.0.0.1:8080")
        .env("OPENTACO_SERVICE_HOST", "10.0.0.1")
        .env("OPENTACO_PORT_8080_TCP_ADDR", "10.0.0.1")
        .env("OPENTACO_TOKEN", "x")
        .env("OPENTACO_SERVER", "https://x");
    program.spawn().ready(port);
}

#[test]
fn the_start_message_says_where_everything_is_and_whether_it_is_new() {
    let port = free_port();
    let program = Program::new(&["-port", &port.to_string()]);
    let data = program.folder.path().canonicalize().unwrap().join("opentaco-data");
    for is_new in [true, false] {
        let mut going = program.spawn();
        going.ready(port);
        going.signal(Signal::TERM);
        let ended = going.end();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let place = format!("data dir: {}", data.display());
        assert!(said.contains(&place), "{said}");
        assert_eq!(said.contains(&format!("{place} (new)")), is_new, "{said}");
        for part in
            ["opentaco.tfrc", "SSL_CERT_FILE=", &format!("terraform login localhost:{port}"), "login code: "]
        {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}

#[test]
fn json_logs_are_one_object_a_line() {
    let port = free_port();
    let program = Program::new(&["-storage", "memory", "-log-format", "json", "-port", &port.to_string()]);
    let mut going = program.spawn();
    going.ready(port);
    get(port, "/api/v2/ping");
    going.signal(Signal::TERM);
    let ended = going.end();
    let logs: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!logs.is_empty(), "{}", ended.stderr);
    for line in logs {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string(), "{line}");
    }
}
