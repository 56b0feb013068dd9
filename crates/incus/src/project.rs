//! Projects: Incus's namespaces, with their own limits and restrictions.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Etagged};
use crate::error::Result;
use crate::nullable::nullable;

/// A project as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// `features.*`, `limits.*`, `restricted*`, `user.*`.
    #[serde(deserialize_with = "nullable")]
    pub config: BTreeMap<String, String>,
    /// URLs of what is in it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
}

/// A project to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProjectPost {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Give all of it now: some keys cannot be changed once the project holds something.
    pub config: BTreeMap<String, String>,
}

/// A project's new content, whole: a key that is left out is unset.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProjectPut {
    /// For people.
    pub description: String,
    /// The whole configuration.
    pub config: BTreeMap<String, String>,
    /// Refuse with [`Error::Precondition`](crate::Error::Precondition) unless this is still the tag.
    #[serde(skip)]
    pub if_match: Option<String>,
}

impl Client {
    /// One project, with its tag.
    pub async fn project(&self, name: &str) -> Result<Etagged<Project>> {
        self.get_etagged(&["projects", name]).await
    }

    /// All projects.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        self.get(&["projects"], &[("recursion", "1")]).await
    }

    /// Makes a project.
    pub async fn create_project(&self, post: &ProjectPost) -> Result<()> {
        self.change(Method::POST, &["projects"], post).await
    }

    /// Replaces a project's description and configuration.
    pub async fn update_project(&self, name: &str, put: &ProjectPut) -> Result<()> {
        let mut call = self.call_json(Method::PUT, &["projects", name], put)?;
        if let Some(etag) = &put.if_match {
            call.headers.push(("if-match", etag.clone()));
        }
        self.verdict(call)
            .await?
            .done::<serde_json::Value>()
            .map(drop)
    }

    /// Removes a project; with `force`, also everything in it.
    pub async fn delete_project(&self, name: &str, force: bool) -> Result<()> {
        let query: &[_] = if force { &[("force", "true")] } else { &[] };
        self.delete(&["projects", name], query).await
    }
}
