//! Builds every part from the settings, and runs the server with them.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentaco_crypto::jwt_signer::JwtSigner;
use opentaco_crypto::sealer::AeadSealer;
use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::id::TokenId;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::policy::Policy;
use opentaco_domain::rbac::Rights;
use opentaco_http::serve::{Serve, Tls, bind, serve};
use opentaco_http::{Addresses, Doors, configure};
use opentaco_object_store::{
    ObjectBlobs, ObjectCatalog, ObjectTokens, ObjectVersions, RecordStreams, S3, Store,
};
use opentaco_oidc::Provider;
use opentaco_ports::driven::idp::Workloads;
use opentaco_ports::driven::{Clock, Entropy, Terminal, random};
use opentaco_ports::driving::Driven;
use opentaco_ports::driving::access::Access;
use opentaco_ports::driving::api_tokens::ApiTokens;
use opentaco_ports::driving::login::{How, Login, ProviderLogin};
use opentaco_ports::driving::organizations::Organizations;
use opentaco_ports::driving::policy::{Begun, Policies};
use opentaco_ports::driving::projects::Projects;
use opentaco_ports::driving::sessions::{Lives, Sessions};
use opentaco_ports::driving::state_versions::StateVersions;
use opentaco_ports::driving::users::Users;
use opentaco_ports::driving::workspaces::Workspaces;
use opentaco_system::{SystemClock, SystemEntropy};
use tokio::signal::unix::{SignalKind, signal};

use crate::data_dir::{DataDir, Readers};
use crate::keys::Keys;
use crate::readiness::Readiness;
use crate::settings::{self, Settings, Storage};
use crate::start_message::{StartMessage, tfrc};
use crate::tls::CertificateFiles;
use crate::{Refused, identity, logging, tls};

/// How long it is between two looks for tokens that have ended.
const BETWEEN_SWEEPS: Duration = Duration::from_hours(24);
/// How long after the start the first look is, about: also a server that starts each day sweeps.
const FIRST_SWEEP: Duration = Duration::from_mins(10);
const TFRC: &str = "opentaco.tfrc";
/// More open files than this are of no use here.
const MOST_FILES: u64 = 65_536;
/// Open files that connections leave to storage and certificates.
const RESERVED_FILES: u64 = 128;

/// Starts the server, and returns once it has drained after SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start (the port is in use, the data dir, a key, a certificate or the storage cannot be used), or when
/// its storage failed while writing.
pub fn start(settings: Settings) -> anyhow::Result<ExitCode> {
    let _last_lines = logging::start(&settings.log_level, settings.log_format)?;
    let files = raise_file_limit();
    // Libraries that are not told which provider to use take this one. An error means that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    runtime.block_on(run(settings, files))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(settings: Settings, files: u64) -> anyhow::Result<()> {
    // Before anything that takes time, so that an early signal drains, too.
    let stop = stop_signal()?;
    // Before anything is written, so that a second server on the port leaves no trace.
    let listeners = listen(&settings)?;
    let port = listeners.first().context("no listener")?.local_addr()?.port();
    let data_dir = DataDir::open(&settings.data_dir)?;
    let clock = Arc::new(SystemClock);

    let (tls, bundle) = match &settings.tls {
        settings::Tls::Off => (Tls::Off, None),
        settings::Tls::Files { certificate, key } => {
            let (config, files) = CertificateFiles::open(certificate, key)?;
            tokio::spawn(files.follow());
            (Tls::Only(config), None)
        }
        settings::Tls::Development => {
            let made = tls::development(&data_dir, &certificate_hosts(&settings), clock.now().as_secs())?;
            (Tls::Both(made.config), Some(made.bundle))
        }
    };
    let (host, base) = seen_by_clients(&settings, &tls, port);

    let store = Arc::new(open_store(&settings, data_dir.path())?);
    let entropy = Arc::new(SystemEntropy);
    let readiness = Readiness::probe(store.clone(), clock.clone(), entropy.clone()).await?;
    let issuer = issuer(&settings, &tls, port);
    let keys = Keys::load(&settings, &data_dir, &*entropy, issuer.clone())?;
    let addresses = Addresses::new(
        settings.public_base_url.as_ref().map(url::Url::as_str),
        settings.listen.is_loopback(),
        port,
    );
    let addresses = addresses.behind(settings.trusted_proxies.clone());
    let driven = driven(&settings, &store, clock.clone(), &(entropy.clone() as Arc<dyn Entropy>));
    let access = Access::new(driven.clone(), keys.signer.clone());
    let policy = begin_policy(&settings, &driven, &access).await?;
    let provider = identity::provider(&settings, clock.clone())?;
    let workloads = identity::workloads(&settings, clock)?;
    let parts = Parts {
        driven: driven.clone(),
        access,
        signer: keys.signer,
        sealer: Arc::new(keys.sealer),
        how: how(&settings, provider.clone()),
        workloads,
    };
    let doors = doors(&settings, parts, entropy, &readiness, addresses, issuer);
    doors.organizations.ensure(&the_server_itself(), &OrganizationName::default_organization()).await?;

    let tfrc = data_dir.replace(TFRC, Readers::Everybody, &tfrc(&host, &base))?;
    let storage = (settings.storage != Storage::Local).then(|| settings.storage.to_string());
    let message = StartMessage {
        data_dir: data_dir.path(),
        is_new: data_dir.is_new(),
        storage: storage.as_deref(),
        addresses: &shown(&settings, &tls, &host, &base),
        host: &host,
        tfrc: &tfrc,
        bundle: bundle.as_deref(),
    };
    // A closed standard output is no reason not to serve.
    let _ = message.write(&mut io::stdout());
    doors.login.show_code();
    if !policy.on {
        tracing::warn!("access control is off: every authenticated user may do everything");
    }
    tokio::spawn(keys.files.follow());
    tokio::spawn(sweep(driven));
    if let Some(provider) = provider {
        tokio::spawn(identity::keep_warm(provider));
    }

    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let max_connections = usize::try_from(files.saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX).max(16);
    let parts = Serve { listeners, tls, drain_timeout: settings.drain_timeout, workers, max_connections };
    let watched = tokio::spawn(readiness.keep());
    let until = async {
        tokio::select! {
            () = stop => tracing::info!("stopping: requests in flight may finish"),
            () = store.failed() => {}
        }
    };
    serve(parts, move |config| configure(config, &doors), until).await.context("the server ended")?;
    watched.abort();
    anyhow::ensure!(
        !store.has_failed(),
        "storage failed while writing; see the log, mend the disk, and start again"
    );
    Ok(())
}

