//! Takes a long list apart while it arrives, so that ten thousand instances are never in memory at
//! once: neither as text nor as values.
//!
//! Knows of JSON only where strings, lists and objects begin and end. Whether it is JSON at all is
//! judged by whoever reads the pieces.

use crate::error::{Error, Result};

/// The longest element, and the longest rest, bytes.
const LONGEST: usize = 4 << 20;

/// An answer whose list is taken out of it, element by element.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    /// The answer, with a `0` in place of each element.
    rest: Vec<u8>,
    element: Vec<u8>,
    depth: u32,
    /// Within the envelope's list, which is its second level.
    listed: bool,
    string: bool,
    escaped: bool,
}

impl Elements {
    /// Takes in what has arrived; gives each element that is whole to `take`.
    pub(crate) fn push(
        &mut self,
        data: &[u8],
        take: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    ) -> Result<()> {
        for &byte in data {
            let inside = self.listed && self.depth >= 3;
            let mut ended = false;
            let mut begun = false;
            if self.string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.string = true,
                    b'{' | b'[' => {
                        self.depth += 1;
                        if self.depth == 2 {
                            self.listed = byte == b'[';
                        }
                        begun = self.depth == 3 && self.listed && byte == b'{';
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        ended = inside && self.depth == 2;
                    }
                    _ => {}
                }
            }
            if inside || begun {
                self.element.push(byte);
            } else {
                self.rest.push(byte);
            }
            if ended {
                take(&self.element)?;
                self.element.clear();
                self.rest.push(b'0');
            }
            if self.element.len().max(self.rest.len()) > LONGEST {
                return Err(Error::Protocol(format!(
                    "more than {LONGEST} bytes in one piece"
                )));
            }
        }
        Ok(())
    }

    /// What is left of the answer.
    pub(crate) fn rest(self) -> Vec<u8> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Pushes an answer in pieces of this length.
    fn taken(answer: &Value, piece: usize) -> (Vec<Value>, Value) {
        let text = serde_json::to_vec(answer).unwrap();
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        for data in text.chunks(piece) {
            let mut take = |element: &[u8]| {
                found.push(serde_json::from_slice(element).unwrap());
                Ok(())
            };
            elements.push(data, &mut take).unwrap();
        }
        let rest = serde_json::from_slice(&elements.rest()).unwrap();
        (found, rest)
    }

    #[test]
    fn whatever_is_in_them_all_come_whole() {
        let texts = [
            "",
            "a",
            "\"",
            "\\",
            "{[",
            "]}",
            ",",
            "\\\"}",
            "\n",
            "ä\u{1F600}",
            "[{\"a\":1}]",
        ];
        let all: Vec<Value> = texts
            .iter()
            .map(|text| json!({"name": text, "config": {*text: [text, {"a": []}]}}))
            .collect();
        let answer = json!({"type": "sync", "error": "a [{\"", "metadata": all});
        for piece in 1..80 {
            let (found, rest) = taken(&answer, piece);
            assert_eq!(found, all);
            assert_eq!(rest["type"], "sync");
            assert_eq!(rest["metadata"].as_array().unwrap().len(), all.len());
        }
    }

    #[test]
    fn an_answer_without_a_list_stays_as_it_is() {
        for answer in [
            json!({"type": "error", "error": "no [{}]", "error_code": 404, "metadata": null}),
            json!({"type": "sync", "metadata": {"a": {"b": [{}]}}}),
        ] {
            let (found, rest) = taken(&answer, 7);
            assert_eq!(rest, answer);
            assert!(found.is_empty());
        }
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut elements = Elements::default();
        let endless = vec![b'x'; LONGEST + 1];
        elements.push(&endless, &mut |_| Ok(())).unwrap_err();
    }
}
