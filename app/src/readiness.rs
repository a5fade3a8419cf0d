//! Whether the storage can be used: probed at the start and each minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentaco_http::Ready;
use opentaco_object_store::{ProbeError, Probed, Store, check, probe};
use opentaco_ports::driven::{Clock, Entropy};

const BETWEEN_PROBES: Duration = Duration::from_mins(1);
/// An answer this old says nothing: the probe after it hangs.
const STALE: Duration = Duration::from_mins(3);

/// The last probe's answer, and what it takes to probe again.
#[derive(Clone)]
pub struct Readiness {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    last: Arc<Mutex<Answer>>,
}

/// A verdict, and when it was given on the clock that never goes back.
#[derive(Clone)]
struct Answer {
    verdict: Result<(), String>,
    at: Duration,
}

impl Readiness {
    /// Probes the storage for the first time.
    ///
    /// # Errors
    /// [`ProbeError`]: the server must not start on this storage.
    pub async fn probe(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ProbeError> {
        let first = probe(&store, &*clock, &*entropy).await?;
        let last = Arc::new(Mutex::new(Answer { verdict: judge(&Ok(first)), at: clock.mono() }));
        Ok(Self { store, clock, entropy, last })
    }

    /// Answers from the last probe, without waiting.
    pub fn answer(&self) -> Ready {
        let (last, store, clock) = (self.last.clone(), self.store.clone(), self.clock.clone());
        Arc::new(move || {
            if store.has_failed() {
                return Err("storage failed while writing; this server stops".to_owned());
            }
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if clock.mono().saturating_sub(last.at) > STALE {
                return Err("storage has not answered for minutes".to_owned());
            }
            last.verdict
        })
    }

    /// Probes each minute, for ever; lightly, since storage may charge by the request.
    pub async fn keep(self) {
        loop {
            self.clock.sleep(BETWEEN_PROBES).await;
            let probed = judge(&check(&self.store, &*self.clock, &*self.entropy).await);
            let answer = Answer { verdict: probed, at: self.clock.mono() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        }
    }
}

fn judge(probed: &Result<Probed, ProbeError>) -> Result<(), String> {
    let verdict = match probed {
        Ok(probed) if probed.clocks_agree() => Ok(()),
        Ok(probed) => {
            Err(format!("the storage's clock is {} s away from this server's", probed.skew.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = &verdict {
        tracing::warn!("not ready: {why}");
    }
    verdict
}
