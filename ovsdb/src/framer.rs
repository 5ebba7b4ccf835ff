//! Cuts a byte stream into JSON objects by counting braces.
//!
//! JSON-RPC over a stream (RFC 7047, section 4) puts no length before a message: a message ends
//! where its outermost brace closes. The framer looks at every byte once, knows strings and their
//! escapes, and gives each whole object as a slice; whether the slice is valid JSON is the
//! parser's to say. Both what one message may hold and how deep it may nest are bounded.

/// Bounds on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in one message.
    pub max_bytes: usize,
    /// Most open braces and brackets at once.
    pub max_depth: usize,
}

impl Default for Limits {
    /// 256 MiB, which is hundreds of thousands of interfaces, and Open vSwitch's depth of 1000.
    fn default() -> Limits {
        Limits { max_bytes: 256 << 20, max_depth: 1000 }
    }
}

/// Why a stream cannot be cut any further. The connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Something other than white space or an object between messages.
    #[error("byte 0x{byte:02x} at offset {offset} of the stream, where a JSON object must begin")]
    NotAnObject {
        /// The byte found.
        byte: u8,
        /// Its place in the stream.
        offset: u64,
    },
    /// A message larger than allowed.
    #[error("a message of more than {max_bytes} bytes")]
    TooLarge {
        /// The bound.
        max_bytes: usize,
    },
    /// A message nested deeper than allowed.
    #[error("a message nested deeper than {max_depth} levels")]
    TooDeep {
        /// The bound.
        max_depth: usize,
    },
}

/// Where the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Between messages.
    Outside,
    /// In a message, outside of strings, this many levels deep.
    Inside { depth: usize },
    /// In a string.
    Text { depth: usize },
    /// Behind a backslash in a string.
    Escape { depth: usize },
    /// After an error.
    Failed(FrameError),
}

/// The framer: [`Framer::push`] bytes as they come, then take messages with [`Framer::next_message`]
/// until it gives `None`. After an error it only repeats the error.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Begin of the current message in `buffer`.
    start: usize,
    /// The next byte to be scanned.
    at: usize,
    /// Bytes of the stream that are no longer in `buffer`.
    dropped: u64,
    scan: Scan,
}

/// A buffer that held one huge message is given back when it is larger than this.
const KEEP_CAPACITY: usize = 1 << 20;

impl Default for Framer {
    fn default() -> Framer {
        Framer::new(Limits::default())
    }
}

