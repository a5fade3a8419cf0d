//! A command that runs, and what it said in the end.

use std::fs::File;
use std::io::Write;
use std::process::{Child, ExitStatus};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::wait::{Transcript, until};

/// Longer than any command here takes: a client retries for minutes when a server breaks.
const PATIENCE: Duration = Duration::from_mins(2);

/// A command that runs. Dropping it kills it.
pub struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: Transcript,
    pub(crate) stderr: Transcript,
    pub(crate) readers: Vec<JoinHandle<()>>,
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said; on a terminal everything is here.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// A command on a terminal.
pub struct Terminal {
    pub(crate) keyboard: File,
    pub(crate) running: Running,
}

impl Running {
    /// Waits until standard output holds a text.
    pub fn wait_for(&self, text: &str) {
        self.stdout.wait_for(PATIENCE, text, |said| said.contains(text).then_some(()));
    }

    /// Waits for the end.
    pub fn finish(self) -> Ran {
        self.finish_within(PATIENCE)
    }

    /// Waits for the end, which must come in time.
    pub fn finish_within(mut self, limit: Duration) -> Ran {
        let what = "a command to end";
        let status = until(limit, what, || self.child.try_wait().expect("a process to wait for"));
        self.ended(status)
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().expect("a signal sent");
        let status = self.child.wait().expect("a process to wait for");
        // Its children may still hold the pipes; what they say is nobody's concern.
        self.readers.clear();
        self.ended(status);
    }

    fn ended(&mut self, status: ExitStatus) -> Ran {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Ran { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- a command said:\n{}\n{}---", self.stdout.text(), self.stderr.text());
        }
        // Best effort, and harmless after an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("a terminal to type on");
    }

    /// Waits for a question and answers it.
    pub fn answer(&mut self, question: &str, line: &str) {
        self.wait_for(question, |said| {
            let (_, asked) = said.rsplit_once(question)?;
            asked.contains("Enter a value:").then_some(())
        });
        self.type_line(line);
    }

    /// Waits for the end.
    pub fn finish(self) -> Ran {
        self.running.finish()
    }

    /// Waits until something is found on the screen, and says what.
    pub fn wait_for<T>(&self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.running.stdout.wait_for(PATIENCE, what, find)
    }

    /// Waits for the end, which must come in time.
    pub fn finish_within(self, limit: Duration) -> Ran {
        self.running.finish_within(limit)
    }
}

impl Ran {
    /// Passes on what went well; what did not ends the test with all that was said.
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{}:\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// Passes on what was refused with a message that holds this text.
    pub fn refused(self, text: &str) -> Self {
        assert!(!self.status.success(), "it should have been refused:\n{}", self.stdout);
        let said = unwrapped(&format!("{}\n{}", self.stdout, self.stderr));
        assert!(said.contains(text), "no {text:?} in:\n{said}");
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON:\n{}", self.stdout))
    }

    /// The lines of standard output, without the mark of the selected one.
    pub fn lines(&self) -> Vec<&str> {
        let trimmed = self.stdout.lines().map(|line| line.trim_start_matches('*').trim());
        trimmed.filter(|line| !line.is_empty()).collect()
    }
}

/// A message as one line: Terraform frames and wraps what it complains about.
fn unwrapped(text: &str) -> String {
    text.split_whitespace()
        .filter(|word| !matches!(*word, "│" | "╷" | "╵" | "|"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_message_is_found_whole() {
        let message = "╷\n│ Error: Error acquiring the\n│ state lock\n╵\n";
        assert_eq!(unwrapped(message), "Error: Error acquiring the state lock");
    }
}
