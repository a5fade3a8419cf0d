//! State versions: propose, list, show, download.

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, USER_AGENT};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, web};
use data_encoding::BASE64;
use opentaco_domain::commit::{Proposal, Ticket};
use opentaco_domain::id::{StateVersionId, WorkspaceId};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::state::{Lineage, Output};
use opentaco_ports::driven::random;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::state_versions::{Inline, Shown};

use super::error::ApiError;
use super::include::Included;
use super::jsonapi::{self, Attributes, Document};
use super::query::Query;
use super::state_version_document::{self as document, UploadUrls};
use super::{Answer, BASE_PATH, include, locks, outputs};
use crate::auth::{Addressed, Call};
use crate::body::{self, BodyRefused, SMALL};
use crate::task;

/// The longest proposal, in bytes: a state of 64 MiB in base64, and the JSON around it.
const INLINE: usize = 64 * 1024 * 1024 + 256 * 1024;

impl Addressed for StateVersionId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = request.match_info().get("version").unwrap_or_default();
        text.parse().map_err(|_| Failure::missing("state version", text))
    }
}

/// What a client announces, with the state itself if it came along (Terraform up to 1.5).
struct Announced {
    proposal: Proposal,
    force: bool,
    outputs: Vec<Output>,
    state: Option<Vec<u8>>,
    json_state: Option<Vec<u8>>,
}

/// Proposes a version, and commits it at once when its bytes came along.
pub(crate) async fn create(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    // Held to the end, because the state stays in memory until it is stored.
    let (bytes, _permit) = body::read(&call.request, payload, INLINE).await.map_err(refused)?.into_parts();
    let mut announced = if bytes.len() > SMALL {
        web::block(move || announced(&bytes)).await.map_err(|_| ApiError::Crashed)?
    } else {
        announced(&bytes)
    }?;
    if never_encrypts(&call.request) {
        // They will be found in the state, so keeping them would be a write for nothing.
        announced.outputs.clear();
    }
    match announced.state.take() {
        Some(state) => commit(call, announced, state).await,
        None => propose(call, announced).await,
    }
}

/// Terraform calls itself `go-tfe` and has no encrypted states; OpenTofu, which has, calls itself otherwise.
fn never_encrypts(request: &HttpRequest) -> bool {
    request.headers().get(USER_AGENT).is_some_and(|agent| agent == "go-tfe")
}

async fn propose(call: Call<WorkspaceId>, announced: Announced) -> Answer {
    let (versions, actor, id) = (call.doors.state_versions.clone(), call.caller.actor.clone(), call.at);
    let Announced { proposal, force, outputs, .. } = announced;
    let proposed =
        task::run(async move { versions.propose(&actor, id, &proposal, force, &outputs).await }).await?;
    match proposed {
        Ok(ticket) => {
            let urls = upload_urls(&call, &ticket);
            jsonapi::single(StatusCode::CREATED, &document::proposed(&ticket, &urls))
        }
        Err(failure) => {
            Err(locks::located(&call.doors.workspaces, &call.caller.actor, call.at, failure).await)
        }
    }
}

async fn commit(call: Call<WorkspaceId>, announced: Announced, state: Vec<u8>) -> Answer {
    let (versions, actor, id) = (call.doors.state_versions.clone(), call.caller.actor.clone(), call.at);
    let Announced { proposal, force, outputs, json_state, .. } = announced;
    let inline = Inline { state: state.into(), json_state: json_state.map(Bytes::from), outputs };
    let committed =
        task::run(async move { versions.inline(&actor, id, &proposal, force, inline).await }).await?;
    match committed {
        Ok(version) => jsonapi::single(StatusCode::CREATED, &document::finalized(&version, &call.base())),
        Err(failure) => {
            Err(locks::located(&call.doors.workspaces, &call.caller.actor, call.at, failure).await)
        }
    }
}

/// The newest finalized version.
pub(crate) async fn current(call: Call<WorkspaceId>) -> Answer {
    let version = call.doors.state_versions.current(&call.caller.actor, call.at).await?;
    let included = include::with_version(&call, &version).await?;
    jsonapi::single_with(StatusCode::OK, &document::finalized(&version, &call.base()), &included)
}

/// Makes the content of an old version the newest one.
pub(crate) async fn roll_back(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let document = Document::read(&call.request, payload).await?;
    let to = document.related_id("rollback-state-version")?;
    let to = jsonapi::required("relationships/rollback-state-version", to)?;
    let to: StateVersionId = to.parse().map_err(|_| Failure::missing("state version", to))?;
    let (versions, actor, id) = (call.doors.state_versions.clone(), call.caller.actor.clone(), call.at);
    let made = task::run(async move { versions.roll_back(&actor, id, to).await }).await?;
    match made {
        Ok(version) => jsonapi::single(StatusCode::OK, &document::finalized(&version, &call.base())),
        Err(failure) => {
            Err(locks::located(&call.doors.workspaces, &call.caller.actor, call.at, failure).await)
        }
    }
}

/// A page of the finalized versions, newest first.
pub(crate) async fn list(call: Call<WorkspaceId>) -> Answer {
    let id = call.at;
    list_of(&call, id).await
}

