//! A browser as far as the login needs one: pages, forms, cookies, redirects.

use std::fs;

use reqwest::header::{HeaderMap, LOCATION, ORIGIN};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};
use scraper::{ElementRef, Html, Selector};

use crate::provider::Provider;
use crate::server::Server;

/// More pages than any login has.
const MOST_PAGES: usize = 10;

/// Who sits in front of the browser, and what they know.
#[derive(Clone, Debug)]
pub enum Who {
    /// Types the one-time code from the server's terminal.
    Code(String),
    /// Types a name into the development login.
    Name(String),
    /// Has an account at the provider; see [`Browser::through`].
    Provider {
        /// The login name there.
        login: String,
        /// What they say there: whether they log in and let the server know who they are, or cancel.
        answer: Answer,
    },
}

impl Who {
    /// The person at the server's terminal, who reads the newest code there.
    pub fn owner(server: &Server) -> Self {
        Self::Code(server.login_code())
    }

    /// A user of the development login.
    pub fn dev(name: &str) -> Self {
        Self::Name(name.into())
    }

    /// A user of the provider, who lets the server know who they are.
    pub fn known_as(login: &str) -> Self {
        Self::Provider { login: login.into(), answer: Answer::Allow }
    }

    /// Somebody who cancels on the first page of the provider.
    pub fn cancelling() -> Self {
        Self::Provider { login: String::new(), answer: Answer::Deny }
    }

    fn types(&self) -> &str {
        match self {
            Self::Code(text) | Self::Name(text) => text,
            Self::Provider { .. } => panic!("who logs in at the provider types nothing into our page"),
        }
    }
}

/// Which button is pressed on the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Let the program act for me.
    Allow,
    /// Do not.
    Deny,
}

/// A browser window with a cookie jar of its own.
pub struct Browser {
    client: Client,
    hosts: Vec<String>,
    provider: Option<String>,
}

/// A page that arrived, with what can be done on it.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it lies.
    pub url: Url,
    /// The status it came with.
    pub status: StatusCode,
    /// The headers it came with.
    pub headers: HeaderMap,
    /// Its source.
    pub html: String,
    /// Its forms, in order.
    pub forms: Vec<Form>,
}

/// A form of a page.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it goes.
    pub action: Url,
    /// Whether it is sent by POST.
    pub post: bool,
    /// Its hidden inputs.
    pub hidden: Vec<(String, String)>,
    /// The names of the inputs that a person types into.
    pub visible: Vec<String>,
    /// Its buttons.
    pub buttons: Vec<Button>,
}

/// What a person types into a form, by the name of the input.
type Typed<'a> = [(&'a str, &'a str)];

/// A button that sends its form.
#[derive(Clone, Debug)]
pub struct Button {
    /// The field it adds, if any.
    pub field: Option<(String, String)>,
    /// What a person reads on it.
    pub label: String,
    /// Where it sends the form instead, if anywhere.
    pub action: Option<Url>,
}

/// What a click or an address leads to.
pub enum Stop {
    /// A page of the server, or of the provider.
    Page(Box<Page>),
    /// An address elsewhere: the program that asked for the login.
    Elsewhere(Url),
}

impl Browser {
    /// Opens a window that trusts the server's development certificate.
    pub fn new(server: &Server) -> Self {
        let client = crate::client::http(server).cookie_store(true).redirect(Policy::none());
        Self { client: client.build().expect("a client"), hosts: vec![server.host()], provider: None }
    }

    /// Opens a window that also follows the server to the provider and back.
    pub fn through(server: &Server, provider: &Provider) -> Self {
        Self { provider: Some(provider.authority()), ..Self::new(server) }.trusting(&provider.authority())
    }

    /// Opens a window that knows the provider alone.
    pub fn at(provider: &Provider) -> Self {
        let client = crate::client::plain().cookie_store(true).redirect(Policy::none());
        let host = provider.authority();
        Self { client: client.build().expect("a client"), hosts: vec![host.clone()], provider: Some(host) }
    }

