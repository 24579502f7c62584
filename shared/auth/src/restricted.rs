//! Access rules on top of any controller.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::controller::{AccessController, Attempt, Refusal};
use crate::grant::Grant;
use crate::rules::CurrentRules;

/// Who is who is the inner controller's to say; what they may do is the rules' as well.
///
/// A request without credentials is served when the rules let everybody do what it wants. One that
/// wants nothing but to know who it is (`GET /v2/`) goes to the inner controller all the same:
/// from its challenge clients learn how to log in.
#[derive(Debug)]
pub struct Restricted {
    inner: Arc<dyn AccessController>,
    rules: CurrentRules,
}

impl Restricted {
    /// `inner` under `rules`.
    pub fn new(inner: Arc<dyn AccessController>, rules: CurrentRules) -> Self {
        Self { inner, rules }
    }
}

#[async_trait]
impl AccessController for Restricted {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        let rules = self.rules.get().await;
        let is_anonymous = Authorization::parse(attempt.authorization) == Authorization::Anonymous;
        if is_anonymous && !wanted.is_empty() {
            let anonymous = Grant::anonymous().under(Arc::clone(&rules));
            if wanted.iter().all(|access| anonymous.allows(access)) {
                return Ok(anonymous);
            }
        }
        let grant = self.inner.authorize(attempt, wanted).await?;
        let grant = grant.under(rules);
        match wanted.iter().all(|access| grant.allows(access)) {
            true => Ok(grant),
            false => Err(Refusal::Denied),
        }
    }
}
