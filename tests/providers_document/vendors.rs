//! Which vendors there are, and what switches each one on.

use tokenwire::provider::vendors::{Credentials, VENDORS, Vendor};

use crate::{code_list, table};

pub fn section() -> String {
    let head = ["provider", "wire format", "where", "key", "other variables", "lists its models"];
    let rows: Vec<Vec<String>> = VENDORS.iter().map(row).collect();
    table(&head.map(str::to_owned), &rows)
}

fn row(vendor: &Vendor) -> Vec<String> {
    let instead = match (vendor.credentials, vendor.needs_key) {
        (Credentials::Aws, _) => ", or AWS credentials",
        (Credentials::Google, _) => ", or Google credentials",
        (Credentials::Key, false) => ", not needed",
        (Credentials::Key, true) => "",
    };
    let place = match vendor.base_url {
        "" => "one's own".to_owned(),
        base_url => format!("`{base_url}`"),
    };
    let others = [vendor.base_url_env].into_iter().chain(vendor.settings_env.iter().map(|&(_, variable)| variable));
    let lists = match crate::requests::lists_models(vendor) {
        true => "yes",
        false => "no",
    };
    vec![
        format!("`{}`", vendor.name),
        format!("`{}`", vendor.wire_format),
        place,
        format!("`{}`{instead}", vendor.key_env),
        code_list(others),
        lists.to_owned(),
    ]
}