/// The same, of a workspace that is named by filters.
pub(crate) async fn list_by_name(call: Call) -> Answer {
    let query = Query::of(&call.request);
    let filter = |name: &str| {
        let given = query.get(&format!("filter[{name}][name]")).map(str::to_owned);
        given.ok_or_else(|| ApiError::Invalid(format!("parameter filter[{name}][name] is missing")))
    };
    let (organization, name) = (filter("organization")?, filter("workspace")?);
    let missing = || Failure::missing("workspace", format!("{organization}/{name}"));
    let by_name: OrganizationName = organization.parse().map_err(|_| missing())?;
    let name = WorkspaceName::from_cloud(&name).map_err(|_| missing())?;
    let workspace = call.doors.workspaces.read_by_name(&call.caller.actor, &by_name, &name).await?;
    list_of(&call, workspace.id).await
}

async fn list_of<T: Addressed>(call: &Call<T>, id: WorkspaceId) -> Answer {
    let page = Query::of(&call.request).page().unwrap_or_default();
    let page = call.doors.state_versions.list(&call.caller.actor, id, page).await?;
    let base = call.base();
    jsonapi::page(&page.map(|version| document::finalized(&version, &base)))
}

/// One version, finalized or not.
pub(crate) async fn read(call: Call<StateVersionId>) -> Answer {
    let shown = call.doors.state_versions.show(&call.caller.actor, call.at).await?;
    let included = match &shown {
        Shown::Finalized(version) => include::with_version(&call, version).await?,
        Shown::Pending(_) | Shown::Discarded(_) => Included::default(),
    };
    jsonapi::single_with(StatusCode::OK, &document::shown(&shown, &call.base()), &included)
}

/// The bytes of one version, as they came.
pub(crate) async fn download(call: Call<StateVersionId>) -> Answer {
    let (version, bytes) = call.doors.state_versions.download(&call.caller.actor, call.at).await?;
    let body = SizedStream::new(version.size, bytes);
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// Terraform's JSON rendering of one version, as it came.
pub(crate) async fn download_json(call: Call<StateVersionId>) -> Answer {
    let bytes = call.doors.state_versions.download_json(&call.caller.actor, call.at).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).streaming(bytes))
}

fn refused(refused: BodyRefused) -> ApiError {
    match refused {
        BodyRefused::TooLarge(_) => ApiError::TooLong(
            "a state in the request itself may have 64 MiB in base64; for a larger one leave out `state` and send its \
             bytes to hosted-state-upload-url (Terraform 1.6 and later do)"
                .to_owned(),
        ),
        other => other.into(),
    }
}

fn announced(bytes: &[u8]) -> Result<Announced, ApiError> {
    let mut sent = Document::parse(bytes)?.attributes()?;
    let proposal = Proposal {
        serial: jsonapi::required("serial", sent.number("serial")?)?,
        md5: jsonapi::required("md5", sent.text("md5")?)?.parse().map_err(named("md5"))?,
        lineage: lineage(&mut sent)?,
    };
    let mut decoded = |name| {
        let text = sent.text(name)?.filter(|text| !text.is_empty());
        text.map(|text| BASE64.decode(text.as_bytes()).map_err(named(name))).transpose()
    };
    let (state, json_state) = (decoded("state")?, decoded("json-state")?);
    let outputs = decoded("json-state-outputs")?.map(|json| outputs::announced(&json)).transpose()?;
    let outputs = outputs.unwrap_or_default();
    Ok(Announced { proposal, force: sent.flag("force")?, outputs, state, json_state })
}

fn lineage(sent: &mut Attributes) -> Result<Option<Lineage>, ApiError> {
    let given = sent.text("lineage")?.filter(|text| !text.is_empty());
    given.map(|text| text.parse().map_err(ApiError::invalid)).transpose()
}

fn named<E: std::fmt::Display>(attribute: &str) -> impl Fn(E) -> ApiError {
    move |rule| ApiError::Invalid(format!("attribute {attribute}: {rule}"))
}

/// Both addresses, always: Terraform tries a missing one for six minutes.
fn upload_urls(call: &Call<WorkspaceId>, ticket: &Ticket) -> UploadUrls {
    let base = call.base();
    let url = |ticket: &Ticket| {
        let sealed = call.doors.sealer.seal_ticket(ticket, random(&*call.doors.entropy));
        format!("{base}{BASE_PATH}/uploads/{sealed}")
    };
    UploadUrls { state: url(ticket), json_state: url(&ticket.for_json_state()) }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn of(attributes: &str) -> Result<Announced, ApiError> {
        announced(format!(r#"{{"data":{{"type":"state-versions","attributes":{attributes}}}}}"#).as_bytes())
    }

    #[test]
    fn both_ways_of_sending_a_state_are_understood() {
        let two_step = of(&format!(
            r#"{{"serial":1,"md5":"{MD5}","lineage":"l","force":false,"json-state-outputs":"e30="}}"#
        ));
        assert!(two_step.unwrap().state.is_none());
        let inline = of(&format!(r#"{{"serial":1,"md5":"{MD5}","state":"YWJj"}}"#)).unwrap();
        assert_eq!(inline.state.as_deref(), Some(&b"abc"[..]));
        assert_eq!(inline.proposal.lineage, None);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        for (attributes, named) in [
            (format!(r#"{{"md5":"{MD5}"}}"#), "serial"),
            (r#"{"serial":1}"#.to_owned(), "md5"),
            (r#"{"serial":1,"md5":"xyz"}"#.to_owned(), "md5"),
            (format!(r#"{{"serial":1,"md5":"{MD5}","state":"*"}}"#), "state"),
            (format!(r#"{{"serial":"1","md5":"{MD5}"}}"#), "serial"),
        ] {
            let Err(error) = of(&attributes) else { panic!("{attributes} was taken") };
            assert_eq!(error.status_code().as_u16(), 422);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
