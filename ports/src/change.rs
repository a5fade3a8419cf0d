//! Read, decide, append: the one loop through which every record changes.

use std::time::Duration;

use opentaco_domain::actor::{Door, Subject};
use opentaco_domain::id::OperationId;
use opentaco_domain::time::Timestamp;
use thiserror::Error;

use crate::driven::records::{Appended, Change, ChangeKind, Record, Records, Versioned};
use crate::driven::{Clock, Entropy, StoreError, random};

/// How long a change is tried before its caller is told to come back.
pub const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What a decision came to.
#[derive(Clone, Debug)]
pub enum Decision<T, O> {
    /// Nothing to change; answer this.
    Keep(O),
    /// Append this value; when it has landed, answer that.
    Append(T, O),
}

/// Why a change did not come about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError<E> {
    /// The rule said no. Nothing changed.
    #[error(transparent)]
    Refused(E),
    /// Others kept changing the record for [`PATIENCE`]. Nothing changed.
    #[error("too many others are changing this at the moment; nothing was changed, try again")]
    Busy,
    /// The store failed before anything was tried. Nothing changed.
    #[error(transparent)]
    Store(StoreError),
    /// The store's answer got lost: the change may or may not have come about.
    #[error("the outcome is unknown: storage did not answer; look before you retry")]
    OutcomeUnknown,
}

/// A change that came about, or turned out to be there already.
#[derive(Clone, Debug)]
pub struct Changed<T, O> {
    /// The newest entry; none when nothing was kept and the stream does not exist.
    pub entry: Option<Versioned<T>>,
    /// Whether an entry was appended.
    pub appended: bool,
    /// The decision's answer.
    pub answer: O,
}

/// Time and chance, which the loop needs beside its records.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The source of operation ids and jitter.
    pub entropy: &'a dyn Entropy,
}

/// Changes a record: decides on its newest value and appends, again and again until it is settled.
///
/// `decide` is pure and may run many times; it sees the newest entry known and the time. A refusal, and a "nothing to
/// change", are only believed of an entry that was checked against the store; an append needs no check, because it
/// fails when the entry was not the newest.
///
/// # Errors
/// [`ChangeError`] by variant.
pub async fn change<T: Record, O, E>(
    around: Around<'_>,
    records: &dyn Records<T>,
    key: &T::Key,
    author: (&Subject, Door),
    kind: ChangeKind,
    mut decide: impl FnMut(Option<&Versioned<T>>, Timestamp) -> Result<Decision<T, O>, E>,
) -> Result<Changed<T, O>, ChangeError<E>> {
    let operation = OperationId::new(around.clock.now(), random(around.entropy));
    let deadline = around.clock.mono() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    let mut remembered = records.remembered(key);
    loop {
        let checked = remembered.is_none();
        let base = match remembered.take() {
            Some(entry) => Some(entry),
            None => records.newest(key).await.map_err(ChangeError::Store)?,
        };
        let now = around.clock.now();
        let (value, answer) = match decide(base.as_ref(), now) {
            Err(refusal) if checked => return Err(ChangeError::Refused(refusal)),
            Ok(Decision::Keep(answer)) if checked => {
                return Ok(Changed { entry: base, appended: false, answer });
            }
            Err(_) | Ok(Decision::Keep(_)) => continue,
            Ok(Decision::Append(value, answer)) => (value, answer),
        };
        let change = Change { operation, subject: author.0.clone(), door: author.1, at: now, kind, value };
        loop {
            match records.try_append(key, base.as_ref(), &change).await {
                // The stored entry is the outcome: only these bytes were ever tried at its number.
                Appended::Landed(entry) | Appended::Ours(entry) => {
                    return Ok(Changed { entry: Some(entry), appended: true, answer });
                }
                Appended::Theirs => break,
                Appended::Unknown(StoreError::TooNew(format)) => {
                    return Err(ChangeError::Store(StoreError::TooNew(format)));
                }
                // What stands at that number, or would stand there, cannot be read: it is not this change.
                Appended::Unknown(StoreError::Corrupt(key)) => {
                    return Err(ChangeError::Store(StoreError::Corrupt(key)));
                }
                Appended::Unknown(StoreError::Fatal) => return Err(ChangeError::OutcomeUnknown),
                Appended::Unknown(_) if around.clock.mono() >= deadline => {
                    return Err(ChangeError::OutcomeUnknown);
                }
                Appended::Unknown(_) => back_off(around, &mut pause).await,
            }
        }
        if around.clock.mono() >= deadline {
            return Err(ChangeError::Busy);
        }
        back_off(around, &mut pause).await;
    }
}

/// Waits between half and all of `pause`, which doubles.
async fn back_off(around: Around<'_>, pause: &mut Duration) {
    let [jitter] = random::<1>(around.entropy);
    around.clock.sleep(pause.mul_f64(0.5 + f64::from(jitter) / 512.0)).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
