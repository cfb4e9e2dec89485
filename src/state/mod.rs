//! Durable state: objects and one create-only manifest per epoch (`store`), what a manifest says
//! (`manifest`), and how snapshots become bytes (`snapshot`).

pub mod manifest;
pub mod snapshot;
pub mod store;