/// Opens the storage that the settings name.
///
/// # Errors
/// [`OpenError`](opentaco_object_store::OpenError).
pub fn open_store(settings: &Settings, data_dir: &Path) -> anyhow::Result<Store> {
    Ok(match &settings.storage {
        Storage::Memory => Store::memory(),
        Storage::Local => Store::local(data_dir)?,
        Storage::S3(s3) => Store::s3(&S3 {
            bucket: s3.bucket.clone(),
            prefix: s3.prefix.clone(),
            region: s3.region.clone(),
            variables: s3
                .variables
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
        })?,
    })
}

/// What the use cases are made of.
struct Parts {
    driven: Arc<Driven>,
    access: Access,
    signer: Arc<JwtSigner>,
    sealer: Arc<AeadSealer>,
    how: How,
    workloads: Arc<dyn Workloads>,
}

/// The core over its ports, and the doors that lead to it.
fn doors(
    settings: &Settings,
    parts: Parts,
    entropy: Arc<dyn Entropy>,
    readiness: &Readiness,
    addresses: Addresses,
    issuer: String,
) -> Doors {
    let Parts { driven, access, signer, sealer, how, workloads } = parts;
    let sessions = Sessions::new(
        driven.clone(),
        access.clone(),
        signer.clone(),
        sealer.clone(),
        (workloads, settings.trust.clone()),
        Lives { access: settings.tokens_access_ttl, refresh: settings.tokens_refresh_ttl },
    );
    Doors {
        api_tokens: ApiTokens::new(driven.clone(), access.clone()),
        policies: Policies::new(driven.clone(), access.clone()),
        users: Users::new(driven.clone(), access.clone()),
        login: Login::new(
            driven.clone(),
            access.clone(),
            sessions.clone(),
            (signer.clone(), sealer.clone()),
            how,
            settings.terraform_token_ttl,
        ),
        access,
        workspaces: Workspaces::new(driven.clone()),
        state_versions: StateVersions::new(driven.clone()),
        organizations: Organizations::new(driven.clone()),
        projects: Projects::new(driven),
        sessions,
        signer,
        issuer,
        sealer,
        entropy,
        ready: readiness.answer(),
        addresses,
        max_state_bytes: settings.max_state_bytes,
    }
}

/// How people log in.
fn how(settings: &Settings, provider: Option<Arc<Provider>>) -> How {
    match provider {
        Some(provider) => How::Provider(ProviderLogin { provider, admission: settings.allowed.clone() }),
        None if settings.auth_dev_skip_verify => How::AnyName,
        None => How::TerminalCode(Arc::new(StandardOutput)),
    }
}

/// The policy; the first start that names administrators switches access control on.
async fn begin_policy(settings: &Settings, driven: &Arc<Driven>, access: &Access) -> anyhow::Result<Policy> {
    let begun = Policies::new(driven.clone(), access.clone()).begin(&settings.admins).await?;
    let Begun { policy, was_written } = begun;
    let unnamed: Vec<String> =
        settings.admins.difference(&policy.administrators()).map(ToString::to_string).collect();
    if !unnamed.is_empty() {
        tracing::warn!(
            "OPENTACO_ADMINS counts at the first start only; make {} administrator with: opentacosvc admin grant SUBJECT",
            unnamed.join(" and ")
        );
    }
    if settings.provider.is_some() && !settings.allowed.is_stated() && !policy.on {
        let by_settings =
            if was_written { "" } else { "OPENTACO_ADMINS=alice@example.com (switches access control on), " };
        return Err(Refused(format!(
            "OPENTACO_AUTH_ISSUER is set, so everybody the provider knows could do everything here. Choose one: {by_settings}\
             OPENTACO_AUTH_ALLOWED_DOMAINS=example.com or OPENTACO_AUTH_ALLOWED_GROUPS=ops (who may log in; * for all), \
             or: opentacosvc admin grant alice@example.com"
        ))
        .into());
    }
    Ok(policy)
}

