//! Record → row of a Sentinel table; one file a table.

pub mod columns;

pub use columns::{Column, ColumnKind, EVENT_TIME, Table};
