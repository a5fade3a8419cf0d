//! Randomness fit for secrets.

use opentaco_ports::driven::Entropy;

/// The operating system's random generator.
///
/// When it fails, the process writes a line to standard error and aborts: keys, tokens and nonces drawn from
/// predictable bytes would be worse than no server, and no caller could do anything better. An abort does not unwind,
/// so nothing catches it and goes on with a half-filled buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this crate is where the operating system is asked")]
    #[expect(clippy::print_stderr, reason = "the last words of a process that aborts")]
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            eprintln!(
                "opentaco: the operating system gives no random bytes ({error}); nothing is safe without them, stopping"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use opentaco_ports::driven::random;

    use super::*;

    #[test]
    fn two_draws_differ_and_fill_the_whole_buffer() {
        let (a, b): ([u8; 64], [u8; 64]) = (random(&SystemEntropy), random(&SystemEntropy));
        assert_ne!(a, b);
        assert_ne!(a[32..], [0; 32]);
    }
}
