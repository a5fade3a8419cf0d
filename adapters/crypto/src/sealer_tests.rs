//! What a sealed text proves, and what it does not.

use opentaco_domain::actor::Subject;
use opentaco_domain::id::{LockId, TokenId, WorkspaceId};
use opentaco_domain::oauth::{Challenge, Client, RedirectUri};
use opentaco_domain::state::Md5;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn sealer(roots: &[u8]) -> AeadSealer {
    let roots: Vec<_> = roots.iter().map(|byte| Secret::new(vec![*byte; 32])).collect();
    AeadSealer::new(&roots).unwrap()
}

fn session(state: &str, subject: Option<&str>, millis: i64, browser: [u8; 32]) -> LoginSession {
    LoginSession {
        request: AuthorizationRequest {
            client: Client::TerraformCli,
            redirect: RedirectUri::parse("http://[::1]:10010/login").unwrap(),
            challenge: Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap(),
            state: state.to_owned(),
        },
        issued_at: Timestamp::from_millis(millis),
        browser,
        jti: [5; 16],
        stage: subject.map_or(Stage::Identify, |name| {
            let subject = Subject::development(name).unwrap();
            Stage::Consent(Person { subject, shown: format!("{name}@example.com") })
        }),
    }
}

fn ticket(random: [u8; 10], ordinal: u32, serial: u64, lineage: Option<&str>, force: bool) -> Ticket {
    let at = Timestamp::from_millis(1_764_072_000_123);
    let workspace = WorkspaceId::new(at, random);
    Ticket {
        kind: if force { TicketKind::JsonState } else { TicketKind::State },
        version: StateVersionId::new(workspace, ordinal, random),
        predecessor: (ordinal > 1).then(|| StateVersionId::new(workspace, ordinal - 1, random)),
        proposal: Proposal {
            serial,
            lineage: lineage.map(|text| text.parse().unwrap()),
            md5: Md5([random[0]; 16]),
        },
        force,
        subject: Subject::local_owner(),
        parent: TokenId::from_bytes(random),
        lock: LockId::new(at, random),
        entry: serial,
        expires_at: at,
    }
}

fn samples() -> (LoginSession, Ticket) {
    (session("s", Some("alice"), 1_764_072_000_123, [5; 32]), ticket([3; 10], 2, 7, Some("l"), false))
}

proptest! {
    #[test]
    fn a_session_reads_back(
        state in ".{1,128}", subject in proptest::option::of("[a-zA-Z0-9._@+-]{1,64}"), millis: i64, browser: [u8; 32],
        nonce: [u8; 12],
    ) {
        let session = session(&state, subject.as_deref(), millis, browser);
        let sealed = sealer(&[1]).seal_session(&session, nonce);
        prop_assert_eq!(sealer(&[1]).open_session(&sealed), Some(session));
    }

    #[test]
    fn a_ticket_reads_back(
        random: [u8; 10], ordinal in 1u32.., serial: u64, lineage in proptest::option::of("[ -~]{1,200}"), force: bool,
        nonce: [u8; 12],
    ) {
        let ticket = ticket(random, ordinal, serial, lineage.as_deref(), force);
        let sealed = sealer(&[1]).seal_ticket(&ticket, nonce);
        prop_assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(sealer(&[1]).open_ticket(&sealed), Some(ticket));
    }

    #[test]
    fn no_text_makes_it_panic_or_open(text: String, coded in "[A-Za-z0-9_-]{0,200}") {
        for text in [text, coded] {
            prop_assert_eq!(sealer(&[1]).open_session(&text), None);
            prop_assert_eq!(sealer(&[1]).open_ticket(&text), None);
        }
    }
}

#[test]
fn the_longest_lawful_session_opens() {
    let session = session(&"\u{1}".repeat(512), Some(&"a".repeat(64)), i64::MIN, [255; 32]);
    let sealed = sealer(&[1]).seal_session(&session, [0; 12]);
    assert_eq!(sealer(&[1]).open_session(&sealed), Some(session));
}

#[test]
fn no_changed_byte_opens() {
    let (session, ticket) = samples();
    let sealer = sealer(&[1]);
    let texts = [sealer.seal_session(&session, [7; 12]), sealer.seal_ticket(&ticket, [7; 12])];
    for text in texts {
        for at in 0..text.len() {
            for other in b"AZaz09-_=+/ ".iter().filter(|&&other| other != text.as_bytes()[at]) {
                let mut changed = text.clone().into_bytes();
                changed[at] = *other;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(sealer.open_session(&changed), None, "{at}");
                assert_eq!(sealer.open_ticket(&changed), None, "{at}");
            }
        }
        // Every bit of the bytes behind the text, too.
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64URL_NOPAD.encode(&changed);
            assert_eq!(sealer.open_session(&changed), None, "bit {bit}");
            assert_eq!(sealer.open_ticket(&changed), None, "bit {bit}");
        }
        for cut in 0..text.len() {
            assert_eq!(sealer.open_session(&text[..cut]), None, "{cut}");
            assert_eq!(sealer.open_ticket(&text[..cut]), None, "{cut}");
        }
    }
}

