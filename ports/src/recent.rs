//! What was read from the store a moment ago.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How old an answer may be: what changed on another server counts here after this.
pub const FRESH: Duration = Duration::from_secs(5);
/// More answers than this are not remembered at once.
const MOST: usize = 10_000;

/// Answers of the last [`FRESH`], by the clock that never goes back.
pub(crate) struct Recent<K, V> {
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    answers: HashMap<K, (V, Duration)>,
    /// Counts what was forgotten because it changed here: an answer asked for before is not remembered after.
    changes: u64,
}

/// The state of things when a question was asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    at: Duration,
    changes: u64,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { answers: HashMap::new(), changes: 0 }) }
    }

    /// The answer, or what to hand to [`Recent::keep`] with the one that the store gives.
    pub(crate) fn get(&self, key: &K, now: Duration) -> Result<V, Asked> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = inner.answers.get(key).filter(|(_, asked)| now.saturating_sub(*asked) < FRESH);
        answer.map(|(value, _)| value.clone()).ok_or(Asked { at: now, changes: inner.changes })
    }

    pub(crate) fn keep(&self, key: K, value: V, asked: Asked) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.changes != asked.changes {
            return;
        }
        if inner.answers.len() >= MOST {
            inner.answers.clear();
        }
        inner.answers.insert(key, (value, asked.at));
    }

    /// Forgets an answer that changed here.
    pub(crate) fn forget(&self, key: &K) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.changes += 1;
        inner.answers.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_counts_for_five_seconds_from_its_question() {
        let recent = Recent::new();
        let Err(asked) = recent.get(&1, at(10)) else { panic!("nothing is known yet") };
        recent.keep(1, "a", asked);
        assert_eq!(recent.get(&1, at(14)).ok(), Some("a"));
        assert!(recent.get(&1, at(15)).is_err());
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_remembered_after_it() {
        let recent = Recent::new();
        let Err(asked) = recent.get(&1, at(10)) else { panic!("nothing is known yet") };
        recent.forget(&1);
        recent.keep(1, "old", asked);
        assert!(recent.get(&1, at(10)).is_err());
    }
}
