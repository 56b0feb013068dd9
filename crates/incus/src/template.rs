//! An instance's `metadata.yaml` and its templates: files that incusd renders into the instance
//! when it is created, copied or started. An image published from the instance has them too.

use http::{Method, header};
use serde_json::Value;

use crate::client::{CHANGE, Client};
use crate::error::Result;
use crate::upload::Upload;

impl Client {
    /// The content of `metadata.yaml`, as JSON.
    pub async fn instance_metadata(&self, name: &str) -> Result<Value> {
        self.get(&["instances", name, "metadata"], &[]).await
    }

    /// Replaces `metadata.yaml`: give all of what was read, with the change.
    pub async fn put_instance_metadata(&self, name: &str, metadata: &Value) -> Result<()> {
        self.change(Method::PUT, &["instances", name, "metadata"], metadata)
            .await
    }

    /// Makes or replaces a template, named like `hosts.tpl`; `metadata.yaml` says where it is
    /// rendered to.
    pub async fn put_instance_template(
        &self,
        name: &str,
        template: &str,
        content: Vec<u8>,
    ) -> Result<()> {
        let segments = ["instances", name, "metadata", "templates"];
        let mut call = self.call(Method::POST, &segments, &[("path", template)], CHANGE)?;
        let kind = (
            header::CONTENT_TYPE.as_str(),
            "application/octet-stream".to_owned(),
        );
        call.headers.push(kind);
        call.body = Upload::empty().bytes(content);
        self.verdict(call).await?.done::<Value>().map(drop)
    }
}
