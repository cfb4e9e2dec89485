//! Durable state: objects and one create-only manifest per epoch (`store`), and how snapshots become
//! bytes (`snapshot`).

pub mod snapshot;
pub mod store;
