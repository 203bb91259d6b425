//! Pushes AWS security logs into Microsoft Sentinel's own tables.

pub mod table;