impl Framer {
    /// An empty framer.
    pub fn new(limits: Limits) -> Framer {
        Framer { limits, buffer: Vec::new(), start: 0, at: 0, dropped: 0, scan: Scan::Outside }
    }

    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.scan, Scan::Failed(_)) {
            return;
        }
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the stream cannot be a sequence of JSON objects within the limits.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        match self.find_end() {
            Ok(None) => Ok(None),
            Ok(Some(end)) => {
                let begin = std::mem::replace(&mut self.start, end);
                Ok(Some(&self.buffer[begin..end]))
            }
            Err(error) => {
                self.scan = Scan::Failed(error);
                self.buffer = Vec::new();
                Err(error)
            }
        }
    }

    /// Bytes held of a message that is not whole yet.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// True if [`Framer::next_message`] has not looked at all bytes yet, so that it may give a message
    /// or an error without more of them.
    pub fn has_more(&self) -> bool {
        self.at < self.buffer.len()
    }

    fn compact(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            if self.buffer.capacity() > KEEP_CAPACITY {
                self.buffer = Vec::new();
            }
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
        } else {
            return;
        }
        self.dropped += self.start as u64;
        self.at -= self.start;
        self.start = 0;
    }

    /// Looks on from `at`; gives the end of the message that begins at `start`.
    fn find_end(&mut self) -> Result<Option<usize>, FrameError> {
        while self.at < self.buffer.len() {
            let byte = self.buffer[self.at];
            self.at += 1;
            self.scan = match self.scan {
                Scan::Failed(error) => return Err(error),
                Scan::Outside => match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {
                        self.start = self.at;
                        continue;
                    }
                    b'{' => Scan::Inside { depth: 1 },
                    _ => {
                        let offset = self.dropped + self.at as u64 - 1;
                        return Err(FrameError::NotAnObject { byte, offset });
                    }
                },
                Scan::Inside { depth } => match byte {
                    b'"' => Scan::Text { depth },
                    b'{' | b'[' => {
                        if depth >= self.limits.max_depth {
                            return Err(FrameError::TooDeep { max_depth: self.limits.max_depth });
                        }
                        Scan::Inside { depth: depth + 1 }
                    }
                    b'}' | b']' if depth == 1 => {
                        self.scan = Scan::Outside;
                        self.check_size()?;
                        return Ok(Some(self.at));
                    }
                    b'}' | b']' => Scan::Inside { depth: depth - 1 },
                    _ => continue,
                },
                Scan::Text { depth } => {
                    // Most bytes of a message are here: run to the next byte that matters.
                    let rest = &self.buffer[self.at - 1..];
                    match rest.iter().position(|&byte| byte == b'"' || byte == b'\\') {
                        None => {
                            self.at = self.buffer.len();
                            continue;
                        }
                        Some(skipped) => {
                            self.at += skipped;
                            if rest[skipped] == b'"' {
                                Scan::Inside { depth }
                            } else {
                                Scan::Escape { depth }
                            }
                        }
                    }
                }
                Scan::Escape { depth } => Scan::Text { depth },
            };
        }
        if let Scan::Failed(error) = self.scan {
            return Err(error);
        }
        self.check_size()?;
        Ok(None)
    }

    fn check_size(&self) -> Result<(), FrameError> {
        if self.at - self.start > self.limits.max_bytes {
            return Err(FrameError::TooLarge { max_bytes: self.limits.max_bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(framer: &mut Framer) -> Result<Vec<String>, FrameError> {
        let mut found = Vec::new();
        while let Some(message) = framer.next_message()? {
            found.push(String::from_utf8(message.to_vec()).unwrap());
        }
        Ok(found)
    }

    #[test]
    fn messages_are_cut_at_their_last_brace() {
        let mut framer = Framer::default();
        framer.push(br#" {"a":"}\"]{"}{"b":[{}]} {"#);
        assert_eq!(all(&mut framer).unwrap(), [r#"{"a":"}\"]{"}"#, r#"{"b":[{}]}"#]);
        assert_eq!(framer.pending(), 1);
    }

    #[test]
    fn has_more_is_true_until_every_byte_was_looked_at() {
        let mut framer = Framer::default();
        assert!(!framer.has_more());
        framer.push(br#"{"a":1}{"b":"#);
        for more in [true, false] {
            assert!(framer.has_more());
            framer.next_message().unwrap();
            assert_eq!(framer.has_more(), more);
        }
        framer.push(b"x}}");
        assert!(framer.has_more());
        all(&mut framer).unwrap_err();
        assert!(!framer.has_more(), "an error is given at once");
    }

    #[test]
    fn limits_hold_and_errors_stay() {
        let mut framer = Framer::new(Limits { max_bytes: 8, max_depth: 2 });
        framer.push(br#"{"a":1}"#);
        assert_eq!(all(&mut framer).unwrap().len(), 1);
        framer.push(br#"{"aaaaaaaaaa"#);
        assert_eq!(all(&mut framer), Err(FrameError::TooLarge { max_bytes: 8 }));
        framer.push(b"}{}");
        assert_eq!(all(&mut framer), Err(FrameError::TooLarge { max_bytes: 8 }));

        let mut framer = Framer::new(Limits { max_bytes: 80, max_depth: 2 });
        framer.push(b"{[{");
        assert_eq!(all(&mut framer), Err(FrameError::TooDeep { max_depth: 2 }));

        let mut framer = Framer::default();
        framer.push(b"{}");
        assert_eq!(all(&mut framer).unwrap().len(), 1);
        framer.push(b" 7");
        assert_eq!(all(&mut framer), Err(FrameError::NotAnObject { byte: b'7', offset: 3 }));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            texts in prop::collection::vec("[ -~\u{e9}\u{1f600}]{0,12}", 1..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let messages: Vec<String> = texts
                .iter()
                .map(|text| serde_json::json!({ text.as_str(): [text, {"n": 1}] }).to_string())
                .collect();
            let stream = messages.join("\n").into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let mut framer = Framer::default();
            let mut found = Vec::new();
            let mut from = 0;
            for to in cuts {
                framer.push(&stream[from..to]);
                found.extend(all(&mut framer).unwrap());
                from = to;
            }
            prop_assert_eq!(found, messages);
            prop_assert_eq!(framer.pending(), 0);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framer = Framer::new(Limits { max_bytes: 64, max_depth: 8 });
            framer.push(&bytes);
            while let Ok(Some(message)) = framer.next_message() {
                prop_assert!(message.len() <= 64);
            }
        }
    }
}
