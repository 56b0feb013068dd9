//! What nobody would send who means well: values, texts and bytes, made from a seed so that a run can
//! be made again.

use serde_json::{Map, Value, json};

/// The variable that repeats a run: the seed that it printed.
const SEED: &str = "CONTAINARIUM_TEST_SEED";
/// The variable that asks for all of a random suite.
const SOAK: &str = "CONTAINARIUM_TEST_SOAK";

/// Returns the seed in the environment, else one from the clock, and prints it.
pub fn seed() -> u64 {
    let clock = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64
    };
    let given = std::env::var(SEED).ok().map(|text| text.parse().unwrap());
    let seed = given.unwrap_or_else(clock);
    println!("to make this run again: {SEED}={seed}");
    seed
}

/// Returns `all` in `make soak`, and `share` elsewhere: what CI can afford of a random suite.
pub fn share_or_all<T>(share: T, all: T) -> T {
    if std::env::var_os(SOAK).is_some() {
        all
    } else {
        share
    }
}

/// A source of junk. The same seed gives the same junk.
#[derive(Clone, Debug)]
pub struct Junk(u64);

impl Junk {
    /// From the seed in the environment, else from the clock; prints it.
    pub fn new() -> Self {
        Self(seed())
    }

    /// From this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64: a few lines, and good enough for tests.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// A text that some program somewhere has stumbled over.
    pub fn text(&mut self) -> String {
        const TEXTS: &[&str] = &[
            "",
            " ",
            "\0",
            "a\0b",
            "\n",
            "\r\n",
            "\t",
            "\u{1b}[31m",
            "\u{7f}",
            "\u{202e}evil",
            "\u{200b}",
            "\u{feff}",
            "ä",
            "А",
            "e\u{301}",
            "😀",
            "\u{10ffff}",
            ".",
            "..",
            "../..",
            "/",
            "//",
            "\\",
            "/etc/passwd",
            "-rf",
            "--help",
            "$(id)",
            "`id`",
            "';--",
            "\"",
            "'",
            "%",
            "%00",
            "%2e%2e",
            "%s%n",
            "{{7*7}}",
            "{}",
            "[]",
            "<script>",
            "null",
            "true",
            "undefined",
            "NaN",
            "Infinity",
            "-0",
            "0",
            "1",
            "-1",
            "1e400",
            "0x10",
            "٣",
            "18446744073709551616",
            "root",
            "alice",
            "Alice",
            "alice-",
            "CON",
            "4GB",
            "4G",
            "-4GB",
            "4 GB GB",
            "0GB",
            "99999999999TB",
            "SHA256:",
            "SHA256:AAAA",
            "MD5:aa",
            "ssh-ed25519 AAAA",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "https://x/y",
            "a=b",
            "a",
            "=",
            "running",
        ];
        match self.below(12) {
            0 => "a".repeat(self.below(3000)),
            1 => "\u{1f512}".repeat(self.below(500)),
            2 => {
                let bytes: Vec<u8> = (0..self.below(40)).map(|_| self.next() as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            3 => format!("{}{}", self.text(), self.text()),
            _ => (*self.one(TEXTS)).to_owned(),
        }
    }

    /// Any JSON.
    pub fn value(&mut self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => self.once_in(2).into(),
            2 => json!(*self.one(&[0_i64, 1, -1, 30, 4097, i64::MAX, i64::MIN])),
            3 => json!(*self.one(&[u64::MAX, u64::from(u32::MAX) + 1, 600, 601])),
            4 => json!(*self.one(&[0.5, -0.0, 1e308, 1e-308, 4.0])),
            5 => (0..self.below(4)).map(|_| self.value()).collect(),
            6 => Value::Object(self.object()),
            7 => {
                let depth = self.below(100);
                (0..depth).fold(json!(1), |inner, _| json!([inner]))
            }
            8 => {
                let depth = self.below(100);
                (0..depth).fold(json!({}), |inner, _| json!({"a": inner}))
            }
            _ => self.text().into(),
        }
    }

    /// Any object.
    pub fn object(&mut self) -> Map<String, Value> {
        (0..self.below(4))
            .map(|_| (self.text(), self.value()))
            .collect()
    }

    /// Bytes that begin as `text` and do not go on so: cut, broken, deep, or not text at all.
    pub fn broken(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        match self.below(8) {
            0 => bytes.truncate(self.below(bytes.len() + 1)),
            1 => bytes.insert(self.below(bytes.len() + 1), 0xff),
            2 => bytes.insert(self.below(bytes.len() + 1), 0),
            3 => bytes.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            4 => bytes = "[".repeat(self.below(100_000)).into_bytes(),
            5 => bytes = "{\"a\":".repeat(self.below(20_000)).into_bytes(),
            6 => bytes = format!("{{\"username\":{}}}", "9".repeat(self.below(5000))).into_bytes(),
            _ => bytes.extend_from_slice(text.as_bytes()),
        }
        bytes
    }
}

impl Default for Junk {
    fn default() -> Self {
        Self::new()
    }
}
