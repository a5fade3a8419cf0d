//! A new serial in an old document: the one change a rollback makes to the bytes of a state.

/// Replaces the number of the top-level member `serial` while a JSON document passes by, chunk by chunk; every other
/// byte stays. A document without such a member passes unchanged, which whoever measures it notices.
#[derive(Clone, Debug)]
pub struct SerialRewriter {
    serial: String,
    depth: usize,
    at: At,
    /// The key that is being read at the top level, as far as it may still be `serial`.
    key: Vec<u8>,
    key_is_next: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Structure,
    Text {
        escaped: bool,
        is_key: bool,
    },
    /// Before the value of the member.
    Value,
    /// In the number that is left out.
    Number,
}

const KEY: &[u8] = b"serial";

impl SerialRewriter {
    /// A rewriter that writes this serial.
    pub fn new(serial: u64) -> Self {
        let (at, key) = (At::Structure, Vec::new());
        Self { serial: serial.to_string(), depth: 0, at, key, key_is_next: false }
    }

    /// The chunk as it goes on.
    pub fn pass(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len() + self.serial.len());
        for &byte in chunk {
            self.byte(byte, &mut out);
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.at {
            At::Text { escaped: true, is_key } => self.at = At::Text { escaped: false, is_key },
            At::Text { escaped: false, is_key } => match byte {
                b'\\' => {
                    // A key with an escape is compared as it stands, and so is another one.
                    if is_key && self.key.len() <= KEY.len() {
                        self.key.push(byte);
                    }
                    self.at = At::Text { escaped: true, is_key };
                }
                b'"' => {
                    self.at = At::Structure;
                    self.key_is_next = false;
                    if !is_key {
                        self.key.clear();
                    }
                }
                _ if is_key && self.key.len() <= KEY.len() => self.key.push(byte),
                _ => {}
            },
            At::Number if byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E') => return,
            At::Value if byte == b'-' || byte.is_ascii_digit() => {
                out.extend_from_slice(self.serial.as_bytes());
                self.at = At::Number;
                return;
            }
            At::Value if byte.is_ascii_whitespace() => {}
            At::Number | At::Value | At::Structure => self.structure(byte),
        }
        out.push(byte);
    }

    fn structure(&mut self, byte: u8) {
        self.at = At::Structure;
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.key_is_next = self.depth == 1;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => self.key_is_next = self.depth == 1,
            b'"' => {
                self.key.clear();
                self.at = At::Text { escaped: false, is_key: self.key_is_next };
            }
            b':' if self.depth == 1 && self.key == KEY => self.at = At::Value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(document: &str, chunk: usize) -> String {
        let mut rewriter = SerialRewriter::new(42);
        let out: Vec<u8> = document.as_bytes().chunks(chunk).flat_map(|chunk| rewriter.pass(chunk)).collect();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_serial_at_the_top_changes_and_every_other_byte_stays() {
        for (before, after) in [
            ("{\"serial\":7}", "{\"serial\":42}"),
            (
                "{\n  \"version\": 4,\n  \"serial\" : 7 ,\n \"x\":1}",
                "{\n  \"version\": 4,\n  \"serial\" : 42 ,\n \"x\":1}",
            ),
            (
                "{\"a\":{\"serial\":7},\"serial\":123456789,\"b\":[{\"serial\":1}]}",
                "{\"a\":{\"serial\":7},\"serial\":42,\"b\":[{\"serial\":1}]}",
            ),
            ("{\"a\":\"serial\",\"b\":7}", "{\"a\":\"serial\",\"b\":7}"),
            ("{\"a\":\"\\\"serial\\\":7\",\"serial\":7}", "{\"a\":\"\\\"serial\\\":7\",\"serial\":42}"),
            ("{\"serial\":\"7\"}", "{\"serial\":\"7\"}"),
            ("{\"serials\":7,\"seria\":7}", "{\"serials\":7,\"seria\":7}"),
            ("{\"\\u0073erial\":7}", "{\"\\u0073erial\":7}"),
            ("{\"lineage\":\"l\"}", "{\"lineage\":\"l\"}"),
            ("{\"serial\":1,\"serial\":2}", "{\"serial\":42,\"serial\":42}"),
        ] {
            for chunk in 1..=before.len() {
                assert_eq!(rewritten(before, chunk), after, "in chunks of {chunk}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic_and_chunks_make_no_difference(text in "[{}\\[\\]\",:\\\\a-s0-9 ]{0,80}", chunk in 1usize..9) {
            prop_assert_eq!(rewritten(&text, chunk), rewritten(&text, 1000));
        }

        #[test]
        fn a_document_without_the_word_passes_unchanged(text in "[{}\\[\\]\",:\\\\a-r0-9 ]{0,80}") {
            prop_assert_eq!(rewritten(&text, 7), text);
        }
    }
}
