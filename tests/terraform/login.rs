//! `terraform login` on a terminal, with a browser beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use opentaco_tests::browser::{Answer, Browser, Who};
use opentaco_tests::client::Attempt;
use opentaco_tests::running::{Ran, Terminal};
use opentaco_tests::server::{Options, Server, Storage};
use opentaco_tests::terraform::{Release, Scheme, Workdir};

use crate::config::{cloud, resource};
use crate::setup::Setup;

/// How long Terraform may take to notice an answer.
pub(crate) const PROMPT: Duration = Duration::from_secs(10);

/// Runs `terraform login`, confirms, and answers in a browser.
async fn login(module: &Workdir, server: &Server, who: &Who, answer: Answer) -> Ran {
    login_in(&Browser::new(server), module, server, who, answer).await
}

/// Runs `terraform login`, confirms, and answers in that browser.
pub(crate) async fn login_in(
    browser: &Browser,
    module: &Workdir,
    server: &Server,
    who: &Who,
    answer: Answer,
) -> Ran {
    let (terminal, url) = begin(module, server);
    let arrived = browser.log_in(&url, who, answer).await;
    browser.deliver(arrived).await;
    terminal.finish_within(PROMPT)
}

/// Runs `terraform login` and confirms; it then waits for the browser, and this is the address to open.
pub(crate) fn begin(module: &Workdir, server: &Server) -> (Terminal, String) {
    let mut terminal = module.spawn_on_terminal(&["login", &server.host()]);
    terminal.wait_for("the question", |said| said.contains("Enter a value:").then_some(()));
    terminal.type_line("yes");
    let url = terminal.wait_for("the address to open", authorization);
    (terminal, url)
}

/// The first whole address of a login page in a text.
fn authorization(said: &str) -> Option<String> {
    let words = said.split_inclusive(char::is_whitespace).filter(|word| word.ends_with(char::is_whitespace));
    words
        .map(str::trim)
        .find(|word| word.starts_with("http") && word.contains("code_challenge="))
        .map(str::to_owned)
}

pub(crate) async fn the_one_time_code_logs_terraform_in_over_https(setup: &Setup) {
    logs_in(setup, Scheme::Https).await;
}

pub(crate) async fn the_one_time_code_logs_terraform_in_over_http(setup: &Setup) {
    logs_in(setup, Scheme::Http).await;
}

async fn logs_in(setup: &Setup, scheme: Scheme) {
    let server = setup.start();
    let module = setup.stranger(&server, scheme);

    let ran = login(&module, &server, &Who::owner(&server), Answer::Allow).await.ok();
    assert!(ran.stdout.contains("Success!"), "{}", ran.stdout);
    let token = module.stored_token().expect("a stored token");
    assert!(token.starts_with("otc_tfe_"), "an opaque token is stored");
    let mode = fs::metadata(module.credentials_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else may read it");
    assert!(!server.output().contains(&token), "a token is never logged");

    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("mine")));
    module.init();
    module.apply();
}

// Storage that is shared refuses this login, so it is held once.
#[tokio::test]
async fn the_development_login_needs_a_name_alone() {
    let Some(setup) = Setup::find(Release::V1_11, Storage::Local) else { return };
    let server = Server::start(Options::local().dev_login());
    let module = setup.stranger(&server, Scheme::Https);

    login(&module, &server, &Who::dev("alice"), Answer::Allow).await.ok();
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("mine")));
    module.init();
}

pub(crate) async fn a_denied_login_ends_at_once_and_stores_nothing(setup: &Setup) {
    for scheme in [Scheme::Https, Scheme::Http] {
        let server = setup.start();
        let module = setup.stranger(&server, scheme);

        login(&module, &server, &Who::owner(&server), Answer::Deny).await.refused("access_denied");
        assert_eq!(module.stored_token(), None);
    }
}

pub(crate) async fn two_logins_get_two_tokens(setup: &Setup) {
    let server = setup.start();
    let [first, second] = [(); 2].map(|()| setup.stranger(&server, Scheme::Https));

    for module in [&first, &second] {
        login(module, &server, &Who::owner(&server), Answer::Allow).await.ok();
    }
    assert_ne!(first.stored_token(), second.stored_token());
}

pub(crate) async fn a_login_replaces_a_token_that_no_longer_works(setup: &Setup) {
    let server = setup.start();
    let module = setup.stranger(&server, Scheme::Https);
    let stale = "otc_tfe_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    module.store_token(stale);

    login(&module, &server, &Who::owner(&server), Answer::Allow).await.ok();
    assert_ne!(module.stored_token().as_deref(), Some(stale));
}

pub(crate) async fn without_a_token_terraform_is_told_to_log_in(setup: &Setup) {
    let server = setup.start();
    let module = setup.stranger(&server, Scheme::Https);
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("x")));

    module.run(&["init", "-input=false"]).refused(&format!("terraform login {}", server.host()));
}

pub(crate) async fn logout_forgets_the_token(setup: &Setup) {
    let server = setup.start();
    let module = setup.stranger(&server, Scheme::Https);
    login(&module, &server, &Who::owner(&server), Answer::Allow).await.ok();
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("x")));
    module.init();

    module.run(&["logout", &server.host()]).ok();
    assert_eq!(module.stored_token(), None);
    module.run(&["plan", "-input=false"]).refused("terraform login");
}

#[tokio::test]
async fn a_login_code_works_once() {
    let server = Server::start(Options::memory());
    let code = server.login_code();
    let attempt = Attempt::new(&server);
    let who = Who::Code(code.clone());
    Browser::new(&server).log_in(&attempt.authorization, &who, Answer::Allow).await;

    let again = Browser::new(&server).try_to_log_in(&Attempt::new(&server).authorization, &code).await.page();
    assert!(!again.html.to_lowercase().contains("allow"), "no consent page for a used code: {}", again.html);
}
