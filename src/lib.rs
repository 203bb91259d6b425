//! Pushes AWS security logs into Microsoft Sentinel's own tables, and loses none.

pub mod decode;
pub mod failure;
pub mod json;
pub mod record;
#[cfg(feature = "cli")]
pub mod standin;
pub mod table;
pub mod task;
