//! Server-sent events, as text: from pieces of a body to events. Not where the pieces come from.

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The last id that was sent with it or before it.
    pub(crate) id: String,
    /// Its data; lines are joined as they were sent.
    pub(crate) data: String,
}

/// More than any event of ours; a line without an end must not fill the memory.
const LONGEST: usize = 16 << 20;

/// What was read of an event that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    data: Option<String>,
    id: String,
    whole: std::collections::VecDeque<Message>,
}

/// The other side does not speak this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than 16 MiB")]
pub(crate) struct TooLong;

impl Parser {
    /// Reads on behind the event `id`.
    pub(crate) fn behind(id: String) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Takes the next piece of the body.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        for &byte in piece {
            match byte {
                b'\n' if self.after_cr => {}
                b'\n' | b'\r' => self.end_of_line(),
                _ => self.line.push(byte),
            }
            self.after_cr = byte == b'\r';
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The next whole event, once.
    pub(crate) fn next(&mut self) -> Option<Message> {
        self.whole.pop_front()
    }

    fn end_of_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            // A comment alone is a heartbeat, and no event.
            if let Some(data) = self.data.take() {
                let id = self.id.clone();
                self.whole.push_back(Message { id, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A comment, `event` (which the data says too), `retry`, and what we do not know.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, data: &str) -> Message {
        Message {
            id: id.into(),
            data: data.into(),
        }
    }

    fn all(parser: &mut Parser) -> Vec<Message> {
        std::iter::from_fn(|| parser.next()).collect()
    }

    const STREAM: &str = ": hello\n\nid: 1\nevent: a\ndata: {\"x\":\n\
                          data:1}\n\n:\r\n\r\nid:2\rdata: ä: b\r\rdata\n\nid: 3\n\ndata: cut";

    #[test]
    fn events_are_read_whatever_the_pieces_are() {
        let wanted = [
            message("1", "{\"x\":\n1}"),
            message("2", "ä: b"),
            message("2", ""),
        ];
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut parser = Parser::default();
            for piece in STREAM.as_bytes().chunks(size) {
                parser.push(piece).unwrap();
            }
            assert_eq!(all(&mut parser), wanted, "{size}");
        }
    }

    #[test]
    fn an_event_without_an_id_has_the_last_one() {
        let mut parser = Parser::behind("7".into());
        parser.push(b"data: a\n\n").unwrap();
        assert_eq!(all(&mut parser), [message("7", "a")]);
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; LONGEST];
        assert_eq!(parser.push(&piece), Ok(()));
        assert_eq!(parser.push(&piece), Err(TooLong));
    }
}
