//! Pushes AWS security logs into Microsoft Sentinel's own tables, and loses none.

pub mod aws;
#[cfg(feature = "cli")]
pub mod azure_template;
pub mod batch;
pub mod config;
pub mod credential;
pub mod deadline;
pub mod decode;
pub mod delivery;
#[cfg(feature = "cli")]
pub mod dlq;
#[cfg(feature = "cli")]
pub mod doctor;
pub mod failure;
pub mod forward;
pub mod handler;
pub mod json;
pub mod record;
pub mod report;
pub mod sentinel;
#[cfg(feature = "cli")]
pub mod standin;
pub mod table;
pub mod task;
pub mod trigger;