    /// Follows redirects to that `HOST:PORT`, too: a second server, or a proxy.
    pub fn trusting(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// Walks from the address that Terraform printed to the address that Terraform waits for.
    ///
    /// The answer is not delivered: see [`Browser::deliver`].
    pub async fn log_in(&self, authorization: &str, who: &Who, answer: Answer) -> Url {
        let mut stop = self.open(authorization).await;
        let mut typed = false;
        for _ in 0..MOST_PAGES {
            let page = match stop {
                Stop::Elsewhere(url) => return url,
                Stop::Page(page) => page,
            };
            stop = if self.provider.as_deref() == Some(&authority(&page.url)) {
                self.answer_provider(&page, who).await
            } else if let Some((form, button)) = page.consent(answer) {
                self.submit(&page, form, Some(button), None).await
            } else {
                assert!(!typed, "the login page came back: {page:?}");
                typed = true;
                let form = page.login();
                self.submit(&page, form, form.buttons.first(), Some(who.types())).await
            };
        }
        panic!("the login did not end after {MOST_PAGES} pages");
    }

    /// Does on a page of the provider what this person wants: logs in, goes on, or cancels.
    pub async fn answer_provider(&self, page: &Page, who: &Who) -> Stop {
        let Who::Provider { login, answer } = who else { panic!("who has no account there: {page:?}") };
        if *answer == Answer::Deny {
            return self.open(page.link("[ Cancel ]").as_str()).await;
        }
        let [form] = &page.forms[..] else { panic!("not one form: {page:?}") };
        let password = ("password", "any");
        let all = [("login", login.as_str()), password];
        // The page of consent has a form, too, but nothing to type.
        let typed = if form.visible.is_empty() { &[][..] } else { &all[..] };
        self.send(page, form, form.buttons.first(), typed).await
    }

    /// Types something into the login page behind an address, and gives what follows.
    pub async fn try_to_log_in(&self, authorization: &str, typed: &str) -> Stop {
        match self.open(authorization).await {
            Stop::Elsewhere(url) => panic!("no login page but a redirect to {url}"),
            Stop::Page(page) => {
                let form = page.login();
                self.submit(&page, form, form.buttons.first(), Some(typed)).await
            }
        }
    }

    /// Follows the last redirect, to the listener of the program that asked.
    ///
    /// Terraform may close its listener while it still answers, so an answer that is cut off is no failure.
    pub async fn deliver(&self, url: Url) {
        if let Err(error) = self.client.get(url).send().await {
            assert!(!error.is_connect(), "nobody listens: {error}");
        }
    }

    /// Opens an address and follows redirects as long as they stay on the server, or where this window follows it.
    pub async fn open(&self, url: &str) -> Stop {
        self.follow(self.client.get(url)).await
    }

    /// Sends a form with what was typed and the button that was pressed.
    pub async fn submit(
        &self,
        page: &Page,
        form: &Form,
        button: Option<&Button>,
        typed: Option<&str>,
    ) -> Stop {
        let typed: Vec<_> = typed.map(|typed| (form.visible[0].as_str(), typed)).into_iter().collect();
        self.send(page, form, button, &typed).await
    }

    async fn send(&self, page: &Page, form: &Form, button: Option<&Button>, typed: &Typed<'_>) -> Stop {
        let mut fields = form.hidden.clone();
        fields.extend(typed.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        fields.extend(button.and_then(|button| button.field.clone()));
        let action = button.and_then(|button| button.action.clone()).unwrap_or_else(|| form.action.clone());
        if form.post {
            let origin = page.url.origin().ascii_serialization();
            self.follow(self.client.post(action).header(ORIGIN, origin).form(&fields)).await
        } else {
            self.follow(self.client.get(action).query(&fields)).await
        }
    }

    async fn follow(&self, mut request: RequestBuilder) -> Stop {
        for _ in 0..MOST_PAGES {
            let response = request.send().await.expect("an answer");
            let target =
                response.headers().get(LOCATION).map(|to| to.to_str().expect("an address").to_owned());
            let Some(target) = target.filter(|_| response.status().is_redirection()) else {
                return Stop::Page(Box::new(Page::read(response).await));
            };
            let target = response.url().join(&target).expect("an address");
            if !self.hosts.contains(&authority(&target)) {
                return Stop::Elsewhere(target);
            }
            request = self.client.get(target);
        }
        panic!("redirects without end");
    }
}

impl Stop {
    /// The page, where one was expected.
    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => *page,
            Self::Elsewhere(url) => panic!("no page but a redirect to {url}"),
        }
    }
}

impl Page {
    async fn read(response: reqwest::Response) -> Self {
        let (url, status) = (response.url().clone(), response.status());
        let headers = response.headers().clone();
        let html = response.text().await.expect("a body");
        let forms = forms(&html, &url);
        Self { url, status, headers, html, forms }
    }

    /// The form with the one input that a person types into.
    fn login(&self) -> &Form {
        let with_input: Vec<&Form> = self.forms.iter().filter(|form| !form.visible.is_empty()).collect();
        match with_input[..] {
            [form] if form.visible.len() == 1 => form,
            _ => panic!(
                "{}: not one form with one input, but {}: {}",
                self.status,
                with_input.len(),
                self.html
            ),
        }
    }

