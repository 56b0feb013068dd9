//! Images: what containers are made from, and preparing them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Endpoint, EngineHealth, ImageRef, Method, OperationKind, endpoint::MINUTES};

/// Whether containers can be made from an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// At once.
    Ready,
    /// Once it is prepared, which is under way.
    Preparing,
}

/// How far a preparation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageProgress {
    /// What is being done, such as `downloading images:debian/13`.
    pub step: String,
    /// How much of this step is done; absent where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// An image that is prepared, or being prepared. With and without Docker are two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its name, as a create takes it.
    pub image: ImageRef,
    /// Whether Docker is in it.
    pub docker_enabled: bool,
    /// Whether containers can be made from it.
    pub state: ImageState,
    /// Whether it is the image of a create that names none.
    pub default: bool,
    /// Whether an earlier version of Containarium prepared it: usable, and better prepared anew.
    pub outdated: bool,
    /// Its size, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When it was prepared, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_at: Option<String>,
    /// How far its preparation is; also of one that is ready and being prepared anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ImageProgress>,
}

/// List the images that are prepared or being prepared, and the remotes that others may come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListImages {}

/// The answer to [`ListImages`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageList {
    /// In the order of their names; as they were last seen where the engine does not answer.
    pub images: Vec<Image>,
    /// The part before the colon that an image's name may have.
    pub remotes: Vec<String>,
    /// Whether the engine answered.
    pub engine: EngineHealth,
}

impl Endpoint for ListImages {
    const ID: &'static str = "list_images";
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/images";
    const EFFECT: Effect = Effect::Read;
    type Answer = ImageList;
}

/// Prepare an image, so that creates from it are quick; one that is prepared is prepared anew
/// where its server has a newer one or Containarium prepares otherwise now. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrepareImage {
    /// Which image, such as images:debian/13
    pub image: ImageRef,
    /// With Docker in it, beside the one without
    #[serde(default = "yes")]
    pub enable_docker: bool,
    /// Anew although nothing changed, which brings its packages up to date
    #[serde(default)]
    pub force: bool,
}

fn yes() -> bool {
    true
}

/// The answer to [`PrepareImage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePrepared {
    /// The image.
    pub image: Image,
    /// What was done.
    pub message: String,
}

impl Endpoint for PrepareImage {
    const ID: &'static str = "prepare_image";
    const METHOD: Method = Method::POST;
    const PATH: &'static str = "/v1/images";
    const EFFECT: Effect = Effect::Write;
    const PATIENCE: std::time::Duration = MINUTES;
    const OPERATION: Option<OperationKind> = Some(OperationKind::PrepareImage);
    type Answer = ImagePrepared;
}

/// Delete a prepared image; containers made from it stay. For admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteImage {
    /// Which image, such as images:debian/13
    pub image: ImageRef,
}

/// The answer to [`DeleteImage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageDeleted {
    /// What was done.
    pub message: String,
    /// The image that is gone.
    pub image: ImageRef,
}

impl Endpoint for DeleteImage {
    const ID: &'static str = "delete_image";
    const METHOD: Method = Method::DELETE;
    const PATH: &'static str = "/v1/images/{image}";
    const EFFECT: Effect = Effect::Destroy;
    const OPERATION: Option<OperationKind> = Some(OperationKind::DeleteImage);
    type Answer = ImageDeleted;
}
