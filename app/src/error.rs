//! The error type of every server function.

use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use protocol::{Code, Fault};
use serde::{Deserialize, Serialize};

use crate::json;

/// A [`Fault`] as the server functions send it: `{"Error", "Reason"}`, with the status of its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiError(pub Fault);

impl FromServerFnError for ApiError {
    type Encoder = json::Text;

    /// On the server: the request could not be parsed. In the browser: the server could not be reached, or its response
    /// not be parsed.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        #[cfg(feature = "ssr")]
        {
            use ServerFnErrorErr as Error;
            let what = match error {
                Error::Deserialization(what) | Error::Args(what) | Error::MissingArg(what) => what,
                other => other.to_string(),
            };
            Fault::new(Code::Malformed, format!("The request could not be read: {what}")).into()
        }
        #[cfg(not(feature = "ssr"))]
        {
            let _ = error;
            Self(Fault::new(Code::Unavailable, "The server cannot be reached. Please try again."))
        }
    }
}

/// Sets the response's status to the fault's: leptos would send 500.
#[cfg(feature = "ssr")]
impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() {
            let status = http::StatusCode::from_u16(fault.error.status());
            response.set_status(status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR));
        }
        Self(fault)
    }
}

#[cfg(feature = "ssr")]
impl From<chat::Error> for ApiError {
    fn from(error: chat::Error) -> Self {
        error.into_fault().into()
    }
}
