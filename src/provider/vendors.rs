//! Vendors that speak a wire format, as rows of data.

/// How a vendor departs from its wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {}
