//! Pages that are read with `GET` beside the endpoints.

/// A page beside the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Says that the daemon is alive.
    Health,
    /// Says whether the daemon can work.
    Ready,
    /// Describes the API for programs.
    OpenApi,
    /// Describes the API for people.
    Docs,
    /// Has the metrics for Prometheus.
    Metrics,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 5] = [
        Self::Health,
        Self::Ready,
        Self::OpenApi,
        Self::Docs,
        Self::Metrics,
    ];

    /// Returns where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::Metrics => "/metrics",
        }
    }

    /// Returns whether it is read without a token.
    pub fn is_open(self) -> bool {
        match self {
            Self::Health | Self::Ready | Self::OpenApi | Self::Docs => true,
            Self::Metrics => false,
        }
    }
}
