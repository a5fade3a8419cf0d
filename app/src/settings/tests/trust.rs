//! The `[[trust]]` tables: what is a rule, and every way not to be one.

use opentaco_domain::name::NamePattern;
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::Role;
use opentaco_domain::trust::WorkloadToken;

use super::*;

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const GOOD: [(&str, &str); 5] = [
    ("name", "'github'"),
    ("issuer", "'https://token.actions.githubusercontent.com'"),
    ("audience", "'opentaco'"),
    ("claims", "{ repository_id = 1296269, ref = 'refs/heads/*', camelCase = true }"),
    ("role", "'writer'"),
];

/// A good rule, with some keys changed or added, and those left out that have no text.
fn rule(changed: &[(&str, &str)]) -> String {
    let kept = GOOD.iter().filter(|(key, _)| !changed.iter().any(|(other, _)| other == key));
    let lines = kept.chain(changed).filter(|(_, text)| !text.is_empty());
    let lines: Vec<String> = lines.map(|(key, text)| format!("{key} = {text}\n")).collect();
    format!("[[trust]]\n{}", lines.concat())
}

fn rules(file: &str) -> Result<Vec<TrustRule>, Box<dyn Error>> {
    settings("-config x.toml", &[], Some(file)).map(|settings| settings.trust)
}

fn refused(file: &str) -> String {
    refusal("-config x.toml", &[], Some(file))
}

