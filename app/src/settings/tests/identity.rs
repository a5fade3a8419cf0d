//! Keys that verify, the provider and its users, administrators, proxies.

use opentaco_domain::user::Domains;
use opentaco_oidc::EmailVerified;

use super::*;

/// The least that a provider needs.
const PROVIDER: [&str; 2] =
    ["OPENTACO_AUTH_ISSUER=https://id.example.com/", "OPENTACO_AUTH_CLIENT_ID=opentaco"];

/// With a provider and these settings besides, each without its prefix.
fn with_provider(more: &[&str]) -> Result<Settings, Box<dyn Error>> {
    settings("", &environment(more).iter().map(String::as_str).collect::<Vec<_>>(), None)
}

fn refused_with_provider(more: &[&str]) -> String {
    refusal("", &environment(more).iter().map(String::as_str).collect::<Vec<_>>(), None)
}

fn environment(more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|pair| format!("OPENTACO_{pair}"));
    PROVIDER.into_iter().map(str::to_owned).chain(more).collect()
}

fn provider(more: &[&str]) -> Result<ProviderSettings, Box<dyn Error>> {
    Ok(with_provider(more)?.provider.ok_or("no provider")?)
}

fn texts(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn with_nothing_set_there_is_no_provider_and_nobody_is_named() -> TestResult {
    let settings = settings("", &[], None)?;
    assert_eq!(settings.tokens_access_ttl, Duration::from_hours(1));
    assert_eq!(settings.tokens_refresh_ttl, Duration::from_hours(720));
    assert_eq!((settings.provider, settings.allowed.is_stated()), (None, false));
    assert!(settings.tokens_verify_pem_paths.is_empty() && settings.admins.is_empty());
    assert!(settings.trusted_proxies.is_empty() && settings.trust.is_empty());
    Ok(())
}

#[test]
fn the_new_settings_come_from_everywhere_in_the_same_order() -> TestResult {
    let file = Some(
        "auth_issuer = 'https://file.example.com'\nauth_client_id = 1234\nadmins = 'file@example.com'\n\
         tokens_access_ttl = '3m'\ntrusted_proxies = '10.0.0.3'",
    );
    let environment =
        ["OPENTACO_CONFIG=x", "OPENTACO_ADMINS=env@example.com", "OPENTACO_TOKENS_ACCESS_TTL=2m"];
    let settings = settings("-tokens-access-ttl 1m --admins=flag@example.com", &environment, file)?;
    assert_eq!(settings.tokens_access_ttl, Duration::from_mins(1));
    assert_eq!(settings.admins, BTreeSet::from(["flag@example.com".parse()?]));
    assert_eq!(settings.trusted_proxies, ["10.0.0.3/32".parse()?]);
    let provider = settings.provider.ok_or("no provider")?;
    assert_eq!((provider.issuer.as_str(), provider.client_id.as_str()), ("https://file.example.com", "1234"));
    Ok(())
}

#[test]
fn keys_that_verify_have_an_id_or_not() -> TestResult {
    let keys = |value: &str| {
        settings("", &[&format!("OPENTACO_TOKENS_VERIFY_PEM_PATHS={value}")], None)
            .map(|settings| settings.tokens_verify_pem_paths)
    };
    let key = |kid: Option<&str>, path: &str| VerifyKeyPath {
        kid: kid.map(str::to_owned),
        path: PathBuf::from(path),
    };
    assert_eq!(keys("/keys/a b.pem")?, [key(None, "/keys/a b.pem")]);
    assert_eq!(
        keys("v1=/keys/a.pem, /keys/b.pem ,v2 = c=d.pem, e.pem")?,
        [
            key(Some("v1"), "/keys/a.pem"),
            key(None, "/keys/b.pem"),
            key(Some("v2"), "c=d.pem"),
            key(None, "e.pem")
        ]
    );
    let accepted =
        "a comma list of KID=PATH or PATH, each the path of an Ed25519 PEM file, such as v1=/keys/old.pem";
    for (value, entry) in
        [("a.pem,", ""), ("v1=", "v1="), ("=a.pem", "=a.pem"), ("a.pem,v 1=b.pem", "v 1=b.pem"), (",", "")]
    {
        assert_eq!(
            refusal("", &[&format!("OPENTACO_TOKENS_VERIFY_PEM_PATHS={value}")], None),
            format!(
                "OPENTACO_TOKENS_VERIFY_PEM_PATHS (from the environment) lists {entry:?}; accepted: {accepted}"
            )
        );
    }
    assert_eq!(
        refusal("-tokens-verify-pem-paths v1=a.pem,v2=b.pem,v1=c.pem", &[], None),
        "-tokens-verify-pem-paths (from the command line): \"v1\" names two keys; each one needs an id of its own"
    );
    Ok(())
}

#[test]
fn an_issuer_and_a_client_id_are_enough_for_a_provider() -> TestResult {
    let bare = provider(&[])?;
    assert_eq!((bare.issuer.as_str(), bare.client_id.as_str()), ("https://id.example.com/", "opentaco"));
    assert_eq!((&bare.client_secret, bare.groups_claim.as_str()), (&None, "groups"));
    assert_eq!(bare.scopes, ["openid", "profile", "email"]);
    assert_eq!(bare.email_verified, EmailVerified::Claim);
    for url in [&bare.auth_url, &bare.token_url, &bare.jwks_url, &bare.userinfo_url] {
        assert_eq!(url, &None);
    }
    Ok(())
}

#[test]
fn everything_of_a_provider_can_be_said() -> TestResult {
    let full = provider(&[
        "AUTH_CLIENT_SECRET=hunter2",
        "AUTH_AUTH_URL=https://id.example.com/auth?p=policy",
        "AUTH_TOKEN_URL=https://id.example.com/token",
        "AUTH_JWKS_URL=http://127.0.0.1:9/keys",
        "AUTH_USERINFO_URL=http://localhost/me",
        "AUTH_SCOPES=email,openid  groups, email",
        "AUTH_GROUPS_CLAIM=https://example.com/groups",
        "AUTH_EMAIL_VERIFIED=always",
    ])?;
    assert_eq!(full.client_secret.as_ref().map(Secret::expose), Some("hunter2"));
    assert!(!format!("{full:?}").contains("hunter2"));
    let shown = |url: &Option<url::Url>| url.as_ref().map(url::Url::to_string);
    assert_eq!(shown(&full.auth_url).as_deref(), Some("https://id.example.com/auth?p=policy"));
    assert_eq!(shown(&full.token_url).as_deref(), Some("https://id.example.com/token"));
    assert_eq!(shown(&full.jwks_url).as_deref(), Some("http://127.0.0.1:9/keys"));
    assert_eq!(shown(&full.userinfo_url).as_deref(), Some("http://localhost/me"));
    assert_eq!(full.scopes, ["email", "openid", "groups"]);
    assert_eq!(full.groups_claim, "https://example.com/groups");
    assert_eq!(full.email_verified, EmailVerified::Always);
    Ok(())
}

#[test]
fn an_issuer_stays_as_it_is_written() -> TestResult {
    for issuer in [
        "https://id.example.com",
        "https://id.example.com/a/",
        "https://ID.example.com:443/x",
        "http://[::1]:9",
    ] {
        let given = format!("OPENTACO_AUTH_ISSUER={issuer}");
        let settings = settings("-auth-client-id x", &[&given], None)?;
        assert_eq!(settings.provider.map(|provider| provider.issuer).as_deref(), Some(issuer));
    }
    Ok(())
}

#[test]
fn urls_of_the_provider_cannot_be_read_on_the_way() {
    let issuer = "an https URL (http only on loopback) without user, query and fragment, exactly as the provider writes it";
    let endpoint = "an https URL (http only on loopback) without user and fragment";
    let common = [
        "id.example.com",
        "https:id.example.com",
        "https://",
        "http://id.example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "ftp://id.example.com",
        "https://me@id.example.com",
        "https://id.example.com/#x",
        "https://id.example.com/a b",
        "https:\\\\id.example.com",
    ];
    for (name, accepted, own) in [
        ("ISSUER", issuer, &["https://id.example.com?x", "https://id.example.com/?"][..]),
        ("AUTH_URL", endpoint, &[]),
        ("TOKEN_URL", endpoint, &[]),
        ("JWKS_URL", endpoint, &[]),
        ("USERINFO_URL", endpoint, &[]),
    ] {
        for value in common.iter().chain(own) {
            let given = format!("AUTH_{name}={value}");
            assert_eq!(
                refused_with_provider(&[&given]),
                format!("OPENTACO_AUTH_{name} (from the environment) is {value:?}; accepted: {accepted}")
            );
        }
    }
}

#[test]
fn what_the_provider_is_asked_for_makes_sense() {
    for (given, message) in [
        (
            "AUTH_SCOPES=profile email",
            "OPENTACO_AUTH_SCOPES (from the environment): \"profile email\" does not have openid, without which the provider does not say who somebody is; add it",
        ),
        (
            "AUTH_SCOPES=openid \"x\"",
            "OPENTACO_AUTH_SCOPES (from the environment) is \"openid \\\"x\\\"\"; accepted: scopes with spaces or commas between them, openid among them",
        ),
        (
            "AUTH_SCOPES=,",
            "OPENTACO_AUTH_SCOPES (from the environment): \",\" does not have openid, without which the provider does not say who somebody is; add it",
        ),
        (
            "AUTH_GROUPS_CLAIM=my groups",
            "OPENTACO_AUTH_GROUPS_CLAIM (from the environment) is \"my groups\"; accepted: the name of a claim",
        ),
        (
            "AUTH_EMAIL_VERIFIED=true",
            "OPENTACO_AUTH_EMAIL_VERIFIED (from the environment) is \"true\"; accepted: claim or always",
        ),
        (
            "AUTH_CLIENT_ID=ä",
            "OPENTACO_AUTH_CLIENT_ID (from the environment) is \"ä\"; accepted: printable ASCII characters",
        ),
    ] {
        assert_eq!(refused_with_provider(&[given]), message);
    }
}

#[test]
fn what_belongs_to_a_provider_needs_one() {
    for (name, value) in [
        ("CLIENT_ID", "opentaco"),
        ("CLIENT_SECRET", "hunter2"),
        ("AUTH_URL", "https://id.example.com/auth"),
        ("TOKEN_URL", "https://id.example.com/token"),
        ("JWKS_URL", "https://id.example.com/keys"),
        ("USERINFO_URL", "https://id.example.com/me"),
        ("SCOPES", "openid"),
        ("GROUPS_CLAIM", "groups"),
        ("EMAIL_VERIFIED", "claim"),
        ("ALLOWED_DOMAINS", "*"),
        ("ALLOWED_GROUPS", "ops"),
    ] {
        assert_eq!(
            refusal("", &[&format!("OPENTACO_AUTH_{name}={value}")], None),
            format!(
                "OPENTACO_AUTH_{name} (from the environment): is only used with OPENTACO_AUTH_ISSUER; set that, or unset this"
            )
        );
    }
    assert_eq!(
        refusal("", &PROVIDER[..1], None),
        "OPENTACO_AUTH_CLIENT_ID: must be set with OPENTACO_AUTH_ISSUER: the id under which this server is registered with the provider"
    );
}

#[test]
fn endpoints_that_replace_discovery_need_a_source_of_trust() -> TestResult {
    let [auth, token] = ["AUTH_AUTH_URL=https://id.example.com/a", "AUTH_TOKEN_URL=https://id.example.com/t"];
    assert_eq!(
        refused_with_provider(&[auth, token]),
        "OPENTACO_AUTH_AUTH_URL and OPENTACO_AUTH_TOKEN_URL: no source of trust for the id token: set OPENTACO_AUTH_JWKS_URL or OPENTACO_AUTH_USERINFO_URL, or leave out the endpoints to have them discovered"
    );
    provider(&[auth])?;
    provider(&[token])?;
    provider(&[auth, token, "AUTH_JWKS_URL=https://id.example.com/keys"])?;
    provider(&[auth, token, "AUTH_USERINFO_URL=https://id.example.com/me"])?;
    Ok(())
}

#[test]
fn people_log_in_one_way_that_their_provider_can_follow() -> TestResult {
    assert_eq!(
        refused_with_provider(&["AUTH_DEV_SKIP_VERIFY=true"]),
        "OPENTACO_AUTH_DEV_SKIP_VERIFY (from the environment): true is a way to log in, and OPENTACO_AUTH_ISSUER is another; unset one of the two"
    );
    with_provider(&["AUTH_DEV_SKIP_VERIFY=false"])?;
    assert_eq!(
        refused_with_provider(&["LISTEN=0.0.0.0:8080"]),
        "OPENTACO_AUTH_ISSUER (from the environment): with OPENTACO_LISTEN 0.0.0.0:8080, which is not loopback, OPENTACO_PUBLIC_BASE_URL must be set: the provider sends people back to that URL, and tokens name it as their issuer"
    );
    for base in ["https://taco.example.com", "http://localhost:8080"] {
        with_provider(&["LISTEN=0.0.0.0:8080", &format!("PUBLIC_BASE_URL={base}")])?;
    }
    with_provider(&["LISTEN=[::1]:8080"])?;
    Ok(())
}

#[test]
fn who_may_log_in_is_a_domain_or_a_group() -> TestResult {
    let allowed = |more: &[&str]| with_provider(more).map(|settings| settings.allowed);
    assert_eq!(allowed(&["AUTH_ALLOWED_DOMAINS=*"])?.domains, Some(Domains::All));
    let both =
        allowed(&["AUTH_ALLOWED_DOMAINS=Example.com, @b.example", "AUTH_ALLOWED_GROUPS=Ops,my team,Ops"])?;
    assert_eq!(both.domains, Some(Domains::These(texts(&["example.com", "b.example"]))));
    assert_eq!(both.groups, texts(&["Ops", "my team"]));
    assert!(both.is_stated() && !allowed(&[])?.is_stated());
    assert!(allowed(&["AUTH_ALLOWED_GROUPS=x"])?.is_stated());
    let domains = "a comma list of domains such as example.com, or * for everybody";
    let groups = "a comma list of groups (for everybody, set OPENTACO_AUTH_ALLOWED_DOMAINS=*)";
    for (name, value, entry, accepted) in [
        ("DOMAINS", "example.com,", "", domains),
        ("DOMAINS", "*.example.com", "*.example.com", domains),
        ("DOMAINS", "a.example,alice@example.com", "alice@example.com", domains),
        ("DOMAINS", "https://example.com", "https://example.com", domains),
        ("DOMAINS", "example..com", "example..com", domains),
        ("DOMAINS", "@", "@", domains),
        ("GROUPS", "a,,b", "", groups),
        ("GROUPS", "*", "*", groups),
    ] {
        assert_eq!(
            refused_with_provider(&[&format!("AUTH_ALLOWED_{name}={value}")]),
            format!(
                "OPENTACO_AUTH_ALLOWED_{name} (from the environment) lists {entry:?}; accepted: {accepted}"
            )
        );
    }
    assert_eq!(
        refused_with_provider(&["AUTH_ALLOWED_DOMAINS=example.com,*"]),
        "OPENTACO_AUTH_ALLOWED_DOMAINS (from the environment): * lets everybody in, so it stands alone; leave out * or the domains"
    );
    Ok(())
}

#[test]
fn administrators_are_people_whom_somebody_has_checked() -> TestResult {
    let admins =
        settings("", &["OPENTACO_ADMINS=Alice@Example.com, oidc:bob@example.com,local:owner"], None)?.admins;
    let expected = ["alice@example.com", "oidc:bob@example.com", "local:owner"];
    assert_eq!(admins.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), texts(&expected));
    assert_eq!(admins.iter().filter(|admin| matches!(admin, Principal::Email(_))).count(), 1);
    let reason = |entry: &str, reason: &str| {
        format!(
            "OPENTACO_ADMINS (from the environment): {entry:?} cannot be an administrator: {reason}; name verified e-mail addresses or subjects of the provider (oidc:SUB)"
        )
    };
    for (value, entry, why) in [
        (
            "dev:alice@example.com",
            "dev:alice@example.com",
            "nobody checks the names of the development login",
        ),
        ("a@example.com,dev:", "dev:", "nobody checks the names of the development login"),
        ("ci:github:repo", "ci:github:repo", "a workload has the rights that its [[trust]] rule gives"),
        ("ci:x", "ci:x", "a workload has the rights that its [[trust]] rule gives"),
    ] {
        assert_eq!(refusal("", &[&format!("OPENTACO_ADMINS={value}")], None), reason(entry, why));
    }
    for (value, entry) in [
        ("alice", "alice"),
        ("a@b.example,", ""),
        ("ldap:a@b.example", "ldap:a@b.example"),
        ("a@", "a@"),
        ("*", "*"),
    ] {
        assert_eq!(
            refusal("", &[&format!("OPENTACO_ADMINS={value}")], None),
            format!(
                "OPENTACO_ADMINS (from the environment) lists {entry:?}; accepted: a comma list of verified e-mail addresses and subjects, such as alice@example.com,oidc:SUB"
            )
        );
    }
    Ok(())
}

