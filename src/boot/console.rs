//! Follows a serial console: bytes in, lines of plain text out, in bounded memory.
//!
//! What a guest writes is not to be trusted with a terminal: control sequences (ECMA-48) are taken out
//! before anything is shown.

use std::collections::VecDeque;

/// How many lines are kept.
const MOST_LINES: usize = 400;
/// Bytes of a line that are kept; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 4096;

/// Where in a control sequence the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside.
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence, `ESC [` … up to its final byte.
    Control,
    /// In a string, `ESC ]` and others, up to BEL or ST.
    String,
    /// After ESC in a string: the start of ST.
    StringEscape,
}

/// The last lines of a console.
#[derive(Debug)]
pub struct Console {
    lines: VecDeque<String>,
    /// How many of the last lines have not been taken yet.
    fresh: usize,
    partial: Vec<u8>,
    /// A carriage return came; what follows writes over the line, if it is not a line feed.
    returned: bool,
    place: Place,
}

impl Default for Console {
    fn default() -> Self {
        Console::new()
    }
}

impl Console {
    /// An empty console.
    pub fn new() -> Self {
        Console { lines: VecDeque::new(), fresh: 0, partial: Vec::new(), returned: false, place: Place::Text }
    }

    /// Takes what the guest wrote.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.take(byte);
        }
    }

    fn take(&mut self, byte: u8) {
        const ESC: u8 = 0x1b;
        const BEL: u8 = 0x07;
        self.place = match (self.place, byte) {
            (Place::Text | Place::Escape | Place::Control, ESC) => Place::Escape,
            (Place::Text, _) => {
                self.take_text(byte);
                Place::Text
            }
            (Place::Escape, b'[') => Place::Control,
            (Place::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Place::String,
            // Intermediate bytes are followed by the final one, as in `ESC ( B`.
            (Place::Escape, 0x20..=0x2f) => Place::Escape,
            (Place::Escape, _) => Place::Text,
            (Place::Control, 0x20..=0x3f) => Place::Control,
            // A line feed in a sequence means that the sequence was cut off.
            (Place::Control | Place::String | Place::StringEscape, b'\n') => {
                self.take_text(byte);
                Place::Text
            }
            (Place::Control, _) | (Place::String, BEL) | (Place::StringEscape, b'\\') => Place::Text,
            (Place::String | Place::StringEscape, ESC) => Place::StringEscape,
            (Place::String | Place::StringEscape, _) => Place::String,
        };
    }

    fn take_text(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            b'\r' => self.returned = true,
            0x08 => {
                self.partial.pop();
            }
            _ => {
                if std::mem::take(&mut self.returned) {
                    self.partial.clear();
                }
                let byte = if byte == b'\t' { b' ' } else { byte };
                if byte >= 0x20 && byte != 0x7f && self.partial.len() < LONGEST_LINE {
                    self.partial.push(byte);
                }
            }
        }
    }

    fn end_line(&mut self) {
        self.returned = false;
        let line = plain(&self.partial);
        self.partial.clear();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        self.fresh = (self.fresh + 1).min(self.lines.len());
    }

    /// The lines that were ended since the last call.
    pub fn take_fresh(&mut self) -> Vec<String> {
        let fresh = std::mem::take(&mut self.fresh);
        self.lines.iter().skip(self.lines.len() - fresh).cloned().collect()
    }

    /// The line that is not ended yet, such as a prompt.
    pub fn partial(&self) -> String {
        plain(&self.partial)
    }

    /// The last line with something in it.
    pub fn last(&self) -> String {
        let partial = self.partial();
        if partial.is_empty() { self.lines.back().cloned().unwrap_or_default() } else { partial }
    }

    /// The last `count` lines, the one that is not ended among them.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let partial = Some(self.partial()).filter(|partial| !partial.is_empty());
        let all: Vec<String> = self.lines.iter().cloned().chain(partial).collect();
        all.get(all.len().saturating_sub(count)..).unwrap_or_default().to_vec()
    }
}

/// Text without control characters, those of C1 among them, and without space at its end.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut console = Console::new();
        console.feed(bytes);
        console.tail(100)
    }

    #[test]
    fn control_sequences_are_taken_out() {
        let cases: [(&[u8], &str); 10] = [
            (b"[\x1b[0;32m  OK  \x1b[0m] Started\r\n", "[  OK  ] Started"),
            (b"\x1b[?2004hbob@vm:~$ ", "bob@vm:~$"),
            (b"\x1b]0;bob@vm: ~\x07$ ls", "$ ls"),
            (b"\x1b]0;title\x1b\\text", "text"),
            (b"\x1b(Btext\x1b=", "text"),
            (b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n", "SeaBIOS"),
            (b"10%\r20%\r30%", "30%"),
            (b"abc\x08d\x00\x07", "abd"),
            (b"caf\xc3\xa9 \xff\xc2\x9b", "caf\u{e9} \u{fffd}"),
            (b"\x1b]0;cut\noff", "off"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(lines(bytes).last().map(String::as_str), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let whole = b"one\r\n\x1b[1;31mtwo\x1b[0m\r\n\r\nvm login: ";
        let mut console = Console::new();
        for byte in whole {
            console.feed(&[*byte]);
        }
        assert_eq!(console.take_fresh(), ["one", "two"]);
        assert_eq!(console.partial(), "vm login:");
        assert_eq!(console.tail(2), ["two", "vm login:"]);
        console.feed(b"bob\r\n");
        assert_eq!(console.take_fresh(), ["vm login: bob"]);
        assert!(console.take_fresh().is_empty());
        assert_eq!(console.last(), "vm login: bob");
    }

    #[test]
    fn memory_is_bounded() {
        let mut console = Console::new();
        for _ in 0..MOST_LINES * 3 {
            console.feed(&[b'x'; LONGEST_LINE * 2]);
            console.feed(b"\n");
        }
        assert_eq!(console.lines.len(), MOST_LINES);
        assert!(console.lines.iter().all(|line| line.len() == LONGEST_LINE));
        assert_eq!(console.take_fresh().len(), MOST_LINES);
    }

    proptest::proptest! {
        #[test]
        fn nothing_gets_a_control_character_through(bytes: Vec<u8>) {
            let mut console = Console::new();
            console.feed(&bytes);
            for line in console.tail(MOST_LINES + 1) {
                proptest::prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
