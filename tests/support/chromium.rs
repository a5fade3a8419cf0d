//! A real browser without a screen: Chromium, led by its own driver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::programs::{on_path, or_skipped};
use crate::wait::{eventually, until};

/// How long a start or a page may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);
/// The driver, and whoever ends it with everything it has started when the pipe from us breaks: we may be killed at any
/// moment. With job control the driver leads a group of its own, and the browser belongs to it.
const KEEPER: &str = r#"set -m
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
driver=$!
read -r _
kill -9 -- "-$driver"
wait "$driver" 2>/dev/null
rm -rf "$folder""#;
/// The key of an element in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What keeps it from a screen, from its sandbox (which a container and a superuser do not have), and from the world.
const FLAGS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1 , EXCLUDE ::1",
];

/// A browser window that nobody has used before. It trusts any certificate, knows no host but the loopback one, and is
/// gone when it is dropped, and also when we are killed.
#[derive(Debug)]
pub struct Chromium {
    client: Client,
    session: String,
    keeper: Keeper,
}

#[derive(Debug)]
struct Keeper {
    child: Child,
    folder: PathBuf,
}

impl Chromium {
    /// Opens a window.
    ///
    /// `OPENTACO_TEST_CHROMIUM` names the browser, else it is `chromium` on the path; `chromedriver` lies beside it or on
    /// the path. Without them: a failure in CI, and elsewhere a notice that the test was skipped.
    pub async fn find() -> Option<Self> {
        let (browser, driver) = or_skipped(
            programs(),
            "no Chromium with its driver found: run tests/run once (it installs Debian's chromium and chromium-driver), \
             put chromium and chromedriver on the PATH, or name the browser in OPENTACO_TEST_CHROMIUM",
        )?;
        Some(Self::start(&browser, &driver).await)
    }

    async fn start(browser: &Path, driver: &Path) -> Self {
        let keeper = Keeper::start(driver);
        let said = keeper.folder.join("log");
        let port: u16 = until(PATIENCE, "chromedriver to say its port", || {
            let said = fs::read_to_string(&said).ok()?;
            said.split_once("started successfully on port ")?.1.split_once('.')?.0.parse().ok()
        });
        let profile = format!("--user-data-dir={}", keeper.folder.join("profile").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "timeouts": {"pageLoad": PATIENCE.as_millis()},
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": browser, "args": flags},
        }}});
        let client = crate::client::plain().build().expect("a client");
        let drivers = format!("http://127.0.0.1:{port}/session");
        let mut window = Self { client, session: drivers, keeper };
        let made = window.ask(Method::POST, "", Some(wanted)).await;
        let made = made.unwrap_or_else(|error| panic!("no browser: {error}\n{}", window.keeper.log()));
        window.session = format!("{}/{}", window.session, text(&made["sessionId"]));
        window
    }

    /// Opens an address and waits until the page is there. Nobody has to answer: see [`Chromium::current_url`].
    pub async fn open(&self, url: &str) {
        match self.ask(Method::POST, "/url", Some(json!({"url": url}))).await {
            Ok(_) => {}
            // The last of several redirects may lead to a program that is not there.
            Err(error) if error.contains("net::ERR_CONNECTION_REFUSED") => {}
            Err(error) => panic!("{url} does not open: {error}"),
        }
    }

    /// Types into the first field that the selector finds, as soon as it is there.
    pub async fn fill(&self, css: &str, text: &str) {
        self.act(css, "value", json!({"text": text})).await;
    }

    /// Clicks on the first thing that the selector finds, as soon as it is there, and waits for the page this leads to.
    pub async fn press(&self, css: &str) {
        self.act(css, "click", json!({})).await;
    }

    /// What a person reads in the first thing that the selector finds, as soon as it is there.
    pub async fn text(&self, css: &str) -> String {
        eventually(PATIENCE, async || {
            let element = self.element(css).await?;
            self.ask(Method::GET, &format!("/element/{element}/text"), None).await.map(|found| text(&found))
        })
        .await
    }

    /// The address in the window, also that of a page that could not be loaded.
    pub async fn current_url(&self) -> String {
        text(&self.ask(Method::GET, "/url", None).await.unwrap_or_else(|error| panic!("no address: {error}")))
    }

    /// Waits until the address in the window begins like that, and gives the whole of it.
    pub async fn wait_for_url(&self, start: &str) -> String {
        eventually(PATIENCE, async || {
            let url = self.current_url().await;
            if url.starts_with(start) {
                return Ok(url);
            }
            let console = self.console().await;
            Err(format!("{start} was wanted, and it is at {url}\n{}\n{console:#?}", self.html().await))
        })
        .await
    }

    /// The source of the page as the browser has understood it.
    pub async fn html(&self) -> String {
        let source = self.ask(Method::GET, "/source", None).await;
        text(&source.unwrap_or_else(|error| panic!("no source: {error}")))
    }

    /// What the browser has complained about since the last call, a broken content security policy for instance.
    pub async fn console(&self) -> Vec<String> {
        let log = self.ask(Method::POST, "/se/log", Some(json!({"type": "browser"}))).await;
        let log = log.unwrap_or_else(|error| panic!("no log: {error}"));
        log.as_array().expect("a list of entries").iter().map(|entry| text(&entry["message"])).collect()
    }

    /// Runs a function's body in the page, and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        let wanted = json!({"script": script, "args": []});
        let ran = self.ask(Method::POST, "/execute/sync", Some(wanted)).await;
        ran.unwrap_or_else(|error| panic!("{script} fails: {error}"))
    }

    async fn act(&self, css: &str, verb: &str, body: Value) {
        eventually(PATIENCE, async || {
            let element = self.element(css).await?;
            self.ask(Method::POST, &format!("/element/{element}/{verb}"), Some(body.clone())).await
        })
        .await;
    }

    async fn element(&self, css: &str) -> Result<String, String> {
        let wanted = json!({"using": "css selector", "value": css});
        self.ask(Method::POST, "/element", Some(wanted)).await.map(|found| text(&found[ELEMENT]))
    }

    /// Asks the driver; a refusal is what it says about it.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the driver to answer");
        let status = response.status();
        let mut answer: Value = response.json().await.expect("JSON");
        let value = answer["value"].take();
        if status.is_success() { Ok(value) } else { Err(value["message"].to_string()) }
    }
}

