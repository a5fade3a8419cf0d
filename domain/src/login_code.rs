//! The one-time code that the server prints on its own terminal: who can read it owns the server.

use std::time::Duration;

use thiserror::Error;

use crate::secret::{Secret, same_bytes};
use crate::time::Timestamp;

/// How many wrong tries one browser has within [`WINDOW`].
pub const TRIES: usize = 5;
/// How many wrong tries all browsers have together within [`WINDOW`]. The code has 40 bits; this keeps a guesser out for
/// thousands of years without letting one browser lock out the others.
pub const ALL_TRIES: usize = 100;
/// The time over which wrong tries are counted.
pub const WINDOW: Duration = Duration::from_mins(1);

const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Why a try was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginCodeError {
    /// It is not the code that is on the terminal now.
    #[error(
        "that is not the login code on the server's terminal; the newest line `login code: XXXX-XXXX` counts"
    )]
    Wrong,
    /// Too many wrong tries.
    #[error("too many wrong login codes; try again in {} seconds", .0.as_secs().max(1))]
    TooMany(Duration),
}

/// The code that is valid now, and the wrong tries of late.
#[derive(Debug)]
pub struct LoginCode {
    code: Secret<String>,
    wrong: Vec<(Timestamp, [u8; 32])>,
}

impl LoginCode {
    /// A code of 40 random bits.
    pub fn new(random: [u8; 8]) -> Self {
        Self { code: Secret::new(letters(random)), wrong: Vec::new() }
    }

    /// The code as printed: `XXXX-XXXX`.
    pub fn reveal(&self) -> Secret<String> {
        let (a, b) = self.code.expose().split_at(4);
        Secret::new(format!("{a}-{b}"))
    }

    /// Tries a code; a right one is used up and `next` takes its place. Case, spaces and dashes do not matter. `now` is
    /// of a clock that never goes back.
    ///
    /// # Errors
    /// [`LoginCodeError::Wrong`]; [`LoginCodeError::TooMany`] after [`TRIES`] wrong ones of this browser, or
    /// [`ALL_TRIES`] of all, within [`WINDOW`].
    pub fn try_code(
        &mut self,
        given: &str,
        browser: [u8; 32],
        next: [u8; 8],
        now: Timestamp,
    ) -> Result<(), LoginCodeError> {
        self.wrong.retain(|(at, _)| now.since(*at) < WINDOW);
        let own = self.wrong.iter().filter(|(_, of)| *of == browser);
        let spent = own.clone().count() >= TRIES;
        let oldest =
            if spent { own.map(|(at, _)| *at).next() } else { self.wrong.first().map(|(at, _)| *at) };
        if let (true, Some(oldest)) = (spent || self.wrong.len() >= ALL_TRIES, oldest) {
            return Err(LoginCodeError::TooMany(WINDOW.saturating_sub(now.since(oldest))));
        }
        let plain: String = given.chars().filter(char::is_ascii_alphanumeric).collect();
        if same_bytes(plain.to_ascii_uppercase().as_bytes(), self.code.expose().as_bytes()) {
            self.code = Secret::new(letters(next));
            Ok(())
        } else {
            self.wrong.push((now, browser));
            Err(LoginCodeError::Wrong)
        }
    }
}

fn letters(random: [u8; 8]) -> String {
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    const MINE: [u8; 32] = [1; 32];

    #[test]
    fn a_code_works_once_and_the_next_takes_its_place() {
        let mut code = LoginCode::new([1; 8]);
        let first = code.reveal().expose().clone();
        assert_eq!(code.try_code(&first.to_lowercase(), MINE, [2; 8], at(0)), Ok(()));
        assert_eq!(code.try_code(&first, MINE, [3; 8], at(0)), Err(LoginCodeError::Wrong));
        let second = code.reveal().expose().clone();
        assert_eq!(code.try_code(&second, MINE, [3; 8], at(0)), Ok(()));
    }

    #[test]
    fn guessing_is_stopped_even_when_the_next_guess_is_right() {
        let mut code = LoginCode::new([1; 8]);
        for _ in 0..TRIES {
            assert_eq!(code.try_code("AAAA-AAAA", MINE, [2; 8], at(0)), Err(LoginCodeError::Wrong));
        }
        let right = code.reveal().expose().clone();
        assert!(matches!(code.try_code(&right, MINE, [2; 8], at(59)), Err(LoginCodeError::TooMany(_))));
        assert_eq!(code.try_code(&right, MINE, [2; 8], at(60)), Ok(()));
    }

    #[test]
    fn one_guesser_does_not_lock_out_the_owner_but_many_browsers_are_stopped() {
        let mut code = LoginCode::new([1; 8]);
        for _ in 0..=TRIES {
            let _ = code.try_code("AAAA-AAAA", [9; 32], [2; 8], at(0));
        }
        let right = code.reveal().expose().clone();
        assert_eq!(code.try_code(&right, MINE, [2; 8], at(0)), Ok(()));
        for browser in 0..200 {
            let _ = code.try_code("AAAA-AAAA", [browser; 32], [2; 8], at(1));
        }
        let right = code.reveal().expose().clone();
        assert!(matches!(code.try_code(&right, MINE, [2; 8], at(2)), Err(LoginCodeError::TooMany(_))));
    }
}
