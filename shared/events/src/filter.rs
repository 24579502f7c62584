//! Which events somebody does not want.

use crate::{Action, Event};

/// Leaves out events, by media type or by action; both are compared exactly.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Media types of targets that are not of interest.
    pub media_types: Vec<String>,
    /// Actions that are not of interest.
    pub actions: Vec<String>,
}

impl Filter {
    /// Whether `event` is let through.
    pub fn passes(&self, event: &Event) -> bool {
        self.would_pass(event.action, &event.target.media_type)
    }

    /// Whether an event of this action on content of this media type would be.
    pub fn would_pass(&self, action: Action, media_type: &str) -> bool {
        let is_media_type = self.media_types.iter().any(|ignored| ignored == media_type);
        let is_action = self
            .actions
            .iter()
            .any(|ignored| ignored == action.as_str());
        !is_media_type && !is_action
    }
}
