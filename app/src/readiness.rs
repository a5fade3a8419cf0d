//! Whether the storage can be used: probed at the start and each minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentaco_http::Ready;
use opentaco_object_store::{ProbeError, Probed, Store, probe};
use opentaco_ports::driven::{Clock, Entropy};

const BETWEEN_PROBES: Duration = Duration::from_mins(1);

/// The last probe's answer, and what it takes to probe again.
#[derive(Clone)]
pub struct Readiness {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    last: Arc<Mutex<Result<(), String>>>,
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
        let last = Arc::new(Mutex::new(judge(&Ok(first))));
        Ok(Self { store, clock, entropy, last })
    }

    /// Answers from the last probe, without waiting.
    pub fn answer(&self) -> Ready {
        let (last, store) = (self.last.clone(), self.store.clone());
        Arc::new(move || {
            if store.has_failed() {
                return Err("storage failed while writing; this server stops".to_owned());
            }
            last.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Probes each minute, for ever.
    pub async fn keep(self) {
        loop {
            self.clock.sleep(BETWEEN_PROBES).await;
            let probed = judge(&probe(&self.store, &*self.clock, &*self.entropy).await);
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = probed;
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