/// Removes tokens a day after their end, for ever.
async fn sweep(driven: Arc<Driven>) {
    // Servers that start together do not sweep together.
    let [jitter] = random::<1>(&*driven.entropy);
    let mut pause = FIRST_SWEEP.mul_f64(0.5 + f64::from(jitter) / 255.0);
    loop {
        driven.clock.sleep(pause).await;
        pause = BETWEEN_SWEEPS;
        match driven.tokens.sweep(driven.clock.now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed tokens that ended more than a day ago"),
            Err(error) => tracing::warn!(%error, "could not look for tokens that have ended"),
        }
    }
}

/// The ports that the use cases stand on, over one store.
pub fn driven(
    settings: &Settings,
    store: &Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Arc<Driven> {
    Arc::new(Driven {
        workspaces: Arc::new(RecordStreams::new(store.clone(), clock.clone())),
        names: Arc::new(RecordStreams::new(store.clone(), clock.clone())),
        organizations: Arc::new(RecordStreams::new(store.clone(), clock.clone())),
        users: Arc::new(RecordStreams::new(store.clone(), clock.clone())),
        policies: Arc::new(RecordStreams::new(store.clone(), clock.clone())),
        catalog: Arc::new(ObjectCatalog::new(store.clone(), clock.clone())),
        versions: Arc::new(ObjectVersions::new(store.clone(), clock.clone())),
        blobs: Arc::new(ObjectBlobs::new(store.clone(), clock.clone())),
        tokens: Arc::new(ObjectTokens::new(store.clone(), clock.clone())),
        clock,
        entropy: entropy.clone(),
        max_state_bytes: settings.max_state_bytes,
    })
}

/// The terminal that the operator started the server on.
struct StandardOutput;

impl Terminal for StandardOutput {
    fn show_login_code(&self, code: &str) {
        let line = format!("\nlogin code: {code}\n");
        // A standard output that is closed or that nobody reads is no reason not to serve.
        std::thread::spawn(move || {
            let mut out = io::stdout();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        });
    }
}

/// Lets this process open as many files as the system lets it, and says how many.
fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    let current = limit.current.unwrap_or(most);
    let raised = Rlimit { current: Some(most.max(current)), maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { most.max(current) } else { current }
}

/// Who makes what must always exist.
fn the_server_itself() -> Actor {
    Actor {
        subject: Subject::local_owner(),
        parent: TokenId::from_bytes([0; 10]),
        door: Door::Login,
        rights: Rights::everything(),
    }
}

fn listen(settings: &Settings) -> anyhow::Result<Vec<TcpListener>> {
    bind(&settings.listen.host, settings.listen.port).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{error}; another program uses the port: stop it, or choose one with -port")
        }
        _ => anyhow::anyhow!("{error}; choose another address with -listen"),
    })
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Names of the development certificate besides the loopback ones.
fn certificate_hosts(settings: &Settings) -> Vec<String> {
    let public = settings.public_base_url.as_ref().and_then(|url| url.host_str());
    public.map(str::to_owned).into_iter().collect()
}

/// What signed codes name as their issuer: never anything that a request says.
fn issuer(settings: &Settings, tls: &Tls, port: u16) -> String {
    match &settings.public_base_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None if matches!(tls, Tls::Off) => format!("http://localhost:{port}"),
        None => format!("https://localhost:{port}"),
    }
}

/// What follows `terraform login`, and the base of the URLs in the Terraform configuration.
fn seen_by_clients(settings: &Settings, tls: &Tls, port: u16) -> (String, String) {
    if let Some(url) = &settings.public_base_url {
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        return (host, url.as_str().trim_end_matches('/').to_owned());
    }
    // Terraform takes no address in brackets; localhost is one of ours wherever we listen on loopback or everywhere.
    let host = format!("localhost:{port}");
    let scheme = if matches!(tls, Tls::Only(_)) { "https" } else { "http" };
    let base = format!("{scheme}://{host}");
    (host, base)
}

/// The URLs of the start message.
fn shown(settings: &Settings, tls: &Tls, host: &str, base: &str) -> Vec<String> {
    match tls {
        Tls::Both(_) if settings.public_base_url.is_none() => {
            vec![format!("https://{host}"), format!("http://{host}")]
        }
        _ => vec![base.to_owned()],
    }
}
