//! The lines of a file, in bounded memory that is wiped.

use std::{
    io::{self, ErrorKind, Read},
    ops::Range,
};

use zeroize::Zeroizing;

/// The longest line that is read, in bytes.
pub(super) const LONGEST: usize = 128 << 10;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads lines one after another. Each one's text is gone when the next is read.
pub(super) struct Lines<R> {
    input: R,
    /// Has room for the longest line and its end, and never grows.
    buffer: Zeroizing<Vec<u8>>,
    unread: Range<usize>,
    number: u64,
    ended: bool,
}

/// One line that is not blank.
pub(super) struct Line<'a> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its text, without its end; nothing if it is too long.
    pub text: Option<&'a [u8]>,
}

/// What comes next in the file.
enum Found {
    /// A line, at this place in the buffer.
    Line(Range<usize>),
    /// One that has no room there.
    TooLong,
    /// Nothing.
    End,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        let buffer = Zeroizing::new(vec![0; LONGEST + 2]);
        Self { input, buffer, unread: 0..0, number: 0, ended: false }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let found = self.find()?;
            self.number += 1;
            let text = match found {
                Found::End => return Ok(None),
                Found::TooLong => None,
                Found::Line(range) if self.text(range.clone()).is_empty() => continue,
                Found::Line(range) => Some(self.text(range)),
            };
            return Ok(Some(Line { number: self.number, text }));
        }
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        let text = &self.buffer[range];
        let text = if self.number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        text.trim_ascii()
    }

    fn find(&mut self) -> io::Result<Found> {
        let mut too_long = false;
        loop {
            let unread = self.unread.clone();
            if let Some(length) = self.buffer[unread.clone()].iter().position(|byte| *byte == b'\n') {
                self.unread.start += length + 1;
                let line = Found::Line(unread.start..unread.start + length);
                return Ok(if too_long { Found::TooLong } else { line });
            }
            if self.ended {
                self.unread.start = unread.end;
                return Ok(match (too_long, unread.is_empty()) {
                    (true, _) => Found::TooLong,
                    (false, true) => Found::End,
                    (false, false) => Found::Line(unread),
                });
            }
            if unread.len() == self.buffer.len() {
                too_long = true;
                self.unread = 0..0;
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        match self.input.read(&mut self.buffer[self.unread.end..]) {
            Ok(0) => self.ended = true,
            Ok(length) => self.unread.end += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(self.1).min(buffer.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn lines(text: &[u8], drip: usize) -> Vec<(u64, Option<String>)> {
        let mut lines = Lines::new(Drip(text, drip));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.number, line.text.map(|text| String::from_utf8(text.to_vec()).unwrap())));
        }
        all
    }

    #[test]
    fn ends_marks_and_blank_lines_are_left_out() {
        let text = "\u{feff}one\r\n\n  \r\ntwo\n\u{feff}three".as_bytes();
        let expected = [(1, "one"), (4, "two"), (5, "\u{feff}three")];
        let expected: Vec<_> = expected.map(|(number, text)| (number, Some(text.to_owned()))).into();
        for drip in [1, 2, 7, 1_000] {
            assert_eq!(lines(text, drip), expected, "{drip} at a time");
        }
        assert_eq!(lines(b"", 1), []);
        assert_eq!(lines(b"\n\n", 1), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        for (length, fits) in [(LONGEST, true), (LONGEST + 3, false), (3 * LONGEST, false)] {
            let long = "x".repeat(length);
            let last = lines(format!("a\n{long}").as_bytes(), 4_096);
            assert_eq!(last.len(), 2);
            assert_eq!(last[1].1.is_some(), fits, "{length}");
            let between = lines(format!("a\n{long}\r\nb\n").as_bytes(), 4_096);
            let numbers: Vec<_> = between.iter().map(|(number, _)| *number).collect();
            assert_eq!((numbers, between[1].1.is_some()), (vec![1, 2, 3], fits), "{length}");
        }
    }
}
