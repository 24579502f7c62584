//! Where events go.

use std::fmt;

use async_trait::async_trait;

use crate::Envelope;

/// Takes events.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// The most events of one envelope.
    fn most(&self) -> usize {
        1
    }

    /// Delivers all events of `envelope`, which are [`Sink::most`] at the most. When this returns,
    /// the receiver has them. Delivered again, they come twice, with the same ids.
    ///
    /// # Errors
    ///
    /// The receiver does not have all of them, as far as is known.
    async fn deliver(&self, envelope: &Envelope) -> Result<(), Undelivered>;
}

/// Why events were not delivered. No message has a credential, nor the receiver's URL, which may
/// have one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undelivered {
    /// There is no answer.
    #[error("the receiver does not answer")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is no success.
    #[error("the receiver answers {status}{}", .reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Answer {
        /// Its status.
        status: u16,
        /// What it says, in a few words.
        reason: Option<String>,
    },
    /// The answer is a success for some events only.
    #[error("{refused} of {all} events were refused: {reason}")]
    Refused {
        /// How many were not taken.
        refused: usize,
        /// Of how many.
        all: usize,
        /// What is said of the first one.
        reason: String,
    },
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Undelivered {
    /// This and all that it comes from, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
