//! What programs say, cut into lines.

/// Longest line; what is longer is cut there. Nothing that a program says may fill the memory.
const LONGEST: usize = 64 * 1024;

/// Cuts a stream of bytes into lines. A carriage return ends a line, too, as progress displays use it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes, and hands over each line that they end. Blank lines are left out.
    pub(super) fn push(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(String)) {
        while !bytes.is_empty() {
            let room = LONGEST - self.begun.len();
            let end = bytes.iter().take(room).position(|byte| matches!(byte, b'\r' | b'\n'));
            let (line, rest) = bytes.split_at(end.unwrap_or(room.min(bytes.len())));
            self.begun.extend_from_slice(line);
            bytes = rest.get(usize::from(end.is_some())..).unwrap_or_default();
            if end.is_some() || self.begun.len() == LONGEST {
                self.end(each);
            }
        }
    }

    /// Hands over what no end of a line came after.
    pub(super) fn end(&mut self, each: &mut dyn FnMut(String)) {
        let line = String::from_utf8_lossy(&self.begun).trim_end().to_owned();
        self.begun.clear();
        if !line.is_empty() {
            each(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(blocks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for block in blocks {
            lines.push(block, &mut |line| found.push(line));
        }
        lines.end(&mut |line| found.push(line));
        found
    }

    #[test]
    fn lines_end_with_either_character_and_at_the_end() {
        let table: [(&[&[u8]], &[&str]); 5] = [
            (&[b"a\nb\rc\r\nd"], &["a", "b", "c", "d"]),
            (&[b"on", b"e\ntw", b"o\n"], &["one", "two"]),
            (&[b"\n \n\r\n"], &[]),
            (&[b" kept \xff\n"], &[" kept \u{fffd}"]),
            (&[], &[]),
        ];
        for (blocks, expected) in table {
            assert_eq!(cut(blocks), expected, "{blocks:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let long = vec![b'x'; LONGEST + 10];
        let found = cut(&[&long[..LONGEST - 3], &long[LONGEST - 3..], b"\nnext"]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, 10, 4]);
    }
}
