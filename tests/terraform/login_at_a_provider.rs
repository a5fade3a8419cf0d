//! `terraform login` where people log in at a provider.

use opentaco_tests::browser::{Answer, Browser, Stop, Who};
use opentaco_tests::pair::{Alone, Pair, everybody};
use opentaco_tests::provider::ProviderOptions;
use opentaco_tests::running::Ran;
use opentaco_tests::server::Options;
use opentaco_tests::terraform::{Scheme, Workdir};

use crate::config::{cloud, resource};
use crate::login::{PROMPT, begin, login_in};
use crate::setup::Setup;

/// Runs `terraform login`, logs in at the provider, and answers on our page of consent.
async fn login(module: &Workdir, pair: &Pair, who: &Who, answer: Answer) -> Ran {
    login_in(&pair.browser(), module, &pair.server, who, answer).await
}

pub(crate) async fn a_person_of_the_provider_logs_terraform_in_over_https(setup: &Setup) {
    logs_in(setup, Scheme::Https).await;
}

pub(crate) async fn a_person_of_the_provider_logs_terraform_in_over_http(setup: &Setup) {
    logs_in(setup, Scheme::Http).await;
}

async fn logs_in(setup: &Setup, scheme: Scheme) {
    let Some(pair) = Pair::start(everybody(setup.options())).await else { return };
    let module = setup.stranger(&pair.server, scheme);

    let ran = login(&module, &pair, &Who::known_as("alice"), Answer::Allow).await.ok();
    assert!(ran.stdout.contains("Success!"), "{}", ran.stdout);
    let token = module.stored_token().expect("a stored token");
    assert!(!pair.server.output().contains(&token), "a token is never logged");

    module.write("main.tf", &(cloud(&pair.server, "name = \"web\"") + &resource("mine")));
    module.init();
    module.apply();
}

pub(crate) async fn a_provider_that_comes_up_during_the_login_is_no_reason_to_begin_anew(setup: &Setup) {
    let Some(alone) = Alone::start(everybody(setup.options())) else { return };
    let module = setup.stranger(&alone.server, Scheme::Https);

    let (terminal, url) = begin(&module, &alone.server);
    let Stop::Page(page) = Browser::new(&alone.server).open(&url).await else { panic!("nobody is there") };
    assert_eq!(page.status, 503, "{}", page.html);
    assert!(page.html.contains(&alone.issuer()) && page.html.contains("try again"), "{}", page.html);

    let pair = alone.join(&ProviderOptions::default());
    pair.know_each_other().await;
    // The page is loaded again; Terraform still waits.
    let browser = pair.browser();
    let arrived = browser.log_in(&url, &Who::known_as("alice"), Answer::Allow).await;
    browser.deliver(arrived).await;
    terminal.finish_within(PROMPT).ok();
    assert!(module.stored_token().is_some());
}

pub(crate) async fn who_cancels_at_the_provider_ends_the_login_at_once_and_stores_nothing(setup: &Setup) {
    is_refused(setup, everybody, &Who::cancelling(), Answer::Allow, "denied at the identity provider").await;
}

pub(crate) async fn who_denies_after_the_provider_ends_the_login_at_once_and_stores_nothing(setup: &Setup) {
    is_refused(setup, everybody, &Who::known_as("alice"), Answer::Deny, "denied in the browser").await;
}

pub(crate) async fn who_may_not_log_in_is_told_what_to_ask_for_and_nothing_is_stored(setup: &Setup) {
    let elsewhere = |options: Options| options.env("OPENTACO_AUTH_ALLOWED_DOMAINS", "elsewhere.test");
    let told = "OPENTACO_AUTH_ALLOWED_DOMAINS, or one of its groups in OPENTACO_AUTH_ALLOWED_GROUPS";
    is_refused(setup, elsewhere, &Who::known_as("alice"), Answer::Allow, told).await;
}

async fn is_refused(
    setup: &Setup,
    admission: impl Fn(Options) -> Options,
    who: &Who,
    answer: Answer,
    told: &str,
) {
    let Some(pair) = Pair::start(admission(setup.options())).await else { return };
    for scheme in [Scheme::Https, Scheme::Http] {
        let module = setup.stranger(&pair.server, scheme);
        login(&module, &pair, who, answer).await.refused("access_denied").refused(told);
        assert_eq!(module.stored_token(), None);
    }
}

pub(crate) async fn an_administrator_works_and_somebody_else_is_refused(setup: &Setup) {
    let options = everybody(setup.options()).env("OPENTACO_ADMINS", "boss@example.com");
    let Some(pair) = Pair::start(options).await else { return };
    let [boss, alice] = [(); 2].map(|()| setup.stranger(&pair.server, Scheme::Https));
    for (module, name) in [(&boss, "boss"), (&alice, "alice")] {
        login(module, &pair, &Who::known_as(name), Answer::Allow).await.ok();
        module.write("main.tf", &(cloud(&pair.server, "name = \"web\"") + &resource(name)));
    }

    boss.init();
    boss.apply();
    let ran = alice.run(&["init", "-input=false"]);
    assert!(!ran.status.success(), "{ran:?}");
    assert_eq!(boss.output("app"), "boss");
}
