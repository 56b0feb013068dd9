//! A server that answers as a script says, down to the byte: it can also break off.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `METHOD /path?query`.
    pub(crate) line: String,
    head: String,
}

impl Asked {
    /// The header's value, where it was sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

/// What the server does with a request.
pub(crate) enum Does {
    /// Answers.
    Answers(u16, String),
    /// The same with another header.
    AnswersWith(u16, &'static str, String),
    /// Hangs up.
    Breaks,
    /// Opens a stream of events, sends this, and hangs up or not.
    Streams {
        /// What is sent.
        text: String,
        /// Whether the stream stays open behind it.
        stays: bool,
    },
}

/// A running server.
pub(crate) struct Script {
    /// `http://ADDRESS:PORT`.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// Does with the request number `n`, from 0, what `does` says.
    pub(crate) async fn new(does: impl Fn(usize, &Asked) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = asked.clone();
        let does = Arc::new(does);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (notes, does) = (notes.clone(), does.clone());
                tokio::spawn(async move { one(stream, &notes, &*does).await });
            }
        });
        Self { url, asked }
    }

    /// Everything that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The same, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn one(
    mut stream: TcpStream,
    notes: &Mutex<Vec<Asked>>,
    does: &(impl Fn(usize, &Asked) -> Does + Sync),
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let asked = Asked { line, head };
    let length = asked.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let number = {
        let mut notes = notes.lock().unwrap();
        notes.push(asked.clone());
        notes.len() - 1
    };
    let (status, header, text, stays) = match does(number, &asked) {
        Does::Answers(status, text) => (status, "x-nothing: -", text, None),
        Does::AnswersWith(status, header, text) => (status, header, text, None),
        Does::Breaks => return,
        Does::Streams { text, stays } => {
            (200, "content-type: text/event-stream", text, Some(stays))
        }
    };
    let length = match stays {
        None => format!("content-length: {}\r\n", text.len()),
        Some(_) => String::new(),
    };
    let answer =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{header}\r\n{length}\r\n{text}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    if stays == Some(true) {
        std::future::pending::<()>().await;
    }
}