#[test]
fn a_session_is_no_ticket_and_a_ticket_no_session() {
    let (session, ticket) = samples();
    let sealer = sealer(&[1]);
    assert_eq!(sealer.open_ticket(&sealer.seal_session(&session, [0; 12])), None);
    assert_eq!(sealer.open_session(&sealer.seal_ticket(&ticket, [0; 12])), None);
    // Even where the content would read: the label alone keeps them apart.
    let crossed = sealer.seal(SESSION, &TicketText::of(&ticket), [0; 12]);
    assert_eq!(sealer.open_ticket(&crossed), None);
}

#[test]
fn old_roots_open_and_unknown_ones_do_not() {
    let (session, ticket) = samples();
    let old = sealer(&[1]);
    let rotated = sealer(&[2, 1]);
    assert_eq!(rotated.open_session(&old.seal_session(&session, [0; 12])), Some(session.clone()));
    assert_eq!(rotated.open_ticket(&old.seal_ticket(&ticket, [0; 12])), Some(ticket.clone()));
    let renewed = rotated.seal_ticket(&ticket, [0; 12]);
    assert_eq!(old.open_ticket(&renewed), None, "the first root seals");
    assert_eq!(sealer(&[2]).open_ticket(&renewed), Some(ticket));
    assert_eq!(sealer(&[3]).open_session(&old.seal_session(&session, [0; 12])), None);
}

#[test]
fn what_is_sealed_is_still_not_believed() {
    let (session, ticket) = samples();
    let sealer = sealer(&[1]);
    let bend = |mut plain: Value, name: &str, value: &Value| {
        plain[name] = value.clone();
        plain
    };
    let session = serde_json::to_value(SessionText::of(&session)).unwrap();
    for (name, value) in [
        ("client", json!("evil")),
        ("redirect", json!("http://evil.example:10000/")),
        ("challenge", json!("x")),
        ("state", json!("")),
        ("state", json!("x".repeat(513))),
        ("browser", json!("00")),
        ("subject", json!("root")),
        ("issued_at", json!(1.5)),
        ("admin", json!(true)),
    ] {
        let text = sealer.seal(SESSION, &bend(session.clone(), name, &value), [0; 12]);
        assert_eq!(sealer.open_session(&text), None, "{name} {value}");
    }
    let foreign = StateVersionId::new(WorkspaceId::new(Timestamp::from_millis(1), [9; 10]), 1, [9; 10]);
    let ticket = serde_json::to_value(TicketText::of(&ticket)).unwrap();
    for (name, value) in [
        ("kind", json!("secrets")),
        ("version", json!("sv-1")),
        ("predecessor", json!(foreign.to_string())),
        ("serial", json!(-1)),
        ("lineage", json!("")),
        ("md5", json!("00")),
        ("force", json!("yes")),
        ("subject", json!("")),
        ("parent", json!("x")),
        ("lock", json!("x")),
        ("admin", json!(true)),
    ] {
        let text = sealer.seal(TICKET, &bend(ticket.clone(), name, &value), [0; 12]);
        assert_eq!(sealer.open_ticket(&text), None, "{name} {value}");
    }
}

#[test]
fn roots_must_be_there_and_long_enough() {
    assert_eq!(AeadSealer::new(&[]).unwrap_err(), SealerError::NoRoot);
    let short = [Secret::new(vec![1; 32]), Secret::new(vec![1; 31])];
    assert_eq!(AeadSealer::new(&short).unwrap_err(), SealerError::ShortRoot);
    assert_eq!(format!("{:?}", sealer(&[1, 2])), "AeadSealer { older: 1, .. }");
}

#[test]
fn a_login_at_the_provider_reads_back() {
    let away = AtProvider {
        redirect_uri: "https://taco.example/oauth/oidc-callback".to_owned(),
        nonce: "n".repeat(43),
        verifier: Secret::new("v".repeat(43)),
    };
    let session = LoginSession { stage: Stage::Away(away), ..samples().0 };
    let sealed = sealer(&[1]).seal_session(&session, [1; 12]);
    assert_eq!(sealer(&[1]).open_session(&sealed), Some(session));
}

#[test]
fn an_s3_secret_is_of_its_access_key_and_root() {
    let secret = |root: u8, id: &str| sealer(&[root]).s3_secrets(id).newest.expose().clone();
    assert_eq!(secret(1, "OTCAAAA"), secret(1, "OTCAAAA"));
    assert_eq!(secret(1, "OTCAAAA").len(), 43);
    assert_ne!(secret(1, "OTCAAAA"), secret(1, "OTCAAAB"));
    assert_ne!(secret(1, "OTCAAAA"), secret(2, "OTCAAAA"));
    let newest = AeadSealer::new(&[Secret::new(vec![2; 32]), Secret::new(vec![1; 32])]).unwrap();
    let both = newest.s3_secrets("OTCAAAA");
    assert_eq!(*both.newest.expose(), secret(2, "OTCAAAA"), "the newest root derives");
    let older: Vec<&String> = both.older.iter().map(Secret::expose).collect();
    assert_eq!(older, [&secret(1, "OTCAAAA")], "what an older root derived still counts");
}
