//! One port, two schemes, and the files that make Terraform believe in it.

use std::fs;

use opentaco_tests::client::http;
use opentaco_tests::server::{Options, Server};
use reqwest::{Certificate, Client, StatusCode};

use crate::program::get;

#[tokio::test]
async fn https_by_the_bundle_and_http_answer_on_the_same_port() {
    for options in [Options::local(), Options::memory()] {
        let server = Server::start(options);
        let bundle = Certificate::from_pem_bundle(&fs::read(server.ca_bundle()).unwrap()).unwrap();
        // The kit's client installs the provider of cryptography.
        drop(http(&server).build().unwrap());
        let by_bundle = Client::builder().no_proxy().tls_certs_only(bundle).build().unwrap();
        for host in ["localhost", "127.0.0.1"] {
            for scheme in ["https", "http"] {
                let base = format!("{scheme}://{host}:{}", server.port());
                for path in ["/healthz", "/readyz"] {
                    let answer = by_bundle.get(format!("{base}{path}")).send().await.unwrap();
                    assert_eq!(answer.status(), StatusCode::OK);
                    assert_eq!(answer.text().await.unwrap(), "ok\n");
                }
                let answer =
                    by_bundle.get(format!("{base}/.well-known/terraform.json")).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
            }
        }
        let stranger = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        assert!(
            stranger.get(format!("{}/healthz", server.base_https())).send().await.is_err(),
            "nobody else vouches"
        );
    }
}

#[test]
fn the_bundle_has_the_development_ca_in_it() {
    let server = Server::start(Options::local());
    let [bundle, ca] = [server.ca_bundle(), server.ca()].map(|file| fs::read_to_string(file).unwrap());
    assert!(bundle.contains(ca.trim()));
    let tfrc = fs::read_to_string(server.tfrc()).unwrap();
    assert!(tfrc.contains(&format!("host \"{}\"", server.host())), "{tfrc}");
}

#[tokio::test]
async fn with_tls_off_there_is_http_alone() {
    let server = Server::start(Options::memory().env("OPENTACO_TLS", "off"));
    assert!(get(server.port(), "/healthz").starts_with("HTTP/1.1 200 "));
    let client = http(&server).build().unwrap();
    assert!(client.get(format!("{}/healthz", server.base_https())).send().await.is_err());
    assert!(get(server.port(), "/healthz").starts_with("HTTP/1.1 200 "), "and it goes on");
}

#[test]
fn health_is_for_anybody_and_says_nothing_else() {
    let server = Server::start(Options::memory());
    for path in ["/healthz", "/readyz"] {
        let answer = get(server.port(), path);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        assert!(answer.contains("no-store"), "{answer}");
    }
}
