//! What IDENTITY.md shows is so.

use std::fs;
use std::process::Command;

use opentaco_tests::server::{Options, Server, repository};

fn page() -> String {
    fs::read_to_string(repository().join("IDENTITY.md")).unwrap()
}

/// The blocks of a kind, in order.
fn blocks(kind: &str) -> Vec<String> {
    let (page, begin) = (page(), format!("```{kind}\n"));
    let parts = page.split(&begin).skip(1);
    parts.map(|rest| rest.split_once("```").expect("a block ends").0.to_owned()).collect()
}

/// What a block exports, as a shell understands it.
fn exports(block: &str) -> Vec<(String, String)> {
    let script = format!("set -e\ncd \"$(mktemp -d)\"\n{block}\nenv -0");
    let ran = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    assert!(ran.status.success(), "{block}: {}", String::from_utf8_lossy(&ran.stderr));
    let printed = String::from_utf8(ran.stdout).unwrap();
    let pairs = printed.split('\0').filter_map(|pair| pair.split_once('='));
    let ours = pairs.filter(|(name, _)| name.starts_with("OPENTACO_") && !name.starts_with("OPENTACO_TEST_"));
    ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_server_starts_with_every_set_of_settings_on_the_page() {
    let blocks = blocks("sh");
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let settings = exports(&block);
        assert!(!settings.is_empty(), "{block}");
        let options =
            settings.iter().fold(Options::memory(), |options, (name, value)| options.env(name, value));
        let server = Server::start(options);
        let by_provider = settings.iter().any(|(name, _)| name == "OPENTACO_AUTH_ISSUER");
        assert_eq!(server.output().contains("login code: "), !by_provider, "{}", server.output());
    }
}

#[test]
fn a_server_takes_the_trust_rules_on_the_page() {
    let blocks = blocks("toml");
    assert_eq!(blocks.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opentaco.toml");
    fs::write(&file, &blocks[0]).unwrap();
    Server::start(Options::memory().env("OPENTACO_CONFIG", file.to_str().unwrap()));
}

#[test]
fn every_command_on_the_page_succeeds() {
    let server = Server::start(Options::local());
    let commands: Vec<String> =
        blocks("console").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    assert_eq!(commands.len(), 17);
    // The one that ends the token comes last.
    let (ending, others): (Vec<&String>, _) = commands.iter().partition(|line| line.contains("-X DELETE"));
    let token = server.admin_token("local:owner");
    for command in others.into_iter().chain(ending) {
        let command = command.strip_prefix("$ ").expect("a command");
        let command = command.replace("localhost:8080", &server.host()).replacen("curl ", "curl --fail ", 1);
        let ran = Command::new("sh").args(["-c", &command]).env("TOKEN", &token).output().expect("a shell");
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    assert!(!server.output().contains(&token), "a token in a path is not logged");
}

#[test]
fn what_the_page_says_one_sees_is_what_the_server_says() {
    let page = page();
    let (_, rest) = page.split_once("| you see | look at |").expect("the page has the table");
    let (table, _) = rest.split_once("\n\n").expect("the table ends");
    let mut sources = String::new();
    for folder in ["app/src", "domain/src", "ports/src", "adapters"] {
        read_all(&repository().join(folder), &mut sources);
    }
    let seen: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(seen.len() > 10, "{seen:?}");
    for text in seen {
        for part in text.split('…').map(str::trim) {
            assert!(sources.contains(part), "nothing says {part:?}");
        }
    }
}

fn read_all(folder: &std::path::Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
