//! The columns of Microsoft's tables, compared with a list that was made by someone else, where there is one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sentinel_forwarder::table::{EVENT_TIME, Table};
use serde_json::Value;

#[test]
fn the_columns_of_microsofts_tables_are_those_of_an_independent_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tables");
    for table in Table::ALL.into_iter().filter(|table| !table.name().ends_with("_CL")) {
        let Ok(text) = fs::read_to_string(folder.join(format!("{}.json", table.name()))) else {
            crate::skipped(&format!("no independent list of the columns of {}", table.name()));
            continue;
        };
        let list: Value = serde_json::from_str(&text).unwrap();
        let theirs: BTreeMap<&str, (&str, bool)> = list["columns"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|column| column["system"] != true)
            .map(|column| {
                let [name, kind] = ["name", "dcr_stream_type"].map(|member| column[member].as_str().unwrap());
                (name, (kind, column["physical_type"] == "guid"))
            })
            .collect();
        let ours: BTreeMap<&str, (&str, bool)> = table
            .columns()
            .iter()
            .filter(|column| column.name != EVENT_TIME)
            .map(|column| (column.name, (column.kind.stream_type(), column.kind.table_type() == "guid")))
            .collect();
        assert_eq!(ours, theirs, "{}", table.name());
    }
}
