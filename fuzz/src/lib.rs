//! What the fuzz targets share: files as a decoder may meet them, and JSON read by the ordinary parser.

pub mod file;
pub mod strict;
