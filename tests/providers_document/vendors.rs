//! Which vendors there are, and what switches each one on.

use tokenwire::provider::vendors::{VENDORS, Vendor};

use crate::{code_list, table};

pub fn section() -> String {
    let head = ["provider", "wire format", "where", "key", "other variables", "lists its models"];
    let rows: Vec<Vec<String>> = VENDORS.iter().map(row).collect();
    table(&head.map(str::to_owned), &rows)
}

fn row(vendor: &Vendor) -> Vec<String> {
    let key = match vendor.needs_key {
        true => format!("`{}`", vendor.key_env),
        false => format!("`{}`, not needed", vendor.key_env),
    };
    let others = [vendor.base_url_env].into_iter().chain(vendor.settings_env.iter().map(|&(_, variable)| variable));
    let lists = match crate::requests::lists_models(vendor) {
        true => "yes",
        false => "no",
    };
    vec![
        format!("`{}`", vendor.name),
        format!("`{}`", vendor.wire_format),
        format!("`{}`", vendor.base_url),
        key,
        code_list(others),
        lists.to_owned(),
    ]
}
