//! The login's pages: one layout, no script, nothing from elsewhere.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use opentaco_domain::oauth::{Client, RedirectUri};
use opentaco_ports::driven::{Entropy, random};
use opentaco_ports::driving::login::Method;

/// The hidden field with the sealed session.
pub(super) const SESSION: &str = "session";
/// The field that the person types into.
pub(super) const PROOF: &str = "proof";
/// The field that the buttons of the consent page send.
pub(super) const VERDICT: &str = "verdict";
/// Its value for yes.
pub(super) const ALLOW: &str = "allow";
/// Its value for no.
pub(super) const DENY: &str = "deny";

/// A page before it has its layout.
pub(super) struct Page {
    title: &'static str,
    content: Markup,
    /// Where a form of the page may lead besides this server: browsers hold redirects after a POST to it.
    leads_to: Option<String>,
}

impl Page {
    /// Asks who the person is, and says what was wrong with the last answer.
    pub(super) fn identify(
        method: Method,
        redirect: &RedirectUri,
        sealed: &str,
        wrong: Option<String>,
    ) -> Self {
        let content = html! {
            form method="post" action="/oauth/authorization" {
                @match method {
                    Method::TerminalCode => {
                        p { "Type the login code that the server printed on its terminal, in the newest line "
                            code { "login code: XXXX-XXXX" } "." }
                    }
                    Method::AnyName => {
                        p { "This is the development login: type any name. Nothing is checked." }
                    }
                    Method::Provider => {}
                }
                @if let Some(wrong) = wrong {
                    p.wrong role="alert" { (wrong) }
                }
                input type="hidden" name=(SESSION) value=(sealed);
                label for=(PROOF) {
                    @match method { Method::TerminalCode => "Login code", _ => "Name" }
                }
                input #(PROOF) type="text" name=(PROOF) required autofocus autocomplete="off" autocapitalize="off"
                    spellcheck="false" maxlength="64";
                button.first type="submit" { "Continue" }
            }
        };
        // A name that may not log in goes back with a denial.
        Self { title: "Log in to OpenTaco", content, leads_to: Some(redirect.source()) }
    }

    /// Asks whether the program may act for the person.
    pub(super) fn consent(client: Client, person: &str, redirect: &RedirectUri, sealed: &str) -> Self {
        let content = html! {
            p { (client.program()) " on this computer, port " b { (redirect.port()) } ", wants to act as "
                b { (person) } "." }
            p.quiet { "It gets a token that can read and change state here. Allow this only if you have just run "
                code { (client.command()) } " yourself." }
            form method="post" action="/oauth/consent" {
                input type="hidden" name=(SESSION) value=(sealed);
                div.buttons {
                    button.first type="submit" name=(VERDICT) value=(ALLOW) { "Allow" }
                    button type="submit" name=(VERDICT) value=(DENY) { "Deny" }
                }
            }
        };
        let title = match client {
            Client::TerraformCli => "Allow Terraform?",
            Client::Taco => "Allow taco?",
        };
        Self { title, content, leads_to: Some(redirect.source()) }
    }

    /// Says why the login cannot go on.
    pub(super) fn failed(reason: &str) -> Self {
        let content = html! {
            p.wrong role="alert" { (reason) }
            p.quiet { "You can close this page. To try again, stop the command in your terminal if it still waits, and run "
                code { "terraform login" } " again." }
        };
        Self { title: "The login stopped here", content, leads_to: None }
    }

    /// The answer: the page in its layout, under a policy that lets it do nothing else.
    pub(super) fn answer(self, status: StatusCode, entropy: &dyn Entropy) -> HttpResponse {
        let nonce = BASE64.encode(&random::<16>(entropy));
        let form_action =
            self.leads_to.as_ref().map_or_else(|| "'self'".to_owned(), |to| format!("'self' {to}"));
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action {form_action}; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((CONTENT_SECURITY_POLICY, policy))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(layout(self.title, &self.content, &nonce).into_string())
    }
}

fn layout(title: &str, content: &Markup, nonce: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.mark { "OpenTaco" }
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2330;--quiet:#5b6475;--paper:#f4f5f8;--card:#fff;--line:#d5d9e2;--accent:#5b45d6;--wrong:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaf0;--quiet:#a3abbb;--paper:#13161d;--card:#1d222c;--line:#384052;--accent:#8f7dff;--wrong:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{width:100%;max-width:26rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:14px}
.mark{margin:0;color:var(--accent);font-weight:700;letter-spacing:.02em}
h1{margin:.25rem 0 1rem;font-size:1.4rem;line-height:1.25}
p{margin:0 0 1rem}
.quiet{color:var(--quiet);font-size:.9rem}
.wrong{color:var(--wrong)}
label{display:block;margin-bottom:.35rem;font-weight:600}
input[type=text]{width:100%;padding:.65rem .75rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:8px}
button{width:100%;margin-top:1rem;padding:.65rem;font:inherit;font-weight:600;color:inherit;background:transparent;border:1px solid var(--line);border-radius:8px;cursor:pointer}
button.first{color:var(--card);background:var(--accent);border-color:var(--accent)}
input:focus-visible,button:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.buttons{display:flex;gap:.75rem}
.buttons button{margin-top:.25rem}
code{font-size:.9em}
";

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    fn read(answer: HttpResponse) -> (String, String) {
        let policy = answer.headers().get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
        let body = answer.into_body().try_into_bytes().unwrap();
        (policy, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_page_escapes_what_it_shows_and_allows_its_style_alone() {
        let (policy, html) = read(Page::failed("<script>").answer(StatusCode::BAD_REQUEST, &Zeros));
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        let nonce = "AAAAAAAAAAAAAAAAAAAAAA==";
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'nonce-{nonce}';")), "{policy}");
        assert!(html.contains(&format!("<style nonce=\"{nonce}\">")), "{html}");
        assert!(policy.contains("form-action 'self';"), "{policy}");
    }

    #[test]
    fn only_pages_of_a_checked_request_may_lead_to_the_command_line() {
        let redirect = RedirectUri::parse("http://localhost:10004/login").unwrap();
        let page = Page::consent(Client::TerraformCli, "alice", &redirect, "sealed");
        let (policy, html) = read(page.answer(StatusCode::OK, &Zeros));
        assert!(policy.contains("form-action 'self' http://localhost:10004;"), "{policy}");
        for part in
            ["port <b>10004</b>", "<b>alice</b>", "value=\"allow\"", "value=\"deny\"", "value=\"sealed\""]
        {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }
}
