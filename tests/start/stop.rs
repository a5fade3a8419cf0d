//! Stopping: with 0, after what is in flight, and not readily before.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login, state};
use opentaco_tests::server::{Options, Server, free_port};
use opentaco_tests::wait::until;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::json;

use crate::program::{PATIENCE, Program, get};

#[test]
fn either_signal_is_a_clean_end() {
    for signal in [Signal::TERM, Signal::INT] {
        for storage in ["memory", "local"] {
            let port = free_port();
            let program = Program::new(&["-storage", storage, "-port", &port.to_string()]);
            let mut going = program.spawn();
            going.ready(port);
            // An idle connection must not hold it up.
            let _idle = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            going.signal(signal);
            let ended = going.end();
            assert_eq!(ended.code, Some(0), "{signal:?} {storage}: {ended:?}");
        }
    }
}

/// Sends the head of an upload, waits until the server has taken it up, and sends half its body.
fn half_an_upload(port: u16, path: &str, state: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = state.len();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut said = vec![0; go_on.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, go_on);
    stream.write_all(&state[..length / 2]).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_flight_is_finished_before_the_end() {
    let mut server = Server::start(Options::local().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let alice = Api::new(&server, &token);
    let id = alice.create_workspace("default", "web").await;
    alice.lock(&id).await.expect(StatusCode::OK);
    let bytes = state(1, "l", 50, &json!({}));
    let proposal = alice.propose(&id, &bytes).await.expect(StatusCode::CREATED).json();
    let url = proposal["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap();
    let path = url.strip_prefix(&server.base_https()).unwrap();
    let port = server.port();
    let mut stream = half_an_upload(port, path, &bytes);

    let stopping = std::thread::spawn(move || {
        server.stop();
        server
    });
    until(PATIENCE, "the server to take no more", || get(port, "/readyz").is_empty().then_some(()));
    stream.write_all(&bytes[bytes.len() / 2..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");

    let mut server = stopping.join().unwrap();
    server.restart();
    assert_eq!(Api::new(&server, &token).download(&id).await.expect(StatusCode::OK).body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_in_time_is_cut_off_and_writes_nothing() {
    let mut server = Server::start(Options::local().dev_login().env("OPENTACO_DRAIN_TIMEOUT", "1s"));
    let token = login(&server, &Who::dev("alice")).await;
    let alice = Api::new(&server, &token);
    let id = alice.create_workspace("default", "web").await;
    alice.lock(&id).await.expect(StatusCode::OK);
    let bytes = state(1, "l", 50, &json!({}));
    let proposal = alice.propose(&id, &bytes).await.expect(StatusCode::CREATED).json();
    let url = proposal["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap();
    let stream = half_an_upload(server.port(), url.strip_prefix(&server.base_https()).unwrap(), &bytes);
    server.stop();
    drop(stream);
    server.restart();
    Api::new(&server, &token).current(&id).await.expect_error(StatusCode::NOT_FOUND);
}
