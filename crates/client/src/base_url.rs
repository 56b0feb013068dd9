//! Where a daemon is: `http://HOST:PORT` or `https://…`, parsed once. Not whether it is there.

use std::{fmt, net::IpAddr, str::FromStr};

use reqwest::Url;

/// The URL that every path of the API is appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is not a [`BaseUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server's URL is written http://HOST:PORT or https://HOST[:PORT], not `{}`",
    .given.escape_debug()
)]
pub struct NotABaseUrl {
    given: String,
}

impl BaseUrl {
    /// `HOST:PORT`, the port also where the URL leaves it out.
    pub fn address(&self) -> String {
        format!(
            "{}:{}",
            self.host(),
            self.0.port_or_known_default().unwrap_or_default()
        )
    }

    /// The host as the URL writes it.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether the host is this machine, so that no proxy may stand between.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host().trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether the way there is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL of `path`, which is percent-encoded already and starts with a slash.
    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        // A name and password in the URL would be printed with it; so they are not taken, and
        // what is shown of a refused text ends before them.
        let not_one = || NotABaseUrl {
            given: text
                .split('@')
                .next_back()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect(),
        };
        let url = Url::parse(text.trim()).map_err(|_| not_one())?;
        let good = ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if good { Ok(Self(url)) } else { Err(not_one()) }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        text.parse::<BaseUrl>().unwrap().address()
    }

    #[test]
    fn the_address_has_a_port_and_brackets_where_it_needs_them() {
        assert_eq!(address("http://localhost:8080"), "localhost:8080");
        assert_eq!(address("http://localhost:8080/"), "localhost:8080");
        assert_eq!(
            address("https://containarium.company.com"),
            "containarium.company.com:443"
        );
        assert_eq!(address("http://[::1]:8080"), "[::1]:8080");
    }

    #[test]
    fn a_path_before_the_api_is_kept() {
        let url: BaseUrl = "https://host/boxes/".parse().unwrap();
        assert_eq!(
            url.at("/v1/containers").as_str(),
            "https://host/boxes/v1/containers"
        );
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, loopback) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:1", true),
            ("http://192.0.2.1:1", false),
            ("http://localhost.example:1", false),
        ] {
            assert_eq!(
                text.parse::<BaseUrl>().unwrap().is_loopback(),
                loopback,
                "{text}"
            );
        }
    }

    #[test]
    fn anything_but_http_is_refused_and_no_password_is_shown() {
        for bad in [
            "",
            "localhost:8080",
            "ftp://host",
            "http://",
            "unix:/run/x",
            "http://h/?a=b",
        ] {
            let error = bad.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(
                error.starts_with("the server's URL is written http://HOST:PORT"),
                "{error}"
            );
        }
        let error = "http://admin:hunter2@host"
            .parse::<BaseUrl>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
