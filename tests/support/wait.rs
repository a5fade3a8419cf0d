//! Waiting for a condition, and for what a process says.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a condition outside our process is looked at again.
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
///
/// The limit is a safety net, not a delay: whoever waits goes on as soon as the condition holds.
pub fn until<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(INTERVAL);
    }
}

/// Asks again and again, like [`until`], where asking is itself a matter of waiting; a refusal says what was seen instead.
pub async fn eventually<T>(limit: Duration, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) => assert!(start.elapsed() < limit, "waited {limit:?} in vain: {seen}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What a process has printed so far, growing while it runs.
#[derive(Clone, Default)]
pub struct Transcript(Arc<(Mutex<String>, Condvar)>);

impl Transcript {
    /// Reads to the end on a thread of its own, so that the process never blocks on a full pipe.
    pub fn record(&self, mut from: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let transcript = self.clone();
        thread::spawn(move || {
            let mut rest = Vec::new();
            let mut chunk = [0; 4096];
            // A pseudo-terminal ends with an error instead of an empty read; both mean the end.
            while let Ok(n @ 1..) = from.read(&mut chunk) {
                rest.extend_from_slice(&chunk[..n]);
                transcript.push(&take_text(&mut rest));
            }
        })
    }

    fn push(&self, text: &str) {
        self.lock().push_str(text);
        self.0.1.notify_all();
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    /// Waits until something is found in the text, and says what.
    pub fn wait_for<T>(&self, limit: Duration, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let start = Instant::now();
        let mut text = self.lock();
        loop {
            if let Some(found) = find(&text) {
                return found;
            }
            let left = limit.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "waited {limit:?} in vain: {what}; so far it said:\n{text}");
            text = self.0.1.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the text that is complete; a character cut in the middle stays for the next read.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let complete = match std::str::from_utf8(bytes) {
        Err(cut) if cut.error_len().is_none() => cut.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(complete);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_by_a_read_is_kept_whole() {
        let transcript = Transcript::default();
        let cut = b"gr\xc3".chain(&b"\xbc\xc3\x9fe"[..]);
        transcript.record(cut).join().unwrap();
        assert_eq!(transcript.text(), "grüße");
    }

    #[test]
    #[should_panic(expected = "waited 30ms in vain: never")]
    fn a_condition_that_never_holds_ends_the_test() {
        until(Duration::from_millis(30), "never", || None::<()>);
    }

    #[test]
    fn what_is_said_later_is_heard() {
        let transcript = Transcript::default();
        let speaker = transcript.clone();
        let talk = thread::spawn(move || speaker.push("login code: ABCD-EFGH\n"));
        let found = transcript.wait_for(Duration::from_secs(5), "a code", |text| text.find("ABCD"));
        talk.join().unwrap();
        assert_eq!(found, 12);
    }
}
