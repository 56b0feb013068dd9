//! What a caller has already is not sent again: every `GET` of an endpoint answers with an `ETag`, and
//! to one that names it in `If-None-Match` with 304.
//!
//! The tag is a digest of the answer's bytes, so it changes whenever something that this caller sees
//! does and never otherwise, whatever the answer was made from, and it outlives the daemon. A count of
//! changes would cost less than the answer, but would tell everybody when somebody else's container
//! changes, and would have to know of each thing that an answer is made from.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};

/// How much of the digest is the tag, bytes.
const LENGTH: usize = 16;

/// The tags that a request names.
pub(crate) struct Known(Vec<HeaderValue>);

impl Known {
    /// What the caller has.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(
            headers
                .get_all(header::IF_NONE_MATCH)
                .into_iter()
                .cloned()
                .collect(),
        )
    }

    fn has(&self, tag: &str) -> bool {
        // Compared weakly, as a `GET` is to; no tag of ours has a comma.
        self.0
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    }
}

/// The answer with these bytes, or that the caller has it.
pub(crate) fn tagged(known: &Known, body: Vec<u8>) -> Response<Body> {
    let tag = tag(&body);
    let mut response = if known.has(&tag) {
        let mut unchanged = Response::new(Body::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        Response::new(Body::from(body))
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    // Whoever keeps it asks each time, because nobody knows for how long it is so.
    let always_ask = HeaderValue::from_static("private, no-cache");
    headers.insert(header::CACHE_CONTROL, always_ask);
    response
}

fn tag(body: &[u8]) -> String {
    let digest = digest(&SHA256, body);
    let start = digest.as_ref().iter().take(LENGTH);
    let text: String = start.map(|byte| format!("{byte:02x}")).collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&'static str]) -> StatusCode {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        tagged(&Known::of(&headers), b"{}".to_vec()).status()
    }

    #[test]
    fn who_names_the_tag_has_the_answer() {
        assert_eq!(tag(b"{}"), "\"44136fa355b3678a1146ad16f7e8649e\"");
        for unchanged in [
            &["\"44136fa355b3678a1146ad16f7e8649e\""][..],
            &["W/\"44136fa355b3678a1146ad16f7e8649e\""],
            &["\"other\" , \"44136fa355b3678a1146ad16f7e8649e\""],
            &["\"other\"", "\"44136fa355b3678a1146ad16f7e8649e\""],
            &["*"],
        ] {
            assert_eq!(asked(unchanged), 304, "{unchanged:?}");
        }
        for changed in [
            &[][..],
            &[""],
            &["\"other\""],
            &["44136fa355b3678a1146ad16f7e8649e"],
            &["\"44136fa355b3678a1146ad16f7e8649\""],
        ] {
            assert_eq!(asked(changed), 200, "{changed:?}");
        }
    }
}