impl Keeper {
    fn start(driver: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let mut command = Command::new("bash");
        command.args(["-c", KEEPER, "bash"]).arg(&folder).arg(driver).arg("--port=0");
        // The keeper outlives us by a moment: no signal to our group may reach it, and it must not hold what a caller of
        // the tests reads to its end.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Wherever a browser likes to leave things, they go with the folder.
        command.env("HOME", &folder).env("TMPDIR", &folder).current_dir(&folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("bash to start"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the driver said:\n{}---", self.log());
        }
        drop(self.child.stdin.take());
        // Best effort: it ends by itself, too.
        let _ = self.child.wait();
    }
}

/// The browser and its driver.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let named = std::env::var_os("OPENTACO_TEST_CHROMIUM").map(PathBuf::from);
    let browser = named.or_else(|| on_path("chromium"))?;
    let beside = Some(browser.with_file_name("chromedriver")).filter(|file| file.is_file());
    Some((browser, beside.or_else(|| on_path("chromedriver"))?))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text but {value}")).to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;
    use crate::port::Held;
    use crate::proxy::read_head;

    /// A server that answers on each path with that status and those headers, and the page.
    fn pages(pages: Vec<(&'static str, String, &'static str)>) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let head = read_head(&mut BufReader::new(&client)).unwrap_or_default();
                let path = head.first().and_then(|line| line.split([' ', '?']).nth(1)).unwrap_or_default();
                let found = pages.iter().find(|(at, ..)| *at == path);
                let (head, html) = found.map_or(("404 Not Found", ""), |(_, head, html)| (head, html));
                // A browser may open a connection and leave it.
                let _ = write!(
                    client,
                    "HTTP/1.1 {head}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{html}",
                    html.len()
                );
            }
        });
        base
    }

    #[tokio::test]
    async fn a_page_is_opened_read_and_filled_in() {
        let Some(window) = Chromium::find().await else { return };
        let form = "<title>t</title><form action='/next'><input name=who><button>Go</button></form>\
                    <script>document.body.append('made by a script')</script>";
        let base = pages(vec![
            ("/", "200 OK".into(), form),
            ("/next", "200 OK".into(), "<h1>The   next</h1><p hidden>x</p>"),
        ]);
        window.open(&base).await;
        assert!(window.html().await.contains("made by a script"));
        assert_eq!(window.run("return document.title").await, "t");
        window.fill("input[name=who]", "ann & bob").await;
        window.press("button").await;
        assert_eq!(
            window.wait_for_url(&format!("{base}/next")).await,
            format!("{base}/next?who=ann+%26+bob")
        );
        assert_eq!(window.text("body").await, "The next");
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_shown_all_the_same() {
        let Some(window) = Chromium::find().await else { return };
        let nobody = Held::any();
        let target = format!("http://localhost:{}/login?code=c", nobody.port());
        let redirect = format!("303 See Other\r\nLocation: {target}");
        let form = "<form action='/away' method=post><button>Go</button></form>";
        let base = pages(vec![("/", "200 OK".into(), form), ("/away", redirect, "")]);
        window.open(&base).await;
        window.press("button").await;
        assert_eq!(window.wait_for_url(&target).await, target);
        window.open(&format!("{base}/away")).await;
        assert_eq!(window.current_url().await, target);
    }

    #[tokio::test]
    async fn a_policy_holds_for_redirects_of_a_form_and_is_complained_about() {
        let Some(window) = Chromium::find().await else { return };
        let elsewhere = pages(vec![("/", "200 OK".into(), "")]);
        let policy = "200 OK\r\nContent-Security-Policy: form-action 'self'";
        let form = "<form action='/away' method=post><button>Go</button></form>";
        let redirect = format!("303 See Other\r\nLocation: {elsewhere}");
        let base = pages(vec![("/", policy.into(), form), ("/away", redirect, "")]);
        window.open(&base).await;
        window.console().await;
        window.press("button").await;
        let said = eventually(PATIENCE, async || {
            let said = window.console().await.join("\n");
            if said.contains("form-action") { Ok(said) } else { Err(said) }
        })
        .await;
        assert!(said.contains("Content Security Policy"), "{said}");
        assert!(!window.current_url().await.starts_with(&elsewhere));
    }

    #[tokio::test]
    async fn a_window_leaves_nothing_behind() {
        let Some(window) = Chromium::find().await else { return };
        let (folder, session) = (window.keeper.folder.clone(), window.session.clone());
        drop(window);
        assert!(!folder.exists());
        let another = crate::client::plain().build().unwrap();
        assert!(another.get(session).send().await.unwrap_err().is_connect());
    }
}