#[test]
fn proxies_are_networks_and_addresses() -> TestResult {
    let given = "OPENTACO_TRUSTED_PROXIES=10.1.2.3/8, 192.0.2.7,fd00::/8,::1";
    let networks: Vec<String> =
        settings("", &[given], None)?.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::1/128"]);
    for (value, entry) in [
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("10.0.0.0/8,", ""),
        ("proxy.example.com", "proxy.example.com"),
        ("10.0.0.1,10.0.0.1:80", "10.0.0.1:80"),
        ("*", "*"),
    ] {
        assert_eq!(
            refusal("", &[&format!("OPENTACO_TRUSTED_PROXIES={value}")], None),
            format!(
                "OPENTACO_TRUSTED_PROXIES (from the environment) lists {entry:?}; accepted: a comma list of networks and addresses, such as 10.0.0.0/8,192.0.2.7,fd00::/8"
            )
        );
    }
    assert_eq!(
        refusal("-auth-dev-skip-verify true", &["OPENTACO_TRUSTED_PROXIES=127.0.0.1"], None),
        "-auth-dev-skip-verify (from the command line): true is for development: it is not accepted with OPENTACO_TRUSTED_PROXIES; unset one of the two"
    );
    Ok(())
}

/// Beside every wrong setting there is, every secret, from everywhere it can come from.
#[test]
fn no_message_has_a_secret() {
    const MARKER: &str = "hunter2-correct-horse-battery-staple";
    let wrong = [
        "",
        "-storage gcs",
        "-storage s3",
        "-nonsense 1",
        "-auth-client-id",
        "-auth-jwks-url x",
        "-auth-auth-url https://a/ -auth-token-url https://a/",
        "-auth-issuer x",
        "-auth-scopes email",
        "-auth-dev-skip-verify true",
        "-listen 0.0.0.0:1",
        "-admins dev:x",
        "-trusted-proxies x",
        "-tokens-verify-pem-paths a=x,a=x",
        "serve",
        "admin grant nobody",
    ];
    let check = |arguments: &str, environment: &[&str], file: Option<&str>| {
        for issuer in [None, Some("-auth-issuer https://id.example.com")] {
            let arguments = format!("{arguments} {}", issuer.unwrap_or_default());
            let Err(error) = load_from(&arguments, environment, file) else { continue };
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(!said.contains(MARKER), "{arguments} {file:?}: {said}");
            }
        }
    };
    for row in TABLE.iter().filter(|row| row.secret) {
        for secret in [MARKER.to_owned(), format!("{MARKER},short"), format!("https://me:{MARKER}@x")] {
            for wrong in wrong {
                check(wrong, &[&format!("{}={secret}", row.env)], None);
                check(&format!("{wrong} -{}={secret}", row.flag), &[], None);
                check(&format!("-{} {secret} {wrong} -{} {secret}", row.flag, row.flag), &[], None);
                for file in [
                    format!("{} = '{secret}'", row.key),
                    format!("{} = ['{secret}']", row.key),
                    format!("{} = {{ a = '{secret}' }}", row.key),
                    format!("{} = '{secret}'\nnonsense = 1", row.key),
                    format!("{} = '{secret}", row.key),
                    format!("{} = '{secret}'\n[[trust]]", row.key),
                    format!("[[trust]]\n{} = '{secret}'", row.key),
                    format!("[[trust]]\nname = 'x'\nsecret = '{secret}'"),
                ] {
                    check(&format!("{wrong} -config x"), &[], Some(&file));
                }
            }
        }
    }
    // A password is one wherever a URL is thought to belong; a file's path is shown as it is.
    for row in TABLE.iter().filter(|row| row.key != "config") {
        check("", &[&format!("{}=https://me:{MARKER}@id.example.com/", row.env)], None);
    }
}