    /// Where the link with that text leads.
    pub fn link(&self, text: &str) -> Url {
        let html = Html::parse_document(&self.html);
        let found = html.select(&selector("a")).find(|link| link.text().collect::<String>().trim() == text);
        let href = found.and_then(|link| link.attr("href"));
        let href = href.unwrap_or_else(|| panic!("{}: no link {text}: {}", self.status, self.html));
        self.url.join(href).expect("an address")
    }

    /// The form and button of a consent page; nothing on any other page.
    fn consent(&self, answer: Answer) -> Option<(&Form, &Button)> {
        let press = |answer: Answer| {
            let says = format!("{answer:?}").to_lowercase();
            self.forms.iter().find_map(|form| {
                let button = form.buttons.iter().find(|button| button.says(&says))?;
                Some((form, button))
            })
        };
        // Both answers must be offered, or this is another kind of page.
        let (allow, deny) = (press(Answer::Allow)?, press(Answer::Deny)?);
        Some(if answer == Answer::Allow { allow } else { deny })
    }
}

impl Button {
    fn says(&self, word: &str) -> bool {
        let value = self.field.as_ref().map_or("", |(_, value)| value.as_str());
        [self.label.as_str(), value].iter().any(|text| text.trim().to_lowercase() == word)
    }
}

/// The forms of a page, by what HTML says about them.
fn forms(html: &str, url: &Url) -> Vec<Form> {
    let html = Html::parse_document(html);
    html.select(&selector("form")).map(|form| read_form(form, url)).collect()
}

fn read_form(form: ElementRef<'_>, url: &Url) -> Form {
    let join = |to: Option<&str>| to.filter(|to| !to.is_empty()).and_then(|to| url.join(to).ok());
    let mut found = Form {
        action: join(form.attr("action")).unwrap_or_else(|| url.clone()),
        post: form.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
        hidden: Vec::new(),
        visible: Vec::new(),
        buttons: Vec::new(),
    };
    for element in form.select(&selector("input, button")) {
        let name = element.attr("name").map(str::to_owned);
        let value = element.attr("value").unwrap_or_default().to_owned();
        let kind = element.attr("type").unwrap_or_default().to_ascii_lowercase();
        let action = join(element.attr("formaction"));
        match (element.value().name(), kind.as_str()) {
            ("button", "" | "submit") => {
                let label = element.text().collect::<String>();
                found.buttons.push(Button { field: name.map(|name| (name, value)), label, action });
            }
            ("input", "submit") => {
                let label = value.clone();
                found.buttons.push(Button { field: name.map(|name| (name, value)), label, action });
            }
            ("input", "hidden") => found.hidden.extend(name.map(|name| (name, value))),
            ("input", "" | "text" | "password" | "email" | "search" | "tel") => found.visible.extend(name),
            _ => {}
        }
    }
    found
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).expect("a selector")
}

fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// The development CA, if this server has one.
pub(crate) fn development_ca(server: &Server) -> Vec<Certificate> {
    fs::read(server.ca()).map_or_else(
        |_| Vec::new(),
        |pem| Certificate::from_pem_bundle(&pem).expect("certificates in tls/ca.pem"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> Page {
        let url = Url::parse("https://localhost:8080/oauth/authorization?a=b").unwrap();
        let forms = forms(html, &url);
        Page { url, status: StatusCode::OK, headers: HeaderMap::default(), html: html.into(), forms }
    }

    #[test]
    fn a_login_form_keeps_its_hidden_inputs() {
        let page = page(
            "<form method=post action='/oauth/login'><input type=hidden name=s value='a&amp;b'>\
             <label>Code<input name=code autofocus></label><button>Log in</button></form>",
        );
        let form = page.login();
        assert_eq!(form.action.as_str(), "https://localhost:8080/oauth/login");
        assert_eq!(form.hidden, [("s".to_owned(), "a&b".to_owned())]);
        assert_eq!((form.post, &form.visible[..]), (true, &["code".to_owned()][..]));
        assert!(page.consent(Answer::Allow).is_none());
    }

    #[test]
    fn the_consent_page_is_known_by_its_two_buttons() {
        let page = page(
            "<form method=POST><button name=a value=allow>Yes</button></form>\
             <form method=POST action=no><input type=submit value=Deny></form>",
        );
        let (form, button) = page.consent(Answer::Allow).unwrap();
        assert_eq!(button.field, Some(("a".into(), "allow".into())));
        assert_eq!(form.action, page.url);
        let (form, _) = page.consent(Answer::Deny).unwrap();
        assert_eq!(form.action.as_str(), "https://localhost:8080/oauth/no");
    }
}
