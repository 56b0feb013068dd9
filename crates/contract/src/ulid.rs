//! The grammar of a ULID, which ids are written in.

/// Whether `text` is one, its letters judged by `is_letter_case`.
pub(crate) fn is_ulid(text: &str, is_letter_case: fn(&char) -> bool) -> bool {
    // Crockford's digits: no letter that is taken for another.
    let is_digit = |c: char| {
        c.is_ascii_digit()
            || is_letter_case(&c) && !matches!(c.to_ascii_lowercase(), 'i' | 'l' | 'o' | 'u')
    };
    text.len() == 26 && text.starts_with(|c| ('0'..='7').contains(&c)) && text.chars().all(is_digit)
}
