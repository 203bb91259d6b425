//! Pushes AWS security logs into Microsoft Sentinel's own tables.

#[cfg(feature = "cli")]
pub mod standin;
pub mod table;