fn token(claims: &[(&str, &str)]) -> WorkloadToken {
    WorkloadToken {
        issuer: GITHUB.to_owned(),
        audiences: vec!["opentaco".to_owned()],
        subject: "repo:a/b".to_owned(),
        claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

#[test]
fn a_rule_says_whom_it_trusts_and_with_what() -> TestResult {
    let second = rule(&[
        ("name", "' gitlab '"),
        ("issuer", "'http://127.0.0.1:9/x/'"),
        ("role", "'reader'"),
        ("unit", "'app/*'"),
        ("ttl", "'15m'"),
    ]);
    let rules = rules(&format!("port = 81\n{}{second}", rule(&[])))?;
    let [github, gitlab] = &rules[..] else { return Err(format!("{rules:?}").into()) };
    assert_eq!((github.name(), github.issuer(), github.life()), ("github", GITHUB, Duration::from_hours(1)));
    let scope = |role, unit| Scope { role: Some(role), unit: Some(NamePattern::new(unit)) };
    assert_eq!(github.scope(), scope(Role::Writer, "*"));
    assert_eq!((gitlab.name(), gitlab.issuer()), ("gitlab", "http://127.0.0.1:9/x/"));
    assert_eq!((gitlab.life(), gitlab.scope()), (Duration::from_mins(15), scope(Role::Reader, "app/*")));

    let claims = [("repository_id", "1296269"), ("ref", "refs/heads/main"), ("camelCase", "true")];
    assert!(github.admits(&token(&claims)), "numbers and truths are texts, and case is kept");
    assert!(!github.admits(&token(&claims[..2])));
    Ok(())
}

#[test]
fn rules_stand_beside_every_other_setting_and_in_the_file_alone() -> TestResult {
    assert_eq!(rules("trust = []")?, []);
    assert_eq!(rules(&rule(&[("claims", "{ sub = 'repo:a/*' }")]))?.len(), 1);
    let dotted = rule(&[("claims", "{ sub = 'x', 'https://example.com/team' = 'ops', 'a.b' = 'c' }")]);
    let claims = [("sub", "x"), ("https://example.com/team", "ops"), ("a.b", "c")];
    assert!(rules(&dotted)?.iter().all(|rule| rule.admits(&token(&claims))));
    assert_eq!(
        refusal("", &["OPENTACO_TRUST=x"], None),
        "unknown environment variable OPENTACO_TRUST; did you mean [[trust]] in the settings file?"
    );
    for flag in ["-trust x", "--trust=x"] {
        assert_eq!(
            refusal(flag, &[], None),
            "unknown flag -trust; did you mean [[trust]] in the settings file?"
        );
    }
    assert_eq!(refused("[[trusts]]"), "unknown key in x.toml: trusts; did you mean trust?");
    Ok(())
}

#[test]
fn a_key_that_is_unknown_or_missing_is_named() {
    let start = "[[trust]] rule \"github\" in x.toml: ";
    for (changed, reason) in [
        (("rol", "'x'"), "unknown key rol; did you mean role?"),
        (("clams", "{}"), "unknown key clams; did you mean claims?"),
        (
            ("xyzzyplugh", "1"),
            "unknown key xyzzyplugh; the keys are name, issuer, audience, claims, role, unit and ttl",
        ),
        (("port", "81"), "port is a setting of the server; write it above the first [[trust]]"),
        (
            ("issuer", ""),
            "issuer is missing; accepted: an https URL without user, query and fragment (http only on loopback)",
        ),
        (
            ("audience", ""),
            "audience is missing; accepted: what the CI system puts into the aud of its tokens for this server",
        ),
        (
            ("claims", ""),
            "claims is missing; accepted: a table of claims and patterns, such as { repository_id = \"1296269\", ref = \"refs/heads/*\" }",
        ),
        (("role", ""), "role is missing; accepted: reader, planner, writer, operator or admin"),
    ] {
        assert_eq!(refused(&rule(&[changed])), format!("{start}{reason}"));
    }
    assert_eq!(
        refused(&rule(&[("issuer", ""), ("audience", ""), ("role", "")])),
        format!("{start}issuer, audience and role are missing")
    );
    let second = format!("{}{}", rule(&[]), rule(&[("name", "")]));
    assert_eq!(
        refused(&second),
        "[[trust]] rule number 2 in x.toml: name is missing; accepted: 1 to 64 lower-case letters, digits or -"
    );
    assert_eq!(
        refused("[[trust]]"),
        "[[trust]] rule number 1 in x.toml: name, issuer, audience, claims and role are missing"
    );
}

#[test]
fn a_value_that_is_not_accepted_is_shown_with_what_is() {
    let name = "accepted: 1 to 64 lower-case letters, digits or -";
    let issuer = "accepted: an https URL without user, query and fragment (http only on loopback)";
    let audience = "accepted: what the CI system puts into the aud of its tokens for this server";
    let claims = "accepted: a table of claims and patterns, such as { repository_id = \"1296269\", ref = \"refs/heads/*\" }";
    let role = "accepted: reader, planner, writer, operator or admin";
    let unit = "accepted: a pattern of unit names, such as app/*";
    let ttl = "accepted: a duration above 0 and at most 24h, such as 15m or 1h";
    for (key, value, shown, accepted) in [
        ("issuer", "'http://ci.example.com'", "\"http://ci.example.com\"", issuer),
        ("issuer", "'ci.example.com'", "\"ci.example.com\"", issuer),
        ("issuer", "'https://ci.example.com?x'", "\"https://ci.example.com?x\"", issuer),
        ("issuer", "'https://me:hunter2@ci.example.com'", "\"https://me:[hidden]@ci.example.com\"", issuer),
        ("issuer", "['https://ci.example.com']", "not a single value", issuer),
        ("audience", "' '", "\"\"", audience),
        ("audience", "['a', 'b']", "not a single value", audience),
        ("claims", "'sub'", "\"sub\"", claims),
        ("claims", "['sub']", "not a table", claims),
        ("role", "'owner'", "\"owner\"", role),
        ("role", "'Writer'", "\"Writer\"", role),
        ("unit", "''", "\"\"", unit),
        ("ttl", "'soon'", "\"soon\"", ttl),
        ("ttl", "'0s'", "\"0s\"", ttl),
        ("ttl", "'25h'", "\"25h\"", ttl),
        ("ttl", "3600", "\"3600\"", ttl),
    ] {
        assert_eq!(
            refused(&rule(&[(key, value)])),
            format!("[[trust]] rule \"github\" in x.toml: {key} is {shown}; {accepted}")
        );
    }
    assert_eq!(
        refused(&rule(&[("name", "'Git Hub'")])),
        format!("[[trust]] rule \"Git Hub\" in x.toml: name is \"Git Hub\"; {name}")
    );
    assert_eq!(
        refused(&rule(&[("name", "''")])),
        format!("[[trust]] rule number 1 in x.toml: name is \"\"; {name}")
    );
}

#[test]
fn a_rule_trusts_somebody_and_not_a_whole_ci_system() {
    for claims in ["{}", "{ sub = '*' }", "{ sub = '' }", "{ ref = 'refs/heads/main' }"] {
        assert_eq!(
            refused(&rule(&[("claims", claims)])),
            "[[trust]] rule \"github\" in x.toml: claims must name at least one of sub, repository_id and project_path, with a pattern that is more than `*`"
        );
    }
    for claims in ["{ sub = ['a'] }", "{ sub = { a = 'b' } }"] {
        assert_eq!(
            refused(&rule(&[("claims", claims)])),
            "[[trust]] rule \"github\" in x.toml: claims.sub is not a single value; accepted: a pattern, in which * stands for any text"
        );
    }
}

#[test]
fn rules_have_names_of_their_own_and_are_tables() {
    assert_eq!(
        refused(&format!("{}{}", rule(&[]), rule(&[("role", "'reader'")]))),
        "[[trust]] rule \"github\" in x.toml: another rule has that name; each one needs a name of its own"
    );
    for file in ["trust = 'x'", "[trust]\nname = 'github'", "trust = ['github']", "trust = 1"] {
        assert_eq!(
            refused(file),
            "the settings file x.toml: trust must be a list of tables; begin each rule with a line [[trust]]",
            "{file}"
        );
    }
}
